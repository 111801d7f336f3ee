/* h2_view: what a request is to policy, by lists written as text, one field a line. */
#include "codec/h2_list.h"
#include "codec/h2_view.h"

static struct mf_h2_request asked;
static struct mf_h2_view view;
static uint8_t room[MF_H2_SCRATCH];
static struct mf_h2_scratch scratch;

static void see_in(struct mf_slice text, size_t len)
{
    list(text);
    CHECK_INT(mf_h2_fields_request(fields, marks, n, &asked), 0);
    scratch = (struct mf_h2_scratch){room, len, 0};
    mf_h2_view_of(fields, marks, n, &asked, &scratch, &view);
}

#define SEE(text) see_in(MF_SLICE(text), sizeof room)
#define HEAD(path) ":method=POST\n:scheme=http\n:path=" path "\n:authority=cart.demo:50051\n"
#define GRPC "content-type=application/grpc\n"

static void test_flavours(void)
{
    static const struct {
        const char *type;
        int flavour;
        const char *answers; /* what ours have as content type, where a grpc-status is read; else NULL */
    } types[] = {
        {"application/grpc", MF_H2_GRPC, "application/grpc"},
        {"application/grpc+proto", MF_H2_GRPC, "application/grpc+proto"},
        {"application/grpc+json", MF_H2_GRPC, "application/grpc+json"},
        {"application/grpc;charset=utf-8", MF_H2_GRPC, "application/grpc"},
        {"application/grpc ; x=y", MF_H2_GRPC, "application/grpc"},
        {"Application/GRPC+proto", MF_H2_GRPC, "application/grpc+proto"},
        {"application/triple+wrapper", MF_H2_TRIPLE, "application/triple+wrapper"},
        {"application/grpc+json;q", MF_H2_GRPC, "application/grpc+json"},
        {"application/grpc+Thrift", MF_H2_GRPC, "application/grpc"},
        {"application/grpc+", MF_H2_GRPC, "application/grpc"},
        {"application/grpc+jso", MF_H2_GRPC, "application/grpc"},
        {"application/grpc+jsons", MF_H2_GRPC, "application/grpc"},
        {"application/grpc+wrapper", MF_H2_GRPC, "application/grpc"},
        {"application/triple+JSON", MF_H2_TRIPLE, "application/triple+json"},
        {"application/triple+proto\t;a=b", MF_H2_TRIPLE, "application/triple+proto"},
        {"application/triple+x", MF_H2_TRIPLE, "application/triple"},
        {"application/triple", MF_H2_TRIPLE, "application/triple"},
        {"application/grpcfoo", MF_H2_PLAIN, NULL},
        {"application/grpc-web+proto", MF_H2_PLAIN, NULL},
        {"application/grp", MF_H2_PLAIN, NULL},
        {"application/triples", MF_H2_PLAIN, NULL},
        {"application/json", MF_H2_PLAIN, NULL},
        {"", MF_H2_PLAIN, NULL},
    };
    char text[200];
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        snprintf(text, sizeof text, HEAD("/a.B/m") "content-type=%s\n", types[i].type);
        see_in(mf_slice_str(text), sizeof room);
        CHECK_INT(view.flavour, types[i].flavour);
        CHECK_INT(view.grpc != 0, types[i].answers != NULL);
        CHECK_STR(mf_h2_view_type(view.grpc), types[i].answers ? types[i].answers : "");
        CHECK_STR(view.content_type, types[i].type);
        CHECK_STR(view.service, view.flavour ? "a.B" : "cart.demo");
        CHECK_STR(view.method, view.flavour ? "m" : "POST");
        CHECK_STR(view.alias, view.flavour ? "cart.demo" : "");
    }
    SEE(HEAD("/a.B/m"));
    CHECK(view.flavour == MF_H2_PLAIN && !view.content_type.ptr);
    SEE(HEAD("/a.B/m") GRPC GRPC);
    CHECK(view.flavour == MF_H2_GRPC && view.grpc);
    CHECK_INT(mf_h2_view_path_check(&view), 0);
    static const char *const mixed[] = {"content-type=text/plain\n" GRPC, GRPC "content-type=text/plain\n", GRPC "content-type=\n"};
    for (size_t i = 0; i < sizeof mixed / sizeof *mixed; i++) {
        snprintf(text, sizeof text, HEAD("/a.B/m") "%s", mixed[i]);
        see_in(mf_slice_str(text), sizeof room);
        CHECK_INT(view.grpc, 0);
        CHECK_INT(mf_h2_view_path_check(&view), MF_EH2_TYPE);
    }
    static const char *const signs[] = {"tri-service-version=2", "tri-service-group=g", "tri-service-timeout=1", "interface=a.B",
                                        "tri-consumer-appname=a", "tri-header-convert=", "tri-trace-traceid=1"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        snprintf(text, sizeof text, HEAD("/a.B/m") GRPC "%s\n", signs[i]);
        see_in(mf_slice_str(text), sizeof room);
        CHECK(view.flavour == MF_H2_TRIPLE && view.grpc);
    }
    SEE(HEAD("/a.B/m") GRPC "tri-=1\nxri-service=2\ninterfaces=a\nx-tri-a=1\n");
    CHECK_INT(view.flavour, MF_H2_GRPC);
    SEE(HEAD("/ctx/a.B/m") GRPC);
    CHECK_INT(view.flavour, MF_H2_TRIPLE);
    SEE(HEAD("/a.B/m") "content-type=application/json\ntri-service-version=1.0.0\n"); /* routed, but not answered as gRPC */
    CHECK(view.flavour == MF_H2_TRIPLE && !view.grpc);
    SEE(HEAD("/health") "content-type=application/json\ntri-service-version=1.0.0\n");
    CHECK(view.flavour == MF_H2_PLAIN && !view.grpc);
    CHECK_STR(view.service, "cart.demo");
    SEE(HEAD("/a.B/m") "interface=a.B\n");
    CHECK_INT(view.flavour, MF_H2_PLAIN);
}

