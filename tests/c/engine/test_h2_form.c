/* h2_fields, h2_view, h2_request, end to end: which requests are out of form, and that what passes goes on byte for byte. */
#define FAKE_CONNS 64
#define TOLD 512
#include "h2_mesh.h"

#define HEAD ":method: POST\n:scheme: http\n:path: /svc/hi\n"
#define GRPC "content-type: application/grpc"
#define HTTP ":method: GET\n:scheme: http\n:path: /hi\n"

static struct peer *a, *b;
static uint32_t asked, given;

static void open_pair(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    a = caller();
    say_head(a, asked = 1, CALL, true);
    b = provider();
    CHECK_TOLD(b, given = 1, T_CALL "|");
}

/* As one request, which goes on as it came. */
static void passes(const char *lines, const char *want)
{
    say_head(a, asked += 2, lines, true);
    CHECK_TOLD(b, given += 2, want);
    CHECK_TOLD(a, asked, "");
}

/* That stream alone ends, and nothing goes on. */
static void refused(const char *lines, const char *want)
{
    uint64_t before = COUNTED(h2_streams_out);
    say_head(a, asked += 2, lines, true);
    settle();
    const char *text = told(a, asked);
    if (strncmp(text, want, strlen(want)) != 0)
        BROKEN("%s: got %s", lines, text);
    CHECK_INT(COUNTED(h2_streams_out), before);
    CHECK_INT((hear(a), a->goaways), 0);
}

/* host and :authority; each three times, as they are recalled then. */
static void test_host(void)
{
    for (int i = 0; i < 3; i++) {
        open_pair();
        for (int k = 0; k <= i; k++) {
            /* Alone it is the authority, by which plain HTTP is routed. */
            passes(HTTP "host: SVC:80", "<:method=GET :scheme=http :path=/hi host=SVC:80>|");
            passes(HTTP ":authority: svc\nhost: svc", "<:method=GET :scheme=http :path=/hi :authority=svc host=svc>|");
            passes(HTTP ":authority: svc\nhost: SVC:80",
                   "<:method=GET :scheme=http :path=/hi :authority=svc host=SVC:80>|");
            passes(HTTP ":authority: Svc:80\nhost: svc:",
                   "<:method=GET :scheme=http :path=/hi :authority=Svc:80 host=svc:>|");
            passes(HEAD GRPC, "<:method=POST :scheme=http :path=/svc/hi content-type=application/grpc>|");
            for (int at = 0; at < 3; at++) { /* by turns: each has its own */
                static const char *const names[] = {"one", "two:80", "three"};
                char lines[200], want[200];
                snprintf(lines, sizeof lines, HEAD ":authority: %s\n" GRPC, names[at]);
                snprintf(want, sizeof want, "<:method=POST :scheme=http :path=/svc/hi :authority=%s content-type=application/grpc>|",
                         names[at]);
                passes(lines, want);
            }
            refused(HTTP ":authority: svc\nhost: other", "!1");
            refused(HTTP ":authority: svc\nhost: svc:81", "!1");
            refused(":method: GET\n:scheme: https\n:path: /hi\n:authority: svc\nhost: svc:80", "!1");
            refused(HTTP ":authority: svc\nhost: svc\nhost: svc", "!1");
            refused(HTTP "host: svc\nhost: svc", "!1");
            refused(HTTP "host: u@svc", "!1");
            refused(HTTP ":authority: ", "!1");
            refused(HEAD ":authority: x/svc\n" GRPC, "!1");
            refused(HTTP "x: y", "<:status=404 "); /* neither, and nothing else names a service */
        }
        mesh_close();
    }
}

/* What may look odd and is allowed: it says one thing only, and goes on as it is. */
static void test_odd(void)
{
    open_pair();
    passes(":method: post\n:scheme: http\n:path: /svc/hi\n" GRPC,
           "<:method=post :scheme=http :path=/svc/hi content-type=application/grpc>|"); /* RFC 9110 9.1: another method */
    passes(":method: POST\n:scheme: X+y-z.1\n:path: /svc/hi\n" GRPC,
           "<:method=POST :scheme=X+y-z.1 :path=/svc/hi content-type=application/grpc>|"); /* RFC 9113 8.3.1 */
    passes(HEAD GRPC "\nhttp2-settings: AAMAAABk",
           "<:method=POST :scheme=http :path=/svc/hi content-type=application/grpc http2-settings=AAMAAABk>|");
    say_head(a, asked += 2, HEAD GRPC "\ncontent-length: 005", false); /* RFC 9110 8.6: digits */
    say_data(a, asked, "12345", true);
    CHECK_TOLD(b, given += 2,
               "<:method=POST :scheme=http :path=/svc/hi content-type=application/grpc content-length=005>12345|");
    say_head(a, asked += 2, HEAD GRPC "\ncontent-length: 005", false);
    say_data(a, asked, "1234", true);
    CHECK_TOLD(a, asked, "!1");
    CHECK(strstr(told(b, given += 2), "!8"));
    passes(HEAD GRPC "\nte: Trailers", "<:method=POST :scheme=http :path=/svc/hi content-type=application/grpc te=Trailers>|");
    mesh_close();
}

