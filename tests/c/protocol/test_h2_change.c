/* h2_change, h2_reply, dubbo_change: what is written of changed messages, wherever they lie, and where memory ends. */
#include "protocol/h2_change.h"

#include "base/block.h"
#include "base/err.h"
#include "protocol/dubbo_change.h"
#include "protocol/h2_reply.h"
#include "protocol/h2_request.h"
#include "test.h"

#include <errno.h>

static struct mf_local local;
static struct mf_limits limits;
static struct mf_h2_share share;

static const struct mf_pair fields[] = {
    {MF_SLICE(":method"), MF_SLICE("POST")}, {MF_SLICE(":scheme"), MF_SLICE("http")},
    {MF_SLICE(":path"), MF_SLICE("/old/x?q")}, {MF_SLICE(":authority"), MF_SLICE("a")},
    {MF_SLICE("host"), MF_SLICE("a")}, {MF_SLICE("x"), MF_SLICE("1")},
};
enum { N = sizeof fields / sizeof *fields };

static int change(const struct mf_change *how, bool in_place, struct mf_h2_list *list)
{
    static struct mf_h2_mark marks[N];
    for (int i = 0; i < N; i++)
        marks[i] = mf_h2_mark_of(fields[i]);
    *list = (struct mf_h2_list){fields, marks, N};
    if (in_place) {
        memcpy(share.fields, fields, sizeof fields);
        memcpy(share.marks, marks, sizeof marks);
        *list = (struct mf_h2_list){share.fields, share.marks, N};
    }
    return mf_h2_change_request(&share, how, list);
}

static struct mf_slice value(const struct mf_h2_list *list, const char *name)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (mf_slice_eq(list->fields[i].key, mf_slice_str(name)))
            return list->fields[i].value;
    return mf_slice_of(NULL, 0);
}

static void test_requests(void)
{
    struct mf_change_put put = {MF_SLICE("X"), MF_SLICE("x"), MF_SLICE("2"), false};
    struct mf_change how = {
        .request = {.n_levels = 1, .levels = {{.n_puts = 1, .puts = &put}}},
        .rewrite = {.path = MF_CHANGE_PATH_BEGIN, .strip = 4, .to = MF_SLICE("/n"), .authority = MF_SLICE("b")},
    };
    struct mf_h2_list list;
    for (int in_place = 0; in_place < 2; in_place++) {
        CHECK_INT(change(&how, in_place, &list), 0);
        CHECK_INT(list.n, N + 1);
        CHECK_STR(value(&list, ":path"), "/n/x?q");
        CHECK_STR(value(&list, ":authority"), "b");
        CHECK_STR(value(&list, "host"), "b");
        CHECK_STR(value(&list, "x"), "2");
        CHECK_STR(value(&list, "x-envoy-original-path"), "/old/x?q");
        CHECK_STR(fields[2].value, "/old/x?q");
    }
    how.rewrite.to = MF_SLICE("/a/..");
    CHECK_INT(change(&how, false, &list), MF_EH2_PATH_TRICK);
    put.value = MF_SLICE("a\nb"); /* whatever let it in */
    how.rewrite.path = MF_CHANGE_PATH_NONE;
    CHECK_INT(change(&how, false, &list), MF_EH2_VALUE);
    mf_free(share.path);
    share.path = NULL;
    share.path_room = 0;
    how.rewrite.path = MF_CHANGE_PATH_WHOLE;
    fail_at(1);
    CHECK_INT(change(&how, false, &list), -ENOMEM);
    fail_at(0);
    CHECK_INT(share.path_room, 0);
}

