/* http1_change: heads of HTTP/1 as a rule changes them, what cannot be changed, and answers of rules. */
#include "protocol/http1_change.h"

#include "codec/change.h"
#include "test.h"

#include <errno.h>

static char told[4096];

static int changed(const char *head, const struct mf_change *change)
{
    struct mf_http1_head read;
    uint8_t *to = NULL;
    size_t len = 0;
    struct mf_slice bytes = guarded(mf_slice_str(head));
    CHECK_INT(mf_http1_head_read(bytes, &read), 0);
    int rc = mf_http1_change_head(&read, change, &to, &len);
    snprintf(told, sizeof told, "%.*s", rc == 0 ? (int)len : 0, rc == 0 ? (const char *)to : "");
    mf_free(rc == 0 ? to : NULL);
    return rc;
}

static void test_heads(void)
{
    struct mf_slice gone = MF_SLICE("x-c");
    struct mf_change_put put = {MF_SLICE("X-A"), MF_SLICE("x-a"), MF_SLICE("set"), false};
    struct mf_change change = {
        .request = {.n_levels = 1,
                    .levels = {{.n_removes = 1, .removes = &gone, .lower_removes = &gone, .n_puts = 1, .puts = &put}}},
        .rewrite = {.path = MF_CHANGE_PATH_BEGIN, .strip = 4, .to = MF_SLICE("/new"), .authority = MF_SLICE("o.ex")},
    };
    CHECK_INT(changed("GET /old/x?q HTTP/1.1\r\nHost: a\r\nX-a: 1\r\nX-C: 2\r\nY: 3\r\nConnection: Keep-Alive\r\n\r\n", &change), 0);
    CHECK_STR(mf_slice_str(told), "GET /new/x?q HTTP/1.1\r\nhost: o.ex\r\ny: 3\r\nx-envoy-original-path: /old/x?q\r\n"
                                  "x-a: set\r\nconnection: close\r\n\r\n");
    CHECK_INT(changed("GET http://a:1/old HTTP/1.0\r\nHost: a\r\nX-Envoy-Original-Path: /mine\r\n\r\n", &change), 0);
    CHECK_STR(mf_slice_str(told), "GET http://o.ex/new HTTP/1.0\r\nhost: o.ex\r\nx-envoy-original-path: /old\r\n"
                                  "x-a: set\r\nconnection: close\r\n\r\n");
    CHECK_INT(changed("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", &change), 0);
    CHECK_STR(mf_slice_str(told), "OPTIONS * HTTP/1.1\r\nhost: o.ex\r\nx-a: set\r\nconnection: close\r\n\r\n");
    change.rewrite = (struct mf_change_rewrite){0};
    CHECK_INT(changed("GET /p? HTTP/1.1\r\nHost: a\r\n\r\n", &change), 0);
    CHECK_STR(mf_slice_str(told), "GET /p? HTTP/1.1\r\nhost: a\r\nx-a: set\r\nconnection: close\r\n\r\n");
}

static void test_what_cannot_be(void)
{
    struct mf_change change = {.rewrite = {.path = MF_CHANGE_PATH_BEGIN, .strip = 1, .to = MF_SLICE("/a/")}};
    CHECK_INT(changed("GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n", &change), MF_ECHANGE);
    CHECK_INT(changed("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\n\r\n", &change), MF_ECHANGE);
    CHECK_INT(changed("GET /x HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n", &change), MF_ECHANGE);
    CHECK_INT(changed("GET /../x HTTP/1.1\r\nHost: a\r\n\r\n", &change), MF_EH2_PATH_TRICK);
    for (long n = 1; n <= 4; n++) {
        fail_at(n);
        CHECK_INT(changed("GET /x HTTP/1.1\r\nHost: a\r\n\r\n", &change), -ENOMEM);
        fail_at(0);
    }
}

static void replied(const struct mf_reply *reply, bool bare, const char *want)
{
    uint8_t *to = NULL;
    size_t len = 0;
    CHECK_INT(mf_http1_change_reply(reply, bare, &to, &len), 0);
    CHECK_STR(mf_slice_of(to, len), want);
    mf_free(to);
    for (long n = 1; n <= 2; n++) {
        fail_at(n);
        CHECK_INT(mf_http1_change_reply(reply, bare, &to, &len), -ENOMEM);
        fail_at(0);
    }
}

static void test_replies(void)
{
    struct mf_change_put put = {MF_SLICE("X"), MF_SLICE("x"), MF_SLICE("1"), false};
    struct mf_change_list own = {.n_levels = 1, .levels = {{.n_puts = 1, .puts = &put}}};
    struct mf_reply reply = {.statuses = {418, 2, 40}, .body = MF_SLICE("body")};
    replied(&reply, false, "HTTP/1.1 418 \r\ncontent-length: 4\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\nbody");
    replied(&reply, true, "HTTP/1.1 418 \r\ncontent-length: 4\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n");
    reply.statuses.http = 204;
    replied(&reply, false, "HTTP/1.1 204 \r\nconnection: close\r\n\r\n");
    reply = (struct mf_reply){.statuses = {301, 2, 80}, .location = MF_SLICE("http://a/b"), .change = &own};
    replied(&reply, false, "HTTP/1.1 301 \r\nlocation: http://a/b\r\ncontent-length: 0\r\nx: 1\r\nconnection: close\r\n\r\n");
}

int main(void)
{
    test_heads();
    test_what_cannot_be();
    test_replies();
    return test_end("protocol/http1_change");
}