/* What two readers could read in two ways never reaches a provider, wherever in the list it stands. */
static void test_smuggling(void)
{
    static const char *const fields[] = {
        "connection: close", "keep-alive: 1", "proxy-connection: x", "transfer-encoding: chunked", "upgrade: h2c",
        "te: chunked", "te: trailers, deflate", "Abc: x", "a b: x", "a\": x", "x: a\rb", "x: a\x01" "b", "x:  a", "x: a ",
        "content-length: +0", "content-length: 0,0", "content-length: 0\ncontent-length: 0", "content-length: 5",
        "content-length: 99999999999999999999", "content-length: ", "content-length: 0x0", ":path: /svc/late", ":status: 200",
        ":foo: x", "host: a\nhost: b",
    };
    open_pair();
    char lines[400];
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        snprintf(lines, sizeof lines, HEAD GRPC "\n%s", fields[i]);
        refused(lines, "!1");
        snprintf(lines, sizeof lines, HEAD "%s\n" GRPC, fields[i]);
        if (fields[i][0] != ':' || fields[i][1] != 'p')
            refused(lines, "!1");
    }
    static const char *const paths[] = {"svc/hi", "", "*", "/svc/hi#x", "/svc/h i", "http://x/svc/hi"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        snprintf(lines, sizeof lines, ":method: POST\n:scheme: http\n:path: %s\n" GRPC, paths[i]);
        refused(lines, "!1");
    }
    static const char *const tricks[] = {"//svc/hi", "/svc//hi", "/svc%2fhi", "/svc%5Chi", "/x/../svc/hi", "/x/%2e%2e/svc/hi",
                                         "/svc\\hi", "/./svc/hi", "/svc/hi/", "/svc/.;x/hi", "/svc%00/hi"};
    for (size_t i = 0; i < sizeof tricks / sizeof *tricks; i++) {
        snprintf(lines, sizeof lines, ":method: POST\n:scheme: http\n:path: %s\n" GRPC, tricks[i]);
        refused(lines, "<:status=200 ");
    }
    refused(":method: PO ST\n:scheme: http\n:path: /svc/hi\n" GRPC, "!1");
    refused(":method: \n:scheme: http\n:path: /svc/hi\n" GRPC, "!1");
    refused(":method: POST\n:scheme: ja va\n:path: /svc/hi\n" GRPC, "!1");
    refused(":method: POST\n:method: POST\n:scheme: http\n:path: /svc/hi\n" GRPC, "!1");
    refused(":method: CONNECT\n:authority: svc", "!");
    passes(HEAD GRPC, "<:method=POST :scheme=http :path=/svc/hi content-type=application/grpc>|"); /* and all goes on */
    mesh_close();
}

/* A provider may take the first content type and policy the last: so there is one, or they are equal. The answer is HTTP's, as its
 * caller may not read gRPC's. */
static void test_types(void)
{
    static const char *const others[] = {"application/json", "application/grpc+proto", "Application/grpc", "application/grpc,x", ""};
    char lines[200];
    open_pair();
    for (int k = 0; k < 3; k++) { /* as they are recalled then */
        for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
            snprintf(lines, sizeof lines, HEAD GRPC "\ncontent-type: %s", others[i]);
            refused(lines, "<:status=400 ");
            snprintf(lines, sizeof lines, HEAD "content-type: %s\n" GRPC, others[i]);
            refused(lines, "<:status=400 ");
        }
        refused(HTTP ":authority: svc\ncontent-type: text/plain\ncontent-type: text/html", "<:status=400 ");
        passes(HEAD GRPC "\n" GRPC,
               "<:method=POST :scheme=http :path=/svc/hi content-type=application/grpc content-type=application/grpc>|");
    }
    mesh_close();
}

/* Trailers have no pseudo-header field. */
static void test_trailers(void)
{
    open_pair();
    say_head(a, asked += 2, CALL, false);
    say_head(a, asked, ":path: /svc/other", true);
    CHECK_TOLD(a, asked, "!1");
    CHECK_TOLD(b, given + 2, T_CALL "!8");
    mesh_close();
}

