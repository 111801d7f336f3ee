/* h2_request, h2_like, h2_frozen: requests that differ in their trace id alone: each goes where its own id's label says, with its own
 * id, and with that again where another peer is asked. */
#include "h2_judge.h"

#define TRACED ":method: POST\n:scheme: http\n:path: /svc/hi\n:authority: svc\nx-request-id: %s\ncontent-type: application/grpc"
#define T_TRACED "<:method=POST :scheme=http :path=/svc/hi :authority=svc x-request-id=%s content-type=application/grpc%s>|"

enum { CALLS = 24 };

/* Every third is known to be of dev1; with the length, the bytes that stand for it change, too. */
static bool name(char id[32], int turn)
{
    snprintf(id, 32, "%.*s-%d", 1 + turn * 5 % 16, "aBcDeFgHiJkLmNoP", turn);
    return turn % 3 == 1;
}

static void learn_all(void)
{
    int label = mf_label_intern(mesh.table, MF_SLICE("dev"));
    for (int turn = 0; turn < CALLS; turn++) {
        char id[32];
        bool evicted;
        struct mf_trace_entry entry = {.value = MF_SLICE("dev1"), .label = (uint32_t)label};
        if (name(id, turn)) {
            entry.id = mf_slice_str(id);
            CHECK_INT(mf_trace_put(mesh.trace, &entry, fake.now, &evicted), MF_TRACE_STORED);
        }
    }
}

static void say_traced(struct peer *a, int turn)
{
    char id[32], lines[256];
    name(id, turn);
    snprintf(lines, sizeof lines, TRACED, id);
    say_head(a, (uint32_t)(2 * turn + 1), lines, true);
}

static void check_traced(struct peer *b, uint32_t id, int turn)
{
    char trace[32], want[256];
    bool dev = name(trace, turn);
    snprintf(want, sizeof want, T_TRACED, trace, dev ? " dev=dev1" : "");
    CHECK_TOLD(b, id, want);
}

static void answer(struct peer *b, uint32_t id)
{
    say_head(b, id, OK, false);
    say_head(b, id, DONE, true);
}

static void test_labels(void)
{
    mesh_open(MF_OUTBOUND, 2, NULL);
    learn_all();
    struct peer *a = caller(), *b[2] = {NULL, NULL};
    uint32_t next[2] = {1, 1};
    for (int turn = 0; turn < CALLS; turn++) {
        char id[32];
        int dev = name(id, turn);
        say_traced(a, turn);
        if (!b[dev])
            b[dev] = provider();
        CHECK_INT(port_of(b[dev]), dev + 1);
        check_traced(b[dev], next[dev], turn);
        answer(b[dev], next[dev]);
        CHECK_TOLD(a, (uint32_t)(2 * turn + 1), T_OK T_DONE);
        next[dev] += 2;
    }
    mesh_close();
}

/* All at once, and whoever has them leaves: each is made again as it was. */
static void test_again(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    for (int turn = 0; turn < 8; turn++)
        say_traced(a, turn);
    struct peer *b = provider();
    for (int turn = 0; turn < 8; turn++)
        if (turn % 3 != 1)
            check_traced(b, (uint32_t)(2 * turn + 1), turn);
    say_goaway(b, 3, MF_H2_NO_ERROR);
    struct peer *c = provider();
    for (int turn = 2; turn < 8; turn++)
        if (turn % 3 != 1)
            check_traced(c, (uint32_t)(2 * turn - 3), turn);
    for (int turn = 0; turn < 8; turn++)
        answer(turn < 2 ? b : c, (uint32_t)(turn < 2 ? 2 * turn + 1 : 2 * turn - 3));
    for (int turn = 0; turn < 8; turn++)
        CHECK_TOLD(a, (uint32_t)(2 * turn + 1), T_OK T_DONE);
    mesh_close();
}

/* As many labels as there are, all this workload's own. */
static void own_labels(void)
{
    static char names[MF_PLAN_LABELS][16];
    struct mf_labels plan = {.n_labels = MF_PLAN_LABELS};
    for (uint32_t i = 0; i < plan.n_labels; i++) {
        struct mf_slice name = mf_slice_of(names[i], (size_t)snprintf(names[i], sizeof names[i], "label-%u", i));
        int index = mf_label_intern(mesh.table, name);
        NEED(index);
        plan.labels[i] = (struct mf_label){.name = name, .index = (uint32_t)index, .n_sources = 1};
        plan.labels[i].sources[0] = (struct mf_label_source){MF_LABEL_LOCAL, MF_TRACEID_PLAIN, MF_SLICE("here")};
    }
    NEED(mf_table_publish_labels(mesh.table, &plan));
}

/* The most fields, labels and members of baggage that there may be, and again with what was added. */
static void test_most_again(void)
{
    static char lines[8192];
    mesh_open(MF_OUTBOUND, 1, NULL);
    own_labels();
    struct peer *a = caller();
    size_t len = (size_t)snprintf(lines, sizeof lines, CALL "\nbaggage: a=b");
    for (int i = 1; i < 64; i++)
        len += (size_t)snprintf(lines + len, sizeof lines - len, ",a%d=b", i);
    for (uint64_t n = 6; n < mesh.limits.h2_fields; n++)
        len += (size_t)snprintf(lines + len, sizeof lines - len, "\nx-%d: y", (int)n);
    say_head(a, 1, lines, true);
    struct peer *b = provider();
    for (uint32_t id = 1; id < 5; id += 2) {
        CHECK(strstr(told(b, id), "label-15=here"));
        if (id == 1)
            say_rst(b, id, MF_H2_REFUSED_STREAM);
        else
            answer(b, id);
        settle();
    }
    CHECK_TOLD(a, 1, T_OK T_DONE);
    mesh_close();
}

/* Ids of any length, by turns: what a table of fields takes, what it does not, and what is longer than a frame. */
static void test_lengths(void)
{
    static const int pads[] = {2300, 0, 24000};
    for (int from = 0; from < 3; from++) {
        memset(&serve, 0, sizeof serve);
        mesh_open(MF_OUTBOUND, 1, NULL);
        struct peer *a = caller();
        for (int i = 0; i < 24; i++) {
            serve_traced(a, (uint32_t)(2 * i + 1), "eert"[i % 4], 0, "", pads[(from + i / 4) % 3]);
            serve_turn();
            serve_turn();
        }
        serve_all();
        serve_judge(a);
        CHECK_INT(serve.asked[0], 1);
        mesh_close();
    }
}

int main(void)
{
    test_labels();
    test_again();
    test_most_again();
    test_lengths();
    return test_end("h2_traced");
}
