/* h2_fields: each rule of RFC 9113 8.2 and 8.3, by lists written as text, one field a line. */
#include "codec/h2_list.h"

static struct mf_h2_request asked;
static struct mf_h2_response answered;

#define GET ":method=GET\n:scheme=http\n:path=/\n"
#define FULL GET ":authority=a.b:80\n"

static int request(struct mf_slice text)
{
    list(text);
    return mf_h2_fields_request(fields, marks, n, &asked);
}

static int response(struct mf_slice text)
{
    list(text);
    return mf_h2_fields_response(fields, marks, n, &answered);
}

static int trailers(struct mf_slice text)
{
    uint32_t at;
    list(text);
    int rc = mf_h2_fields_trailers(fields, marks, n, &at);
    CHECK(rc < 0 ? at < n : at == n);
    return rc;
}

#define REQUEST(text, rc) CHECK_INT(request(MF_SLICE(text)), rc)
#define RESPONSE(text, rc) CHECK_INT(response(MF_SLICE(text)), rc)
#define TRAILERS(text, rc) CHECK_INT(trailers(MF_SLICE(text)), rc)

static void test_requests(void)
{
    REQUEST(FULL "te=trailers\ncontent-length=12\nx=y\nhost=A.B\n", 0);
    CHECK_STR(asked.method, "GET");
    CHECK_STR(asked.scheme, "http");
    CHECK_STR(asked.path, "/");
    CHECK_STR(asked.authority, "a.b:80");
    CHECK_STR(asked.host, "A.B");
    CHECK(asked.content_length == 12 && asked.regular == 4 && asked.at == 8 && asked.trailers && !asked.connect);
    REQUEST(GET, 0);
    CHECK(!asked.authority.ptr && !asked.host.ptr && asked.content_length == -1);
    REQUEST("", MF_EH2_PSEUDO_MISSING);
    REQUEST(":scheme=http\n:path=/\n", MF_EH2_PSEUDO_MISSING);
    REQUEST(":method=GET\n:path=/\n", MF_EH2_PSEUDO_MISSING);
    REQUEST(":method=GET\n:scheme=http\n", MF_EH2_PSEUDO_MISSING);
    REQUEST(GET ":method=GET\n", MF_EH2_PSEUDO_TWICE);
    REQUEST(FULL ":authority=a.b\n", MF_EH2_PSEUDO_TWICE);
    CHECK_INT(asked.at, 4);
    REQUEST(":scheme=\n:scheme=\n:method=GET\n:path=/\n", MF_EH2_PSEUDO_TWICE);
    REQUEST(":method=GET\n:scheme=http\nx=y\n:path=/\n", MF_EH2_PSEUDO_LATE);
    REQUEST("x=y\n" GET, MF_EH2_PSEUDO_LATE);
    REQUEST(GET ":status=200\n", MF_EH2_PSEUDO);
    REQUEST(GET ":protocol=websocket\n", MF_EH2_PSEUDO);
    REQUEST(GET ":foo=bar\n", MF_EH2_PSEUDO);
}

static void test_names_and_values(void)
{
    REQUEST(GET "=v\n", MF_EH2_NAME_EMPTY);
    REQUEST(GET ":=v\n", MF_EH2_NAME);
    REQUEST(GET "Ab=v\n", MF_EH2_NAME_CASE);
    REQUEST(":Method=GET\n:scheme=http\n:path=/\n", MF_EH2_NAME_CASE);
    REQUEST(GET "a b=v\n", MF_EH2_NAME);
    REQUEST(GET "a:b=v\n", MF_EH2_NAME);
    REQUEST(GET "a\r=v\n", MF_EH2_NAME);
    REQUEST(GET "a\0b=v\n", MF_EH2_NAME);
    REQUEST(GET "\xc3\xa9=v\n", MF_EH2_NAME);
    REQUEST(GET "a=v\rw\n", MF_EH2_VALUE);
    REQUEST(GET "a=v\0w\n", MF_EH2_VALUE);
    REQUEST(GET "a=\x7f\n", MF_EH2_VALUE);
    REQUEST(GET "a= v\n", MF_EH2_VALUE_SPACE);
    REQUEST(GET "a=v\t\n", MF_EH2_VALUE_SPACE);
    REQUEST(GET "a= \n", MF_EH2_VALUE_SPACE);
    REQUEST(GET "a=v w\tx\na=\nb=\xc3\xa9\n", 0);
    fields[3].value = MF_SLICE("v\nw");
    marks[3] = mf_h2_mark_judge(fields[3], (struct mf_h2_mark){0, 0});
    CHECK_INT(mf_h2_fields_request(fields, marks, n, &asked), MF_EH2_VALUE);
    CHECK_INT(asked.at, 3);
}