/* The shortest blocks there are: what is said for a request that goes nowhere is no more than ten times what it took. */
static void test_amplification(void)
{
    static const struct {
        const char *first; /* literals that the table keeps, at 62 and up, the last first */
        const char *block;
        size_t len;
    } asks[] = {
        {NULL, "\x82\x86\x84", 3},                 /* GET http / of nobody */
        {NULL, "\x83\x86\x85", 3},                 /* POST /index.html */
        {NULL, "\x82\x86", 2},                     /* malformed */
        {"\x44\4/a/b\x5f\x10" "application/grpc", "\x83\x86\xbf\xbe", 4},   /* no such service */
        {"\x44\3//a\x5f\x10" "application/grpc", "\x83\x86\xbf\xbe", 4},    /* a path of tricks */
    };
    for (size_t k = 0; k < 2 * sizeof asks / sizeof *asks; k++) {
        uint8_t end = k % 2 ? MF_H2_END_STREAM : 0, block[64];
        size_t len = 0, in = 0, i = k / 2;
        open_pair();
        if (asks[i].first) {
            len = strlen(asks[i].first);
            memcpy(block, "\x83\x86", 2);
            memcpy(block + 2, asks[i].first, len);
            say_frame(a, MF_H2_HEADERS, MF_H2_END_HEADERS | MF_H2_END_STREAM, asked += 2, block, len + 2);
            settle();
        }
        size_t out = a->conn->out.len;
        for (int n = 0; n < 400; n++) {
            say_frame(a, MF_H2_HEADERS, MF_H2_END_HEADERS | end, asked += 2, asks[i].block, asks[i].len);
            in += MF_H2_HEAD_LEN + asks[i].len;
            settle();
        }
        out = a->conn->out.len - out;
        if (out > 10 * in || out == 0)
            BROKEN("%zu: %zu bytes for %zu", k, out, in);
        CHECK_INT((hear(a), a->goaways), 0);
        CHECK_INT(COUNTED(h2_streams_out), 1);
        mesh_close();
    }
}

/* An integer of HPACK behind `bits` of `first`. */
static size_t put_integer(uint8_t *to, uint8_t first, unsigned bits, size_t value)
{
    size_t most = (1u << bits) - 1, n = 1;
    *to = (uint8_t)(first | (value < most ? value : most));
    if (value < most)
        return n;
    for (value -= most; value >= 0x80; value >>= 7)
        to[n++] = (uint8_t)(value | 0x80);
    to[n++] = (uint8_t)value;
    return n;
}

/* POST /svc/hi of gRPC, without the table. */
static size_t put_ask(uint8_t *to)
{
    static const char ask[] = "\x83\x86\x04\7/svc/hi\x0f\x10\x10" "application/grpc";
    memcpy(to, ask, sizeof ask - 1);
    return sizeof ask - 1;
}

/* Long fields in the caller's table, named by a byte each: what goes to a provider is no more than ten times what it took, and
 * once what the table holds. Where it would be, nothing goes. */
static void test_growth(void)
{
    static uint8_t block[8192];
    enum { NAMED = 16, LONGEST = 3980, OTHERS = 62 }; /* bytes of the other fields */
    for (size_t size = 100; size <= LONGEST; size += 388) {
        open_pair();
        size_t len = put_ask(block);
        block[len++] = 0x40;
        block[len++] = 1;
        block[len++] = 'x';
        len += put_integer(block + len, 0, 7, size);
        memset(block + len, '~', size); /* longer in Huffman's code */
        say_frame(a, MF_H2_HEADERS, MF_H2_END_HEADERS | MF_H2_END_STREAM, asked += 2, block, len + size);
        settle();
        for (int k = 1; k <= NAMED; k++) {
            size_t before = b->conn->out.len;
            uint64_t grown = COUNTED(limit_h2_growth);
            len = put_ask(block);
            memset(block + len, 0x80 | 62, (size_t)k);
            len += (size_t)k;
            say_frame(a, MF_H2_HEADERS, MF_H2_END_HEADERS | MF_H2_END_STREAM, asked += 2, block, len);
            settle();
            size_t out = b->conn->out.len - before;
            if (out > 10 * (len + MF_H2_HEAD_LEN) + MF_HPACK_TABLE)
                BROKEN("%zu bytes for %zu", out, len);
            grown = COUNTED(limit_h2_growth) - grown;
            CHECK_INT(grown, OTHERS + (size_t)k * (size + 1) > MF_HPACK_TABLE + 10 * len);
            CHECK(grown ? out == 0 && strstr(told(a, asked), "<:status=431 ") : out > 0);
        }
        CHECK_INT((hear(a), a->goaways), 0);
        mesh_close();
    }
}

int main(void)
{
    test_host();
    test_odd();
    test_smuggling();
    test_types();
    test_trailers();
    test_amplification();
    test_growth();
    return test_end("h2_form");
}
