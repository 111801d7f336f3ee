/* h2_view, h2_request, call: deadlines in every form that callers give them, and calls whose answer comes as they run out. */
#define TOLD 4096
#include "h2_mesh.h"

#define CALL_TO(path) FIELDS("/svc/" path, "application/grpc")
enum { NONE = -1, LONG = 3600000 };

/* `said`: fields; `ms`: after so long its caller is told 4; NONE: never, LONG: not soon. `bad`: counted as none. */
struct form {
    const char *said;
    int ms;
    bool bad;
};

static const struct form forms[] = {
    {"grpc-timeout: 1n", 1, false},
    {"grpc-timeout: 99999999n", 100, false},
    {"grpc-timeout: 1u", 1, false},
    {"grpc-timeout: 20m", 20, false},
    {"grpc-timeout: 1S", 1000, false},
    {"grpc-timeout: 00000001S", 1000, false},
    {"grpc-timeout: 1M", LONG, false},
    {"grpc-timeout: 1H", LONG, false},
    {"grpc-timeout: 99999999H", LONG, false},
    {"grpc-timeout: 99999999M", LONG, false},
    {"grpc-timeout: 0n", 0, false},
    {"grpc-timeout: 0m", 0, false},
    {"grpc-timeout: 00000000H", 0, false},
    {"grpc-timeout: 100000000m", NONE, true},
    {"grpc-timeout: 000000001S", NONE, true},
    {"grpc-timeout: ", NONE, true},
    {"grpc-timeout: 5", NONE, true},
    {"grpc-timeout: S", NONE, true},
    {"grpc-timeout: 5x", NONE, true},
    {"grpc-timeout: 5s", NONE, true},
    {"grpc-timeout: 5h", NONE, true},
    {"grpc-timeout: -1m", NONE, true},
    {"grpc-timeout: +1m", NONE, true},
    {"grpc-timeout: 1.5S", NONE, true},
    {"grpc-timeout: 5 m", NONE, true},
    {"grpc-timeout: 1S, 2S", NONE, true},
    {"grpc-timeout: 100m\ngrpc-timeout: 10S", 100, false},
    {"grpc-timeout: 10S\ngrpc-timeout: 100m", 100, false},
    {"grpc-timeout: 5x\ngrpc-timeout: 100m", 100, true},
    {"grpc-timeout: 100m\ntri-service-timeout: 50", 50, false},
    {"tri-service-timeout: 50\ngrpc-timeout: 100m", 50, false},
    {"grpc-timeout: 20m\ntri-service-timeout: 5000", 20, false},
    {"grpc-timeout: 100m\ntri-service-timeout: 0", 100, false}, /* none, as Dubbo has it */
    {"tri-service-timeout: 5x", NONE, true},
    {"tri-service-timeout: 9999999999999999999", NONE, true},
    {"tri-service-timeout: 999999999999999999", LONG, false},
};

/* As it is told: "a: b\nc: d" becomes "a=b c=d". */
static const char *as_told(const char *said)
{
    static char text[256];
    size_t n = 0;
    for (const char *p = said; *p && n < sizeof text - 1; p++) {
        if (p[0] == ':' && p[1] == ' ') {
            text[n++] = '=';
            p++;
        } else {
            text[n++] = *p == '\n' ? ' ' : *p;
        }
    }
    text[n] = 0;
    return text;
}

static void say_done(struct peer *b, uint32_t id)
{
    say_head(b, id, OK, false);
    say_head(b, id, DONE, true);
}

/* It is there. */
static void answer_ping(struct peer *peer)
{
    uint64_t before = peer->ping;
    hear(peer);
    if (peer->ping != before)
        say_ping(peer, peer->ping, true);
}

/* Each form the first time, and as often as it takes to be recalled. */
static void test_forms(void)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const struct form *form = &forms[i];
        char lines[300], want[300];
        mesh_open(MF_OUTBOUND, 1, NULL);
        struct peer *a = caller();
        say_head(a, 1, CALL_TO("hi"), true); /* so that none waits for a connection */
        struct peer *b = provider();
        say_head(b, 1, OK "\ngrpc-status: 0", true);
        settle();
        snprintf(lines, sizeof lines, CALL_TO("hi") "\n%s", form->said);
        snprintf(want, sizeof want, "%s", T_CALL);
        snprintf(want + strlen(want) - 1, sizeof want - strlen(want), " %s>|", as_told(form->said));
        for (uint32_t k = 0; k < 4; k++) {
            uint32_t id = 3 + 2 * k;
            uint64_t before = fake.now, took;
            hear(b);
            int told_before = b->n_told;
            say_head(a, id, lines, true);
            settle();
            hear(b);
            if (form->ms == 0) {
                CHECK_INT(b->n_told, told_before);
            } else { /* nothing of it has passed: as it came, but for maxCallTimeout */
                struct told *of = &b->told[b->n_told - 1];
                const char *text = told(b, of->id);
                CHECK(strcmp(text, want) == 0 || (form->ms == LONG && strstr(text, "-timeout=3600000")));
            }
            for (hear(a); !told_of(a, id)->ended && fake.now < before + UINT64_C(50000000000); hear(a)) {
                fake_turn(1000000000);
                answer_ping(b);
            }
            took = (fake.now - before) / 1000000;
            if (form->ms == NONE || form->ms == LONG) {
                CHECK_TOLD(a, id, "");
                say_head(b, b->told[b->n_told - 1].id, OK "\ngrpc-status: 0", true);
                CHECK(strstr((settle(), told(a, id)), "grpc-status=0"));
            } else {
                CHECK(took >= (uint64_t)form->ms && took <= (uint64_t)form->ms + 2);
                CHECK(strstr(told(a, id), "grpc-status=4 "));
            }
        }
        CHECK_INT(COUNTED(bad_deadlines), form->bad ? 4 : 0);
        mesh_close();
    }
}

