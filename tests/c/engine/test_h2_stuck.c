/* h2_blame, stuck, lane: uploads that a provider does not read, of many callers at once: those of others stay quick, and where
 * everything is read no connection is made for them. */
#define FAKE_CONNS 256
#define TOLD 512
#include "h2_mesh.h"

enum { HOGS = 60, SOON_MS = 45, EVERY = 4 };
#define HUNG FIELDS("/svc/hung", "application/grpc")

static struct {
    bool half;        /* providers give windows back by halves, else at once */
    uint32_t dribble; /* of a connection's, so much at each turn, whatever was read */
    int connections;
    size_t read[FAKE_CONNS], given[FAKE_CONNS];
} run;

/* Of a call that is read. */
static void serve(struct peer *peer, struct told *told)
{
    size_t *read = &run.read[peer - peers], *given = &run.given[peer - peers];
    if (!told->text.len || memmem(told->text.ptr, told->text.len, "/hung", 5))
        return;
    *read += told->content - told->taken;
    told->taken = told->content;
    if (*read - *given >= (run.half ? 32768 : 1)) {
        say_window(peer, 0, (uint32_t)(*read - *given));
        *given = *read;
    }
    if (!told->ended && told->content - told->sent >= 8192) {
        say_window(peer, told->id, (uint32_t)(told->content - told->sent));
        told->sent = told->content;
    }
    if (told->ended && !told->answered && !told->reset) {
        told->answered = true;
        say_head(peer, told->id, OK "\ngrpc-status: 0", true);
    }
}

static void turn(int64_t ms)
{
    pass((uint64_t)ms);
    for (int i = 0; i < fake.n; i++) {
        struct fake_conn *conn = &fake.conns[i];
        if (!conn->sock || !conn->up)
            continue;
        if (!conn->answered) {
            fake_answer_connect(conn, 0);
            say_hello(join(conn), NULL);
            run.connections++;
            continue;
        }
        hear(peer_of(conn));
        if (run.dribble)
            say_window(peer_of(conn), 0, run.dribble);
        for (int k = 0; k < peer_of(conn)->n_told; k++)
            serve(peer_of(conn), &peer_of(conn)->told[k]);
    }
    settle();
}

static void open_mesh(void (*change)(struct mf_limits *limits), bool half)
{
    memset(&run, 0, sizeof run);
    run.half = half;
    mesh_open(MF_OUTBOUND, 1, change);
}

/* An upload of `c`'s, which is to be answered soon. */
static void upload(struct peer *c, uint32_t id, size_t size)
{
    int64_t waited = 0;
    say_head(c, id, CALL, false);
    say_much(c, id, size, true);
    for (; waited <= SOON_MS && !strstr(told(c, id), "grpc-status=0"); waited += EVERY)
        turn(EVERY);
    if (waited > SOON_MS)
        BROKEN("stream %u waits: %s", id, told(c, id));
}

/* One upload of each of many, which comes by turns with those of others, or all before them. */
static void check_hogs(bool at_once, bool half, size_t size, const char *lines)
{
    open_mesh(NULL, half);
    struct peer *c = caller();
    uint32_t id = 1;
    upload(c, id, 100);
    for (int i = 0; i < HOGS; i++) {
        struct peer *a = caller();
        char own[200];
        snprintf(own, sizeof own, lines, i);
        say_head(a, 1, own, false);
        for (size_t left = size, n; left; left -= n) { /* as far as its window goes */
            n = left < 8000 ? left : 8000;
            say_much(a, 1, n, false);
            settle();
        }
        if (at_once)
            continue;
        upload(c, id += 2, 100);
        upload(c, id += 2, 4000);
    }
    for (int i = 0; i < 50; i++) {
        upload(c, id += 2, 100);
        upload(c, id += 2, 4000);
    }
    for (int s = 0; s < 30; s++) { /* what was blamed is blamed again, as long as it is so */
        turn(1000);
        upload(c, id += 2, 2000);
    }
    CHECK(run.connections <= (int)mesh.limits.spent_connections + (int)mesh.limits.upstream_trials);
    if (!strchr(lines, '%'))
        CHECK(run.connections <= 8);
    CHECK_INT(COUNTED(limit_spent_connections), 0);
    mesh_close();
}