static void test_connection(void)
{
    REQUEST(GET "connection=close\n", MF_EH2_CONNECTION);
    REQUEST(GET "keep-alive=1\n", MF_EH2_CONNECTION);
    REQUEST(GET "proxy-connection=x\n", MF_EH2_CONNECTION);
    REQUEST(GET "transfer-encoding=chunked\n", MF_EH2_CONNECTION);
    REQUEST(GET "upgrade=h2c\n", MF_EH2_CONNECTION);
    REQUEST(GET "te=gzip\n", MF_EH2_TE);
    REQUEST(GET "te=trailers, deflate\n", MF_EH2_TE);
    REQUEST(GET "te=\n", MF_EH2_TE);
    REQUEST(GET "te=Trailers\n", 0);
    RESPONSE(":status=200\nconnection=close\n", MF_EH2_CONNECTION);
    RESPONSE(":status=200\ntransfer-encoding=chunked\n", MF_EH2_CONNECTION);
    TRAILERS("grpc-status=0\nupgrade=h2c\n", MF_EH2_CONNECTION);
}

static void test_pseudo_values(void)
{
    REQUEST(":method=\n:scheme=http\n:path=/\n", MF_EH2_METHOD);
    REQUEST(":method=G T\n:scheme=http\n:path=/\n", MF_EH2_METHOD);
    REQUEST(":method=M-search\n:scheme=a+b-c.1\n:path=/\n", 0);
    REQUEST(":method=GET\n:scheme=\n:path=/\n", MF_EH2_SCHEME);
    REQUEST(":method=GET\n:scheme=1http\n:path=/\n", MF_EH2_SCHEME);
    REQUEST(":method=GET\n:scheme=http:\n:path=/\n", MF_EH2_SCHEME);
    REQUEST(":method=GET\n:scheme=http\n:path=\n", MF_EH2_PATH);
    REQUEST(":method=GET\n:scheme=http\n:path=svc/M\n", MF_EH2_PATH);
    REQUEST(":method=GET\n:scheme=http\n:path=*\n", MF_EH2_PATH);
    REQUEST(":method=OPTIONS\n:scheme=http\n:path=*\n", 0);
    REQUEST(":method=OPTIONS\n:scheme=http\n:path=*x\n", MF_EH2_PATH);
    REQUEST(":method=GET\n:scheme=http\n:path=/a b\n", MF_EH2_PATH);
    REQUEST(":method=GET\n:scheme=http\n:path=/a#b\n", MF_EH2_PATH);
    REQUEST(":method=GET\n:scheme=http\n:path=/a?b=/c;%2f\xc3\xbc\"\n", 0);
}

static void test_authorities(void)
{
    static const char *const good[] = {"a", "a.b:8080", "[::1]", "[::1]:80", "1.2.3.4", "a:", "a_b", "a%20"};
    static const char *const bad[] = {"", ":80", "u@a", "a/b", "a b", "a:b", "a:80:90", "::1", "[::1", "::1]", "a?b", "a#b", "[]", "[a]b", "[[a]]", "a\\b"};
    char text[128];
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        snprintf(text, sizeof(text), GET ":authority=%s\n", good[i]);
        CHECK_INT(request(mf_slice_str(text)), 0);
        snprintf(text, sizeof(text), GET "host=%s\n", good[i]);
        CHECK_INT(request(mf_slice_str(text)), 0);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        snprintf(text, sizeof(text), GET ":authority=%s\n", bad[i]);
        CHECK_INT(request(mf_slice_str(text)), MF_EH2_AUTHORITY);
        snprintf(text, sizeof(text), GET "host=%s\n", bad[i]);
        CHECK_INT(request(mf_slice_str(text)), MF_EH2_AUTHORITY);
    }
    REQUEST(FULL "host=a.b\nhost=a.b\n", MF_EH2_HOST);
    REQUEST(FULL "host=a.c\n", MF_EH2_HOST);
    REQUEST(FULL "host=a.b:81\n", MF_EH2_HOST);
    REQUEST(FULL "host=A.B:\n", 0);
    REQUEST(":method=GET\n:scheme=https\n:path=/\n:authority=a\nhost=a:443\n", 0);
    REQUEST(":method=GET\n:scheme=https\n:path=/\n:authority=a\nhost=a:80\n", MF_EH2_HOST);
    CHECK(mf_h2_fields_same_authority(MF_SLICE("HTTP"), MF_SLICE("a:80"), MF_SLICE("A")));
    CHECK(!mf_h2_fields_same_authority(MF_SLICE("ftp"), MF_SLICE("a:80"), MF_SLICE("A")));
}

