/* answers of ours: who is told a grpc-status and with which content type, who an HTTP status, whatever the method; and that
 * neither depends on whether the fields were read or recalled. */
#define TOLD 256
#include "h2_mesh.h"

static const struct {
    const char *type, *answers; /* NULL: HTTP's own */
} types[] = {
    {"content-type: application/grpc", "application/grpc"},
    {"content-type: application/grpc+json", "application/grpc+json"},
    {"content-type: application/grpc+proto; a=b", "application/grpc+proto"},
    {"content-type: application/grpc+thrift", "application/grpc"},
    {"content-type: application/triple+wrapper", "application/triple+wrapper"},
    {"content-type: application/grpc-web+proto", NULL},
    {"content-type: application/json\ntri-service-version: 1.0.0", NULL},
    {"content-type: application/grpcfoo", NULL},
    {"tri-service-version: 1.0.0", NULL},
    {"x-none: 1", NULL},
};
static const char *const methods[] = {"POST", "GET", "HEAD"};
enum { TYPES = sizeof types / sizeof *types, METHODS = 3, TURNS = 4 };

static void ask(struct peer *peer, uint32_t id, int method, int type, const char *host, const char *more)
{
    char lines[400];
    snprintf(lines, sizeof lines, ":method: %s\n:scheme: http\n:path: /%s/hi\n:authority: %s\n%s%s", methods[method], host,
             host, types[type].type, more);
    say_head(peer, id, lines, true);
}

static void check_answer(struct peer *peer, uint32_t id, int method, int type, int grpc, int http)
{
    char want[200];
    int before = test_failures;
    const char *text = (settle(), told(peer, id));
    if (types[type].answers)
        snprintf(want, sizeof want, "<:status=200 content-type=%s grpc-status=%d grpc-message=", types[type].answers, grpc);
    else
        snprintf(want, sizeof want, "<:status=%d content-type=text/plain; charset=utf-8 content-length=", http);
    CHECK_STARTS(text, want);
    CHECK(strstr(text, types[type].answers || strcmp(methods[method], "HEAD") == 0 ? ">|" : ">meshfast: "));
    CHECK(types[type].answers || !strstr(text, "grpc-status"));
    if (test_failures > before)
        fprintf(stderr, "    %s, %s: %s\n", methods[method], types[type].type, text);
}

static struct peer *silent;

typedef void (*each_fn)(struct peer *peer, uint32_t id, int method, int type);

static void of_each(struct peer *peer, each_fn each)
{
    uint32_t id = 1;
    for (int type = 0; type < TYPES; type++)
        for (int method = 0; method < METHODS; method++)
            for (int turn = 0; turn < TURNS; turn++, id += 2)
                each(peer, id, method, type);
}

static void nowhere(struct peer *peer, uint32_t id, int method, int type)
{
    ask(peer, id, method, type, "nowhere", "");
    check_answer(peer, id, method, type, 12, 404);
}

static void nobody(struct peer *peer, uint32_t id, int method, int type)
{
    ask(peer, id, method, type, "svc", "");
    check_answer(peer, id, method, type, 14, 503);
}

static void too_many(struct peer *peer, uint32_t id, int method, int type)
{
    ask(peer, id, method, type, "svc", "");
    check_answer(peer, id, method, type, 8, 429);
}

static void too_late(struct peer *peer, uint32_t id, int method, int type)
{
    ask(peer, id, method, type, "svc", "\ngrpc-timeout: 50m");
    CHECK_TOLD(peer, id, "");
    say_ping(silent, id, false); /* it is there, and only slow */
    pass(60);
    check_answer(peer, id, method, type, 4, 504);
}

static void one_call(struct mf_limits *limits)
{
    limits->max_calls = 1;
}

static void test_of(int n_peers, void (*change)(struct mf_limits *limits), each_fn each, bool busy)
{
    mesh_open(MF_OUTBOUND, n_peers, change);
    if (n_peers) { /* one that says nothing to calls */
        struct peer *first = caller();
        say_head(first, 1, CALL, true);
        silent = provider();
        if (!busy) {
            say_head(silent, 1, OK "\ngrpc-status: 0", true);
            CHECK(strstr((settle(), told(first, 1)), "grpc-status=0"));
        }
    }
    of_each(caller(), each);
    mesh_close();
}

int main(void)
{
    test_of(0, NULL, nowhere, false);
    test_of(0, NULL, nobody, false);
    test_of(1, one_call, too_many, true);
    test_of(1, NULL, too_late, false);
    return test_end("h2_local");
}