static void path(const char *text, const char *service, const char *method, int rc)
{
    char whole[300];
    snprintf(whole, sizeof whole, HEAD("%s") GRPC, text);
    see_in(mf_slice_str(whole), sizeof room);
    CHECK_STR(view.service, service);
    CHECK_STR(view.method, method);
    CHECK_INT(mf_h2_view_path_check(&view), rc);
}

static void test_services(void)
{
    path("/com.x.Cart/add", "com.x.Cart", "add", 0);
    path("/ctx/com.x.Cart/add", "com.x.Cart", "add", 0);
    path("/a/b/com.x.Cart/add", "com.x.Cart", "add", 0);
    path("/com.x.Cart$Inner/get", "com.x.Cart$Inner", "get", 0);
    path("/pkg.Svc/M", "pkg.Svc", "M", 0);
    path("/com.x.Cart/add?x=/y/z", "com.x.Cart", "add", 0);
    CHECK_STR(view.path, "/com.x.Cart/add");
    CHECK_STR(view.query, "x=/y/z");
    path("/com.x.Cart/add?", "com.x.Cart", "add", 0);
    CHECK(view.query.ptr && view.query.len == 0);
    path("/com.x.Cart/add", "com.x.Cart", "add", 0);
    CHECK(!view.query.ptr);
    path("/com.x.cart;v=1/ADD", "com.x.cart;v=1", "ADD", 0);
    path("/com.x.Cart/%61dd", "com.x.Cart", "%61dd", 0);
    path("/com.x.%zz+\xc3\xbc\"/m%", "com.x.%zz+\xc3\xbc\"", "m%", 0);
    path("/com.x.Cart/add/", "add", "", MF_EH2_PATH_SERVICE);
    path("/com.x.Cart", "", "com.x.Cart", MF_EH2_PATH_SERVICE);
    path("/com.x.Cart?a/b", "", "com.x.Cart", MF_EH2_PATH_SERVICE);
    path("//add", "", "add", MF_EH2_PATH_SERVICE);
    path("/", "", "", MF_EH2_PATH_SERVICE);
    path("//", "", "", MF_EH2_PATH_SERVICE);
    path("/?", "", "", MF_EH2_PATH_SERVICE);
    path("//svc/M", "svc", "M", MF_EH2_PATH_TRICK);
    path("/svc//M", "", "M", MF_EH2_PATH_TRICK);
    path("/ctx//svc/M", "svc", "M", MF_EH2_PATH_TRICK);
    path("/svc%2fM", "", "svc%2fM", MF_EH2_PATH_TRICK);
    path("/svc/M%2Fx", "svc", "M%2Fx", MF_EH2_PATH_TRICK);
    path("/./M", ".", "M", MF_EH2_PATH_TRICK);
    path("/a/../svc/M", "svc", "M", MF_EH2_PATH_TRICK);
    SEE(":method=OPTIONS\n:scheme=http\n:path=*\n" GRPC);
    CHECK_INT(mf_h2_view_path_check(&view), MF_EH2_PATH_SERVICE);
    /* What cannot come through mf_h2_fields_request is refused here, too. */
    view.path = MF_SLICE("svc/M");
    CHECK_INT(mf_h2_view_path_check(&view), MF_EH2_PATH);
    view.path = MF_SLICE("http://a/svc/M");
    CHECK_INT(mf_h2_view_path_check(&view), MF_EH2_PATH);
    view.path = MF_SLICE("");
    CHECK_INT(mf_h2_view_path_check(&view), MF_EH2_PATH);
}

