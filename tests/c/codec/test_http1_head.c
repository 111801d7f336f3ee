/* http1_head: what policy reads of an HTTP/1 request, and what it does not want to have to read. */
#include "codec/http1_head.h"
#include "test.h"

static int read_head(const char *text, size_t len, struct mf_http1_head *out)
{
    struct mf_slice head = guarded(mf_slice_of(text, len));
    size_t seen = 0;
    int rc = mf_http1_head_end(head, &seen);
    if (rc < 0)
        return rc;
    CHECK_INT(seen, len);
    return mf_http1_head_read(head, out);
}

#define READ(text) read_head(text, sizeof(text) - 1, &head)
#define HOST "Host: h\r\n"

static void test_end_of_head(void)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\nbody\n";
    const size_t len = sizeof text - 6;
    size_t seen = 0;
    for (size_t n = 0; n < len; n++) { /* a byte at a time, none looked at twice */
        CHECK_INT(mf_http1_head_end(guarded(mf_slice_of(text, n)), &seen), MF_EMORE);
        CHECK_INT(seen, n);
    }
    CHECK_INT(mf_http1_head_end(guarded(mf_slice_of(text, sizeof text - 1)), &seen), 0);
    CHECK_INT(seen, len);
    static const char *bad[] = {"\n", "GET / HTTP/1.1\n", "GET / HTTP/1.1\r\nHost: h\n", "GET / HTTP/1.1\r\n\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        seen = 0;
        CHECK_INT(mf_http1_head_end(guarded(mf_slice_str(bad[i])), &seen), MF_EHTTP1_END);
    }
}