static void test_hogs(void)
{
    for (int k = 0; k < 8; k++)
        check_hogs(k & 1, k & 2, k & 4 ? 64000 : 8000, HUNG);
    check_hogs(false, false, 8000, FIELDS("/svc/hung%d", "application/grpc")); /* which nothing tells from others */
}

/* A few bytes of window given back all the time are no sign that anybody reads. */
static void test_dribble(uint32_t bytes)
{
    open_mesh(NULL, false);
    run.dribble = bytes;
    struct peer *c = caller();
    uint32_t id = 1;
    upload(c, id, 100);
    for (int i = 0; i < HOGS; i++) {
        struct peer *a = caller();
        say_head(a, 1, HUNG, false);
        for (int n = 0; n < 8; n++) {
            say_much(a, 1, 8000, false);
            settle();
        }
    }
    for (int i = 0; i < 50; i++)
        upload(c, id += 2, 1000);
    CHECK(run.connections <= (int)mesh.limits.upstream_trials + 2);
    mesh_close();
}

/* Each goes on, and none is late, as all is read: one connection does. */
static void test_all_read(void)
{
    enum { CALLERS = 20, CALLS = 25 };
    for (int half = 0; half < 2; half++) {
        open_mesh(NULL, half);
        struct peer *c[CALLERS];
        for (int i = 0; i < CALLERS; i++)
            c[i] = caller();
        for (uint32_t k = 0; k < CALLS; k++) {
            for (int i = 0; i < CALLERS; i++) {
                say_head(c[i], 2 * k + 1, CALL, false);
                say_much(c[i], 2 * k + 1, 8000, true);
            }
            turn(1);
        }
        for (int i = 0; i < 300; i++)
            turn(1);
        for (int i = 0; i < CALLERS; i++)
            for (uint32_t k = 0; k < CALLS; k++)
                CHECK(strstr(told(c[i], 2 * k + 1), "grpc-status=0"));
        CHECK_INT(run.connections, 1);
        CHECK_INT(COUNTED(upstream_spent), 0);
        CHECK_INT(COUNTED(limit_h2_window_share), 0);
        mesh_close();
    }
}

/* What is said of stuck kinds, one by one. */
static void test_stuck(void)
{
    struct mf_stuck stuck = {0};
    for (uint16_t i = 0; i < MF_STUCK; i++)
        mf_stuck_add(&stuck, i, 100 + i, &run);
    mf_stuck_add(&stuck, 0, 200, NULL);
    CHECK_INT(stuck.n, MF_STUCK);
    mf_stuck_add(&stuck, 99, 300, NULL); /* in the place of 1, which ends first */
    CHECK(mf_stuck_has(&stuck, 0) && mf_stuck_has(&stuck, 99) && !mf_stuck_has(&stuck, 1));
    CHECK(!mf_stuck_by_other(&stuck, 0, &run) && mf_stuck_by_other(&stuck, 99, &run) && !mf_stuck_by_other(&stuck, 1, NULL));
    CHECK(!mf_stuck_forget(&stuck, 101));
    CHECK(mf_stuck_forget(&stuck, 102));
    CHECK(!mf_stuck_has(&stuck, 2) && mf_stuck_has(&stuck, 3));
    CHECK(mf_stuck_forget(&stuck, 250));
    CHECK_INT(stuck.n, 1);
}

int main(void)
{
    test_stuck();
    test_all_read();
    test_dribble(1);
    test_dribble(100);
    test_dribble(1000);
    test_hogs();
    return test_end("h2_stuck");
}