static uint64_t read_ns(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    char unit;
    unsigned long long n;
    if (!at || sscanf(at + strlen(name), "%llu%c", &n, &unit) != 2)
        return 0;
    return n * (unit == 'n' ? 1 : unit == 'u' ? 1000 : unit == 'S' ? 1000000000 : 1000000); /* tri-service-timeout has none: ms */
}

/* What goes on after a wait is of the form, positive, and never more than came. */
static void test_less(void)
{
    static const struct {
        const char *said, *names[2];
        uint64_t ns[2];
    } cases[] = {
        {"grpc-timeout: 99999999H", {"grpc-timeout="}, {99999999 * UINT64_C(3600000000000)}},
        {"grpc-timeout: 2M", {"grpc-timeout="}, {UINT64_C(120000000000)}},
        {"grpc-timeout: 99999999u", {"grpc-timeout="}, {UINT64_C(99999999000)}},
        {"grpc-timeout: 701m", {"grpc-timeout="}, {UINT64_C(701000000)}},
        {"grpc-timeout: 5x\ngrpc-timeout: 3S", {"grpc-timeout=5x grpc-timeout="}, {UINT64_C(3000000000)}},
        {"grpc-timeout: 900m\ngrpc-timeout: 10S", {"grpc-timeout=", NULL}, {UINT64_C(900000000)}},
        {"grpc-timeout: 10S\ntri-service-timeout: 900", {"grpc-timeout=", "tri-service-timeout="},
         {UINT64_C(900000000), UINT64_C(900000000)}},
        {"grpc-timeout: 100000000m", {NULL}, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char lines[300];
        mesh_open(MF_OUTBOUND, 1, NULL);
        struct peer *a = caller();
        snprintf(lines, sizeof lines, CALL_TO("hi") "\n%s", cases[i].said);
        say_head(a, 1, lines, true);
        settle();
        pass(700);
        struct peer *b = provider();
        const char *text = told(b, 1);
        if (!cases[i].names[0])
            CHECK(strstr(text, as_told(cases[i].said)));
        for (int k = 0; k < 2 && cases[i].names[k]; k++) {
            uint64_t ns = read_ns(text, cases[i].names[k]), most = cases[i].ns[k];
            most = most > UINT64_C(3600000000000) ? most : most - UINT64_C(700000000);
            CHECK(ns > 0 && ns <= cases[i].ns[k] && ns < most + UINT64_C(1000000)); /* of deadlines whole ms are kept */
            CHECK(most > UINT64_C(3600000000000) || ns + UINT64_C(10000000) >= most);
            const char *digits = strstr(text, cases[i].names[k]) + strlen(cases[i].names[k]);
            CHECK(strspn(digits, "0123456789") <= 8);
        }
        mesh_close();
    }
}

/* The only rule of `svc` has that timeout. */
static void ruled(uint32_t ms)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    NEED(mf_cluster_new(mesh.table, MF_SLICE("other"), &cluster));
    NEED(mf_cluster_add(mesh.table, cluster, MF_SLICE("127.0.0.1:1"), NULL, 0, 1));
    NEED(mf_cluster_seal(mesh.table, cluster));
    NEED(mf_service_new(mesh.table, MF_SLICE("svc"), MF_SERVICE_EXACT, &service));
    NEED(mf_service_rule(service, ms));
    NEED(mf_service_target(mesh.table, service, 0, cluster, MF_TARGET_ALL, MF_SLICE(""), 100, MF_FALLBACK_NO_AVAILABLE,
                           MF_NO_TARGET));
    NEED(mf_table_publish(mesh.table, service));
    mf_cluster_give(mesh.table, cluster);
}