static void test_plain_paths(void)
{
    static const char *const good[] = {"/",       "/a",       "/a/b/",     "//a",    "/a//b",    "/.well-known/x", "/...",    "/a.b/..c",
                                       "/%41",    "/a%",      "/a%2",      "/a;b=c", "/;/x",     "/a?b=/../c\\%2f", "/x/%2e%2e%2e",
                                       "/A/B",    "/a%252f",  "/..%20/x",  "/.a;x",  "/a..;/b"};
    static const char *const bad[] = {"/..",      "/.",       "/a/../b",   "/a/./b", "/a/..",    "/a/.",           "/a/../",   "/a%2fb",
                                      "/a%2Fb",   "/a%5cb",   "/a%5C",     "/a\\b",  "/\\",      "/a%00",          "/%2e",     "/%2E%2e/x",
                                      "/.%2e/x",  "/x/..;/y", "/x/..;a=b/y", "/x/.;", "/x/..%3b/y", "/longlonglonglong/longlonglong/../x",
                                      "/longlonglonglonglonglong\\", "/longlonglonglonglong%5c/longlong"};
    char text[200];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(text, sizeof text, HEAD("%s"), good[i]);
        see_in(mf_slice_str(text), sizeof room);
        CHECK_INT(mf_h2_view_path_check(&view), 0);
        if (mf_h2_view_path_check(&view))
            fprintf(stderr, "    %s\n", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, HEAD("%s"), bad[i]);
        see_in(mf_slice_str(text), sizeof room);
        CHECK_INT(mf_h2_view_path_check(&view), MF_EH2_PATH_TRICK);
        if (!mf_h2_view_path_check(&view))
            fprintf(stderr, "    %s\n", bad[i]);
    }
    SEE(":method=OPTIONS\n:scheme=http\n:path=*\n:authority=a\n");
    CHECK_INT(mf_h2_view_path_check(&view), 0);
    SEE(":method=CONNECT\n:authority=a:1\n");
    CHECK_INT(mf_h2_view_path_check(&view), 0);
    CHECK_STR(view.service, "a");
    CHECK_STR(view.method, "CONNECT");
}

/* A trick at each place of a path of each length, and at a page's end. */
static void test_paths_everywhere(void)
{
    static const char *const tricks[] = {"/../", "/./", "\\", "%2f", "/%2e/", "%00"};
    char text[64];
    for (size_t len = 1; len < 40; len++) {
        view = (struct mf_h2_view){.http_method = MF_SLICE("GET")};
        memset(text, 'a', len);
        text[0] = '/';
        text[len] = 0;
        view.path = guarded(mf_slice_of(text, len));
        CHECK_INT(mf_h2_view_path_check(&view), 0);
        for (size_t t = 0; t < sizeof tricks / sizeof *tricks; t++)
            for (size_t at = 0; at + strlen(tricks[t]) <= len; at++) {
                memset(text, 'a', len);
                memcpy(text + at, tricks[t], strlen(tricks[t]));
                if (at && text[0] != '/')
                    text[0] = '/';
                view.path = guarded(mf_slice_of(text, len));
                CHECK_INT(mf_h2_view_path_check(&view), text[0] == '/' ? MF_EH2_PATH_TRICK : MF_EH2_PATH);
            }
    }
}