static void test_connect(void)
{
    REQUEST(":method=CONNECT\n:authority=a:80\n", 0);
    CHECK(asked.connect);
    REQUEST(":method=CONNECT\n", MF_EH2_PSEUDO_MISSING);
    REQUEST(":method=CONNECT\n:authority=a:80\n:path=/\n", MF_EH2_PSEUDO);
    REQUEST(":method=CONNECT\n:authority=a:80\n:scheme=http\n", MF_EH2_PSEUDO);
}

static void test_lengths(void)
{
    REQUEST(GET "content-length=9223372036854775807\n", MF_EH2_CONTENT_LENGTH);
    REQUEST(GET "content-length=922337203685477580\n", 0);
    CHECK(asked.content_length == 922337203685477580);
    REQUEST(GET "content-length=\n", MF_EH2_CONTENT_LENGTH);
    REQUEST(GET "content-length=+5\n", MF_EH2_CONTENT_LENGTH);
    REQUEST(GET "content-length=5, 5\n", MF_EH2_CONTENT_LENGTH);
    REQUEST(GET "content-length=0x5\n", MF_EH2_CONTENT_LENGTH);
    REQUEST(GET "content-length=5\ncontent-length=5\n", MF_EH2_CONTENT_LENGTH);
    REQUEST(GET "content-length=99999999999999999999999999\n", MF_EH2_CONTENT_LENGTH);
    RESPONSE(":status=200\ncontent-length=x\n", MF_EH2_CONTENT_LENGTH);
    CHECK_INT(mf_h2_fields_content(-1, 99, true), 0);
    CHECK_INT(mf_h2_fields_content(5, 5, false), 0);
    CHECK_INT(mf_h2_fields_content(5, 6, false), MF_EH2_CONTENT);
    CHECK_INT(mf_h2_fields_content(5, 4, false), 0);
    CHECK_INT(mf_h2_fields_content(5, 4, true), MF_EH2_CONTENT);
    CHECK_INT(mf_h2_fields_content(5, 5, true), 0);
    static const struct {
        unsigned status;
        const char *method;
        bool counts;
    } cases[] = {{200, "POST", true}, {200, "HEAD", false}, {304, "GET", false}, {204, "GET", false}, {103, "GET", false},
                 {404, "GET", true}, {200, "CONNECT", false}, {404, "CONNECT", true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char text[64];
        snprintf(text, sizeof(text), ":status=%u\ncontent-length=7\n", cases[i].status);
        CHECK_INT(response(mf_slice_str(text)), 0);
        CHECK_INT(mf_h2_fields_expect(&answered, mf_slice_str(cases[i].method)), cases[i].counts ? 7 : -1);
    }
}

static void test_responses(void)
{
    RESPONSE(":status=200\nx=y\n", 0);
    CHECK(answered.status == 200 && answered.regular == 1 && answered.content_length == -1 && answered.at == 2);
    RESPONSE("x=y\n", MF_EH2_PSEUDO_MISSING);
    RESPONSE("", MF_EH2_PSEUDO_MISSING);
    RESPONSE(":status=200\n:status=200\n", MF_EH2_PSEUDO_TWICE);
    RESPONSE("x=y\n:status=200\n", MF_EH2_PSEUDO_LATE);
    RESPONSE(":path=/\n", MF_EH2_PSEUDO);
    RESPONSE(":status=20\n", MF_EH2_STATUS);
    RESPONSE(":status=2000\n", MF_EH2_STATUS);
    RESPONSE(":status=099\n", MF_EH2_STATUS);
    RESPONSE(":status=2x0\n", MF_EH2_STATUS);
    RESPONSE(":status=101\n", MF_EH2_STATUS);
    RESPONSE(":status=999\n", 0);
    RESPONSE(":status=200\nA=b\n", MF_EH2_NAME_CASE);
    CHECK_INT(answered.at, 1);
}

static void test_trailers(void)
{
    TRAILERS("", 0);
    TRAILERS("grpc-status=0\ngrpc-message=\n", 0);
    TRAILERS("grpc-status=0\n:status=200\n", MF_EH2_PSEUDO);
    TRAILERS("Grpc-status=0\n", MF_EH2_NAME_CASE);
    TRAILERS("a=b\rc\n", MF_EH2_VALUE);
}

int main(void)
{
    test_requests();
    test_names_and_values();
    test_connection();
    test_pseudo_values();
    test_authorities();
    test_connect();
    test_lengths();
    test_responses();
    test_trailers();
    return test_end("codec/h2_fields");
}