static void test_replies(void)
{
    struct mf_fault plain = {MF_OUTCOME_OVERLOAD, "full"};
    struct mf_reply reply = {.fault = {MF_OUTCOME_RULE, "no"}, .statuses = {418, 5, 40}};
    CHECK_INT(mf_h2_reply_status(MF_H2_READS_HTTP, &plain), 429);
    CHECK_INT(mf_h2_reply_status(MF_H2_READS_GRPC, &plain), 200);
    CHECK_INT(mf_h2_reply_status(MF_H2_READS_HTTP, &reply.fault), 418);
    CHECK_INT(mf_h2_reply_status(MF_H2_READS_GRPC, &reply.fault), 200);
    CHECK_INT(mf_h2_reply_stat(MF_H2_READS_HTTP, &plain), mf_stat_http_index(429));
    CHECK_INT(mf_h2_reply_stat(MF_H2_READS_GRPC, &plain), mf_stat_grpc_index(8));
    CHECK_INT(mf_h2_reply_stat(MF_H2_READS_HTTP, &reply.fault), mf_stat_http_index(418));
    CHECK_INT(mf_h2_reply_stat(MF_H2_READS_GRPC, &reply.fault), mf_stat_grpc_index(5));
}

/* a: gone, b: a list, which is stamped over; c: put. The id is ours. */
static void test_dubbo(void)
{
    struct mf_slice body = MF_SLICE("\0052.0.2\003a.B\0011\001m\0H\001a\001x\001b\x79\001yZ");
    struct mf_slice gone[] = {MF_SLICE("a"), MF_SLICE("b")};
    struct mf_change_put put = {MF_SLICE("c"), MF_SLICE("c"), MF_SLICE("1"), false};
    struct mf_change_list list = {
        .n_levels = 1, .levels = {{.n_removes = 2, .removes = gone, .lower_removes = gone, .n_puts = 1, .puts = &put}}};
    struct mf_pair pairs[16], stamp = {MF_SLICE("l"), MF_SLICE("v")};
    uint8_t texts[64];
    struct mf_dubbo_room room = {pairs, 8, sizeof texts, texts};
    struct mf_dubbo_limits bounds = {MF_DUBBO_MAX_DEPTH, MF_DUBBO_MAX_CLASSES};
    struct mf_dubbo_request said;
    const char *why;
    CHECK_INT(mf_dubbo_parse_request(MF_DUBBO_HESSIAN2, body, &bounds, &room, &said, &why), 0);
    struct mf_dubbo_head head = {.id = 1, .flags = MF_DUBBO_REQUEST, .serialization = MF_DUBBO_HESSIAN2};
    struct mf_dubbo_changing from = {&head, 7, body, &said, &bounds, &stamp, 1};
    struct mf_loop *loop;
    size_t len;
    int rc;
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &loop, &why), 0);
    struct mf_block *block = mf_dubbo_change(loop, &from, &list, &len, &rc);
    CHECK_INT(rc, 0);
    CHECK_INT(mf_dubbo_parse_head(mf_slice_of(block->data, len), 4096, &head), MF_DUBBO_HEAD_LEN);
    CHECK_INT(head.id, 7);
    CHECK_INT(head.body_len, len - MF_DUBBO_HEAD_LEN);
    struct mf_slice want = MF_SLICE("\0052.0.2\003a.B\0011\001m\0H\001b\x79\001y\001l\001v\001c\0011\001bNZ");
    CHECK(mf_slice_eq(mf_slice_of(block->data + MF_DUBBO_HEAD_LEN, head.body_len), want));
    mf_block_give(block);
    for (long n = 1; n <= 2; n++) {
        fail_from(n);
        block = mf_dubbo_change(loop, &from, &list, &len, &rc);
        fail_at(0);
        CHECK(block == NULL && rc == -ENOMEM);
    }
    said.complete = false;
    CHECK(mf_dubbo_change(loop, &from, &list, &len, &rc) == NULL);
    CHECK_INT(rc, MF_EDUBBO_STAMP);
    mf_loop_free(loop);
}

int main(void)
{
    mf_limits_default(&limits);
    local.limits = &limits;
    CHECK_INT(mf_h2_share_init(&share, NULL, 0, &local, NULL), 0);
    test_requests();
    test_replies();
    mf_h2_share_dispose(&share);
    test_dubbo();
    return test_end("protocol/h2_change");
}