static void test_authorities(void)
{
#define ASK(authority) ":method=GET\n:scheme=http\n:path=/\n:authority=" authority "\n"
    SEE(ASK("cart.demo"));
    CHECK_STR(view.service, "cart.demo");
    CHECK_STR(view.authority, "cart.demo");
    CHECK(view.authority.ptr == asked.authority.ptr && scratch.used == 0);
    SEE(ASK("Cart.DEMO.svc:8080"));
    CHECK_STR(view.service, "cart.demo.svc");
    CHECK_STR(view.authority, "cart.demo.svc:8080");
    CHECK(!view.lost && scratch.used == 18);
    SEE(ASK("cart.demo.svc.cluster.locaL"));
    CHECK_STR(view.service, "cart.demo.svc.cluster.local");
    SEE(ASK("a:"));
    CHECK_STR(view.service, "a");
    SEE(ASK("[::1]"));
    CHECK_STR(view.service, "[::1]");
    SEE(ASK("[FE80::1]:80"));
    CHECK_STR(view.service, "[fe80::1]");
    SEE(ASK("10.0.0.1:80"));
    CHECK_STR(view.service, "10.0.0.1");
    SEE(ASK("\xc3\x84.b"));
    CHECK_STR(view.service, "\xc3\x84.b");
    for (int c = 0x21; c < 256; c++) { /* each byte, in a word and behind it: 'A' to 'Z' alone change */
        char text[] = "aaaaaaaaaaaaaaaaaaaaa", *at = text + (c % 2 ? 3 : 18);
        list(MF_SLICE(ASK("a")));
        mf_h2_fields_request(fields, marks, n, &asked);
        *at = (char)c;
        asked.authority = mf_slice_str(text);
        scratch.used = 0;
        mf_h2_view_of(fields, marks, n, &asked, &scratch, &view);
        CHECK_INT(view.authority.ptr[at - text], c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    SEE(":method=GET\n:scheme=http\n:path=/\nhost=A.b:80\n");
    CHECK_STR(view.service, "a.b");
    CHECK_STR(view.authority, "a.b:80");
    SEE(":method=GET\n:scheme=http\n:path=/\n");
    CHECK_STR(view.service, "");
    see_in(MF_SLICE(ASK("Cart.demo:1")), 10);
    CHECK(view.lost && scratch.used == 0);
    CHECK_STR(view.service, "Cart.demo");
    see_in(MF_SLICE(ASK("Cart.demo:1")), 11);
    CHECK(!view.lost);
    CHECK_STR(view.scheme, "http");
    CHECK_STR(view.http_method, "GET");
}

static void deadline(const char *text, int64_t ms, int at, int tri_at, int count, bool bad)
{
    char whole[300];
    snprintf(whole, sizeof whole, HEAD("/a.B/m") GRPC "%s", text);
    see_in(mf_slice_str(whole), sizeof room);
    CHECK_INT(view.timeout_ms, ms);
    CHECK_INT(view.timeout_at, at);
    CHECK_INT(view.tri_timeout_at, tri_at);
    CHECK_INT(view.n_timeouts, count);
    CHECK_INT(view.bad_timeout, bad);
}

static void test_deadlines(void)
{
    deadline("", -1, -1, -1, 0, false);
    deadline("grpc-timeout=500m\n", 500, 5, -1, 1, false);
    deadline("grpc-timeout=1n\n", 1, 5, -1, 1, false);
    deadline("grpc-timeout=1000001n\n", 2, 5, -1, 1, false);
    deadline("grpc-timeout=0n\n", 0, 5, -1, 1, false);
    deadline("grpc-timeout=99999999H\n", INT64_MAX / 1000000 + 1, 5, -1, 1, false);
    deadline("grpc-timeout=100000000m\n", -1, -1, -1, 0, true);
    deadline("grpc-timeout=\n", -1, -1, -1, 0, true);
    deadline("grpc-timeout=100m\ngrpc-timeout=10S\n", 100, 5, -1, 2, false);
    deadline("grpc-timeout=10S\ngrpc-timeout=100m\n", 100, 6, -1, 2, false);
    deadline("grpc-timeout=5x\ngrpc-timeout=100m\n", 100, 6, -1, 1, true);
    deadline("grpc-timeout=100m\ntri-service-timeout=50\n", 50, 5, 6, 2, false);
    deadline("tri-service-timeout=50\ngrpc-timeout=20m\n", 20, 6, 5, 2, false);
    deadline("tri-service-timeout=0\ngrpc-timeout=20m\n", 20, 6, -1, 1, false);
    deadline("tri-service-timeout=x\n", -1, -1, -1, 0, true);
}

static void goes_on_of(bool dubbo, const char *name, const char *value, uint64_t left, const char *want)
{
    struct mf_pair field = {mf_slice_str(name), mf_slice_str(value)};
    uint8_t *last;
    fenced(MF_H2_DEADLINE_ROOM, &last);
    uint8_t *to = last - MF_H2_DEADLINE_ROOM;
    struct mf_h2_mark mark = mf_h2_mark_judge(field, (struct mf_h2_mark){0, 0});
    CHECK_STR(mf_slice_of(to, mf_h2_view_deadline_put(field, mark, dubbo, left, to)), want);
}

static void goes_on(const char *name, const char *value, uint64_t left, const char *want)
{
    goes_on_of(false, name, value, left, want);
}

static void test_a_countdown_of_dubbo_goes_on(void)
{
    goes_on("_to", "500", 300000000, "");
    goes_on_of(true, "_to", "500", 300999999, "300");
    goes_on_of(true, "_to", "500", 900000000, "500");
    goes_on_of(true, "_to", "0", 5, "");
    goes_on_of(true, "_to", "x", 5, "");
    goes_on_of(true, "_tx", "500", 5, "");
    goes_on_of(true, "grpc-timeout", "500m", 300000000, "300000u");
    SEE(HEAD("/a.B/m") GRPC "_to=5\ntri-consumer-appname=a\n");
    CHECK(mf_h2_view_dubbo(marks, n));
    CHECK_INT(view.timeout_ms, -1);
    SEE(HEAD("/a.B/m") GRPC "_to=5\ntri-header-convert=a\n");
    CHECK(!mf_h2_view_dubbo(marks, n));
}

static void test_deadlines_go_on(void)
{
    goes_on("grpc-timeout", "500m", 300000000, "300000u");
    goes_on("grpc-timeout", "500m", 0, "1n");
    goes_on("grpc-timeout", "100m", 10000000000, "100000u"); /* never more than came */
    goes_on("grpc-timeout", "99999999H", UINT64_MAX, "2562047H");
    goes_on("grpc-timeout", "100000000m", 5, ""); /* no deadline */
    goes_on("grpc-timeout", "0n", 5, "");
    goes_on("tri-service-timeout", "50", 30999999, "30");
    goes_on("tri-service-timeout", "50", 0, "1");
    goes_on("tri-service-timeout", "999999999999999999", UINT64_MAX, "9223372036854");
    goes_on("tri-service-timeout", "0", 5, "");
    goes_on("x", "500m", 5, "");
}

static void test_others(void)
{
    SEE(HEAD("/a.B/m") GRPC "tri-service-version=1\ntri-service-version=2\ntri-service-group=g\nx=y\nbaggage=a=1\nbaggage=b=2\n");
    CHECK_STR(view.version, "2");
    CHECK_STR(view.group, "g");
    CHECK_INT(view.baggage_at, 9);
    SEE(HEAD("/a.B/m") GRPC);
    CHECK(view.version.len == 0 && view.group.len == 0 && view.baggage_at == -1);
}

static void test_params(void)
{
    static const struct {
        const char *query, *name, *value;
    } cases[] = {
        {"a=1&b=2", "a", "1"},  {"a=1&b=2", "b", "2"},    {"a=1&b=2", "c", NULL}, {"a=1&a=2", "a", "1"}, {"a", "a", ""},
        {"a=", "a", ""},        {"&&a=b=c&", "a", "b=c"}, {"", "a", NULL},        {"", "", NULL},        {"aa=1", "a", NULL},
        {"x&=2", "", "2"},      {"a=%31", "a", "%31"},    {"%61=1", "a", NULL},   {"&", "", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mf_slice value = {NULL, 0};
        bool there = mf_h2_view_param(guarded(mf_slice_str(cases[i].query)), mf_slice_str(cases[i].name), &value);
        CHECK_INT(there, cases[i].value != NULL);
        if (there && cases[i].value)
            CHECK_STR(value, cases[i].value);
    }
    struct mf_slice value;
    CHECK(!mf_h2_view_param(mf_slice_of(NULL, 0), MF_SLICE("a"), &value));
}

int main(void)
{
    test_flavours();
    test_services();
    test_plain_paths();
    test_paths_everywhere();
    test_authorities();
    test_deadlines();
    test_deadlines_go_on();
    test_a_countdown_of_dubbo_goes_on();
    test_others();
    test_params();
    return test_end("codec/h2_view");
}