static void test_line(void)
{
    struct mf_http1_head head;
    CHECK_INT(READ("GET /a/b?x=1?y HTTP/1.1\r\n" HOST "\r\n"), 0);
    CHECK_STR(head.method, "GET");
    CHECK_STR(head.path, "/a/b");
    CHECK_STR(head.query, "x=1?y");
    CHECK_STR(head.scheme, "");
    CHECK_INT(head.minor, 1);
    CHECK(!head.connect);
    CHECK_INT(READ("GET /? HTTP/1.0\r\n\r\n"), 0);
    CHECK_STR(head.path, "/");
    CHECK_INT(head.n_fields, 0);
    CHECK_INT(READ("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), 0);
    CHECK_STR(head.path, "*");
    CHECK_INT(READ("CONNECT h.x:1 HTTP/1.1\r\nHost: g\r\n\r\n"), 0);
    CHECK(head.connect);
    CHECK_STR(head.host, "h.x");
    CHECK_STR(head.path, "");
    CHECK_INT(READ("GET HTTP://A.b:80?q HTTP/1.1\r\nHost: g\r\n\r\n"), 0); /* the target's host holds */
    CHECK_STR(head.scheme, "HTTP");
    CHECK_STR(head.authority, "A.b:80");
    CHECK_STR(head.host, "A.b");
    CHECK_STR(head.path, "/");
    CHECK_STR(head.query, "q");

    CHECK_INT(READ("\r\n\r\n"), MF_EHTTP1_LINE);
    CHECK_INT(READ("GET / HTTP/1.1 \r\n" HOST "\r\n"), MF_EHTTP1_LINE);
    CHECK_INT(READ("GET / HTTP/2.0\r\n" HOST "\r\n"), MF_EHTTP1_LINE);
    CHECK_INT(READ("GET / HTTP/1.x\r\n" HOST "\r\n"), MF_EHTTP1_LINE);
    CHECK_INT(READ("GET / b HTTP/1.1\r\n" HOST "\r\n"), MF_EHTTP1_LINE);
    CHECK_INT(READ("GE(T / HTTP/1.1\r\n" HOST "\r\n"), MF_EHTTP1_LINE);
    CHECK_INT(READ(" / HTTP/1.1\r\n" HOST "\r\n"), MF_EHTTP1_LINE);
    CHECK_INT(READ("GET  HTTP/1.1\r\n" HOST "\r\n"), MF_EHTTP1_TARGET);
    CHECK_INT(READ("GET * HTTP/1.1\r\n" HOST "\r\n"), MF_EHTTP1_TARGET);
    CHECK_INT(READ("GET a HTTP/1.1\r\n" HOST "\r\n"), MF_EHTTP1_TARGET);
    CHECK_INT(READ("GET /a#b HTTP/1.1\r\n" HOST "\r\n"), MF_EHTTP1_TARGET);
    CHECK_INT(READ("GET /a\0b HTTP/1.1\r\n" HOST "\r\n"), MF_EHTTP1_TARGET);
    CHECK_INT(READ("GET /a\rb HTTP/1.1\r\n" HOST "\r\n"), MF_EHTTP1_TARGET);
    CHECK_INT(READ("GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n"), MF_EHTTP1_TARGET);
    CHECK_INT(READ("GET ftp://h/ HTTP/1.1\r\n" HOST "\r\n"), MF_EHTTP1_TARGET);
    CHECK_INT(READ("GET http:///x HTTP/1.1\r\n" HOST "\r\n"), MF_EHTTP1_TARGET);
    CHECK_INT(READ("GET http://u@h/ HTTP/1.1\r\n" HOST "\r\n"), MF_EHTTP1_TARGET);
    CHECK_INT(READ("CONNECT /h HTTP/1.1\r\n" HOST "\r\n"), MF_EHTTP1_TARGET);
}

static void test_fields(void)
{
    struct mf_http1_head head;
    struct mf_pair fields[8];
    CHECK_INT(READ("GET / HTTP/1.1\r\nhOsT:\t h:1 \r\nEnv: a b\t\r\nempty:\r\nx: \xc3\xa9:y\r\n\r\n"), 0);
    CHECK_INT(head.n_fields, 4);
    mf_http1_head_fields(&head, fields);
    CHECK_STR(fields[0].key, "hOsT");
    CHECK_STR(fields[0].value, "h:1");
    CHECK_STR(fields[1].key, "Env");
    CHECK_STR(fields[1].value, "a b");
    CHECK_STR(fields[2].value, "");
    CHECK_STR(fields[3].value, "\xc3\xa9:y");
    CHECK_STR(head.authority, "h:1");
    CHECK_STR(head.host, "h");

    CHECK_INT(READ("GET / HTTP/1.1\r\n" HOST " folded: x\r\n\r\n"), MF_EHTTP1_FIELD);
    CHECK_INT(READ("GET / HTTP/1.1\r\n folded: x\r\n" HOST "\r\n"), MF_EHTTP1_FIELD);
    CHECK_INT(READ("GET / HTTP/1.1\r\n" HOST "\tfolded\r\n\r\n"), MF_EHTTP1_FIELD);
    CHECK_INT(READ("GET / HTTP/1.1\r\nHost : h\r\n\r\n"), MF_EHTTP1_FIELD);
    CHECK_INT(READ("GET / HTTP/1.1\r\n" HOST ": x\r\n\r\n"), MF_EHTTP1_FIELD);
    CHECK_INT(READ("GET / HTTP/1.1\r\n" HOST "a\r\n\r\n"), MF_EHTTP1_FIELD);
    CHECK_INT(READ("GET / HTTP/1.1\r\n" HOST "a\0: b\r\n\r\n"), MF_EHTTP1_FIELD);
    CHECK_INT(READ("GET / HTTP/1.1\r\n" HOST "a: b\0\r\n\r\n"), MF_EHTTP1_VALUE);
    CHECK_INT(READ("GET / HTTP/1.1\r\n" HOST "a: b\rc\r\n\r\n"), MF_EHTTP1_VALUE);
    CHECK_INT(READ("GET / HTTP/1.1\r\n" HOST "a: \x7f\r\n\r\n"), MF_EHTTP1_VALUE);
}

static void test_hosts(void)
{
    struct mf_http1_head head;
    char text[512];
    static const char *good[][2] = {{"a", "a"}, {"A-b.C.:80", "A-b.C."}, {"1.2.3.4:1", "1.2.3.4"}, {"[::1]:80", "[::1]"},
                                    {"[fe80::1%25lo]", "[fe80::1%25lo]"}, {"h:", "h"}, {"", ""}};
    static const char *bad[] = {"a/b", "a b", "u@h", "h:x", "h:1:2", "[::1", "[]", "::1", ":80", "a\\b", "h?x", "h#x",
                                "[::1]x", "\xc3\xa9", "a\"b", "a<b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int len = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", good[i][0]);
        CHECK_INT(read_head(text, (size_t)len, &head), 0);
        CHECK_STR(head.authority, good[i][0]);
        CHECK_STR(head.host, good[i][1]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int len = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
        CHECK_INT(read_head(text, (size_t)len, &head), MF_EHTTP1_HOST);
        len = snprintf(text, sizeof text, "GET http://h/ HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
        CHECK_INT(read_head(text, (size_t)len, &head), MF_EHTTP1_HOST);
    }
    CHECK_INT(READ("GET / HTTP/1.1\r\n\r\n"), MF_EHTTP1_HOST);
    CHECK_INT(READ("GET http://h/ HTTP/1.1\r\n\r\n"), MF_EHTTP1_HOST);
    CHECK_INT(READ("GET / HTTP/1.1\r\n" HOST HOST "\r\n"), MF_EHTTP1_HOST);
    CHECK_INT(READ("GET / HTTP/1.0\r\n" HOST HOST "\r\n"), MF_EHTTP1_HOST);
    memset(text, 'a', sizeof text);
    memcpy(text, "GET / HTTP/1.0\r\nHost:", 21);
    memcpy(text + 21 + MF_HTTP1_HOST, "\r\n\r\n", 4);
    CHECK_INT(read_head(text, 25 + MF_HTTP1_HOST, &head), 0);
    memcpy(text + 22 + MF_HTTP1_HOST, "\r\n\r\n", 4);
    text[21 + MF_HTTP1_HOST] = 'a';
    CHECK_INT(read_head(text, 26 + MF_HTTP1_HOST, &head), MF_EHTTP1_HOST);
    uint8_t room[MF_HTTP1_HOST];
    CHECK_INT(READ("GET / HTTP/1.1\r\nHost: Cart.X-1\r\n\r\n"), 0);
    CHECK_STR(mf_http1_head_service(&head, room), "cart.x-1");
}

static void test_call(void)
{
    struct mf_http1_head head = {.path = MF_SLICE("/a.b.C/m")};
    struct mf_slice service, method;
    CHECK(mf_http1_head_call(&head, &service, &method));
    CHECK_STR(service, "a.b.C");
    CHECK_STR(method, "m");
    head.path = MF_SLICE("/ctx/a.b.C/m");
    CHECK(mf_http1_head_call(&head, &service, &method));
    CHECK_STR(service, "a.b.C");
    static const char *none[] = {"", "/", "*", "/m", "/a.b.C/", "//m", "/a//m"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        head.path = mf_slice_str(none[i]);
        CHECK(!mf_http1_head_call(&head, &service, &method));
    }
}

int main(void)
{
    test_end_of_head();
    test_line();
    test_fields();
    test_hosts();
    test_call();
    return test_end("codec/http1_head");
}