/* A rule's timeout goes on in the call's own words; one of gRPC that has none is told. As often as it takes to be recalled. */
static void test_by_rule(void)
{
    static const struct {
        const char *head, *name;
        bool none;
    } cases[] = {
        {CALL_TO("hi"), "grpc-timeout=", false},
        {CALL_TO("hi") "\ngrpc-timeout: 10S", "grpc-timeout=", false},
        {CALL_TO("hi") "\ntri-service-timeout: 10000", "tri-service-timeout=", false},
        {CALL_TO("hi") "\ngrpc-timeout: 5x", "grpc-timeout=5x>", true},
        {FIELDS("/svc/hi", "application/json"), "application/json>", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mesh_open(MF_OUTBOUND, 1, NULL);
        ruled(500);
        struct peer *a = caller(), *b = NULL;
        for (uint32_t id = 1; id < 9; id += 2) {
            say_head(a, id, cases[i].head, true);
            settle();
            b = b ? b : provider();
            const char *text = told(b, id), *first = strstr(text, "-timeout=");
            uint64_t ns = read_ns(text, cases[i].name);
            CHECK(strstr(text, cases[i].name));
            CHECK(cases[i].none || (ns <= UINT64_C(500000000) && ns > UINT64_C(450000000)));
            CHECK(!first || !strstr(first + 1, "-timeout="));
            say_done(b, id);
            settle();
        }
        mesh_close();
    }
}

/* All on one connection, however many of them are cut short. */
static void together(struct mf_limits *limits)
{
    limits->h2_cancels = limits->h2_cuts = UINT32_MAX;
}

/* Answers that come a moment before the deadline, at it and behind it, whole or in two halves with the deadline between: one
 * end each, 0 or 4, or a reset where half of it had come; the provider's places are free again, each once. */
static void test_at_the_edge(void)
{
    enum { ROUNDS = 100, AT_ONCE = 10, DEADLINE = 20 };
    mesh_open(MF_OUTBOUND, 1, together);
    struct peer *a = caller(), *b = NULL;
    uint32_t id = 1, good = 0, late = 0, torn = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t first = id;
        int from = 0;
        uint64_t begun = fake.now;
        for (int i = 0; i < AT_ONCE; i++, id += 2)
            say_head(a, id, CALL_TO("hi") "\ngrpc-timeout: 20m", true);
        settle();
        b = b ? b : provider_with((const uint32_t[]){MF_H2_MAX_CONCURRENT_STREAMS, AT_ONCE, 0});
        hear(b);
        from = b->n_told - AT_ONCE; /* a place that was lost would leave one of them waiting */
        if (from < 0)
            BROKEN("round %d: places are lost", round);
        int at = DEADLINE - 1 + round % 3;
        say_head(b, b->told[from].id, OK, false);
        say_data(b, b->told[from].id, "half", false);
        while (fake.now < begun + (uint64_t)at * 1000000)
            fake_turn((int64_t)(begun + (uint64_t)at * 1000000 - fake.now));
        for (int i = 0; i < AT_ONCE; i++) {
            uint32_t of = b->told[from + i].id;
            if (i)
                say_head(b, of, OK, false);
            say_data(b, of, "whole", false);
            say_head(b, of, DONE, true);
        }
        settle();
        uint64_t expired = begun + (DEADLINE + 3) * UINT64_C(1000000);
        while (fake.now < expired)
            fake_turn((int64_t)(expired - fake.now));
        settle();
        for (uint32_t k = first; k < id; k += 2) {
            const char *text = told(a, k);
            if (strcmp(text, T_OK "halfwhole" T_DONE) == 0 || strcmp(text, T_OK "whole" T_DONE) == 0)
                good++;
            else if (strcmp(text, T_OK "half!8") == 0)
                torn++;
            else if (strncmp(text, "<:status=200 content-type=application/grpc grpc-status=4 ", 57) == 0)
                late++;
            else
                BROKEN("round %d: %s", round, text);
            CHECK(at >= DEADLINE || strstr(text, T_DONE));
        }
        hear(b);
        for (int i = 0; i < AT_ONCE; i++) {
            const struct told *of = &b->told[from + i];
            bool whole = strcmp(told(a, first), "") == 0; /* asked for above: nothing comes behind an end */
            CHECK(whole && (!of->reset || at >= DEADLINE));
        }
        CHECK_INT(COUNTED(calls_active), 0);
    }
    CHECK_INT(good + late + torn, ROUNDS * AT_ONCE);
    CHECK(good > 0 && late > 0 && torn > 0);
    CHECK_INT(COUNTED(limit_call_timeout), late + torn);
    CHECK_INT(a->goaways + b->goaways, 0);
    CHECK_INT(COUNTED(h2_resets_out), 2 * torn + late);
    mesh_close();
}

int main(void)
{
    test_forms();
    test_less();
    test_by_rule();
    test_at_the_edge();
    return test_end("h2_deadline");
}
