/* h2_up, h2_conn: who is gone without a word is found by PING, and its calls end in a way that callers make again; who is
 * only quiet is left alone, however long; what is not taken ends by stallTimeout alone. */
#define FAKE_CONNS 64
#define TOLD 1024
#include "h2_mesh.h"

enum { CALLS = 50, SECOND = 1000 };

static struct peer *b[2]; /* the instances that are asked, the second of which stays */

/* Seconds pass, in as few turns as there is something to do. */
static void age(uint64_t ms)
{
    for (uint64_t end = fake.now + ms * 1000000; fake.now < end;)
        fake_turn((int64_t)(end - fake.now));
    settle();
}

/* Calls until both instances have some; how many there were. */
static uint32_t call_both(struct peer *a, uint32_t least)
{
    uint32_t n = 0;
    b[0] = b[1] = NULL;
    while (n < least || !b[1]) {
        say_head(a, 2 * n++ + 1, CALL, false);
        settle();
        struct peer *next = b[1] ? NULL : dialled();
        if (next) {
            say_hello(next, NULL);
            b[b[0] != NULL] = next;
            settle();
        }
    }
    hear(b[0]);
    hear(b[1]);
    return n;
}

/* The one that stays answers what it has; returns how many more that were. */
static int serve_other(int from)
{
    hear(b[1]);
    for (int k = from; k < b[1]->n_told; k++) {
        if (!b[1]->told[k].headed || b[1]->told[k].reset)
            continue;
        say_head(b[1], b[1]->told[k].id, OK, false);
        say_head(b[1], b[1]->told[k].id, DONE, true);
    }
    settle();
    return b[1]->n_told;
}

/* Its host vanishes: no FIN, no RST. With `deadlines` a call that times out in silence has it asked earlier. */
static void test_vanishes(bool deadlines)
{
    mesh_open(MF_OUTBOUND, 3, NULL);
    struct peer *a = caller(), *c = caller();
    uint32_t n = call_both(a, CALLS);
    int served = serve_other(0), at_gone = b[0]->n_told;
    for (int k = 0; k < at_gone; k += 2)
        say_head(b[0], b[0]->told[k].id, OK, false);
    settle();
    uint64_t gone = fake.now;
    uint32_t id = 1, asked_at = 0, away_at = 0;
    for (uint32_t s = 0; s < 100 && b[0]->conn->sock; s++) {
        int before = b[0]->n_told;
        say_head(c, id, deadlines ? CALL "\ngrpc-timeout: 5S" : CALL, true);
        id += 2;
        settle();
        served = serve_other(served);
        hear(b[0]);
        asked_at = asked_at ? asked_at : b[0]->pings ? s : 0;
        away_at = b[0]->n_told > before ? s : away_at;
        age(SECOND);
    }
    uint64_t took = (fake.now - gone) / 1000000;
    CHECK(!b[0]->conn->sock);
    CHECK_INT(b[0]->pings, 1);
    CHECK_INT(COUNTED(limit_ping_timeout), 1);
    uint64_t bound = (deadlines ? 5 * SECOND : mesh.limits.heartbeat) + mesh.limits.ping_timeout;
    CHECK(took >= mesh.limits.ping_timeout && took <= bound + 3 * SECOND);
    CHECK(away_at <= asked_at + 1); /* soon after the question others are asked */
    CHECK(asked_at && asked_at <= (deadlines ? 7 : 61));
    /* Each call has its end: those of which the answer had begun by a reset that is neither CANCEL nor NO_ERROR. */
    int torn = 0, unavailable = 0;
    hear(a);
    for (uint32_t i = 0; i < n; i++) {
        const char *text = told(a, 2 * i + 1);
        torn += strcmp(text, T_OK "!2") == 0;
        unavailable += strstr(text, "grpc-status=14 ") != NULL;
        CHECK(told_of(a, 2 * i + 1)->ended || told_of(a, 2 * i + 1)->reset);
    }
    CHECK_INT(torn, (at_gone + 1) / 2);
    CHECK_INT(unavailable, at_gone / 2);
    for (uint32_t i = 1; i < id; i += 2) {
        const char *text = told(c, i);
        bool late = strstr(text, "grpc-status=4 ") != NULL;
        CHECK(strcmp(text, T_OK T_DONE) == 0 || strstr(text, "grpc-status=14 ") || (deadlines && late));
    }
    /* New ones go to the other. */
    for (int i = 0; i < 30; i++, id += 2) {
        say_head(c, id, CALL, true);
        settle();
        served = serve_other(served);
        CHECK_TOLD(c, id, T_OK T_DONE);
    }
    mesh_close();
}

/* It is asked and says nothing at first: what is new goes another way, also to the same instance. If it speaks in time, what
 * it has goes on, else that ends. */
static void test_another_way(bool speaks)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller();
    say_head(a, 1, CALL, true);
    struct peer *old = provider();
    age(mesh.limits.heartbeat + SECOND);
    hear(old);
    CHECK_INT(old->pings, 1);
    age(SECOND);
    say_head(a, 3, CALL, true);
    settle();
    age(SECOND); /* a rest, at most, before it is dialled again */
    struct peer *fresh = dialled();
    if (!fresh) {
        say_head(a, 5, CALL, true);
        fresh = dialled();
    }
    CHECK(fresh != NULL);
    say_hello(fresh, NULL);
    settle();
    say_head(a, 7, CALL, true);
    settle();
    hear(fresh);
    for (int k = 0; k < fresh->n_told; k++)
        say_head(fresh, fresh->told[k].id, OK "\ngrpc-status: 0", true);
    CHECK(strstr((settle(), told(a, 7)), "grpc-status=0"));
    CHECK_TOLD(a, 1, "");
    CHECK_INT((hear(old), old->goaways), 1);
    if (speaks) {
        say_ping(old, old->ping, true);
        age(mesh.limits.ping_timeout * 2);
        say_head(old, 1, OK "\ngrpc-status: 0", true);
        CHECK(strstr((settle(), told(a, 1)), "grpc-status=0"));
        CHECK_INT(COUNTED(limit_ping_timeout), 0);
    } else {
        age(mesh.limits.ping_timeout);
        CHECK(strstr(told(a, 1), "grpc-status=14 "));
        CHECK_INT(COUNTED(limit_ping_timeout), 1);
    }
    CHECK(!old->conn->sock || old->conn->fin);
    say_head(a, 9, CALL, true);
    settle();
    hear(fresh);
    say_head(fresh, fresh->told[fresh->n_told - 1].id, OK "\ngrpc-status: 0", true);
    CHECK(strstr((settle(), told(a, 9)), "grpc-status=0"));
    mesh_close();
}

/* The same killed: at once. */
static void test_killed(void)
{
    mesh_open(MF_OUTBOUND, 3, NULL);
    struct peer *a = caller();
    uint32_t n = call_both(a, CALLS);
    serve_other(0);
    int all = b[0]->n_told, torn = 0, unavailable = 0;
    for (int k = 0; k < all; k += 2)
        say_head(b[0], b[0]->told[k].id, OK, false);
    settle();
    uint64_t before = fake.now;
    b[0]->conn->reset = true;
    settle();
    CHECK(fake.now - before < 100000000);
    for (uint32_t i = 0; i < n; i++) {
        const char *text = told(a, 2 * i + 1);
        torn += strcmp(text, T_OK "!2") == 0;
        unavailable += strstr(text, "grpc-status=14 ") != NULL;
    }
    CHECK_INT(torn, (all + 1) / 2);
    CHECK_INT(unavailable, all / 2);
    mesh_close();
}

static uint32_t answered; /* PINGs of its own that `b` has heard */

static void answer_pings(struct peer *peer)
{
    hear(peer);
    if (peer->pings == answered)
        return;
    answered = peer->pings;
    say_ping(peer, peer->ping, true);
}

/* Two hours of silence on one stream, while its caller's PINGs come all the time; beside it two streams whose reader, the
 * caller or the provider, takes nothing of what waits. */
static void test_quiet(void)
{
    enum { HOURS_2 = 7200, EVERY = 10 };
    mesh_open(MF_OUTBOUND, 1, NULL);
    struct peer *a = caller(), *shut = caller_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 0, 0});
    answered = 0;
    say_head(a, 1, CALL, false);
    struct peer *b1 = provider_with((const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 1000, 0});
    say_head(b1, 1, OK, false);
    say_head(shut, 1, CALL, false); /* its answer is not read */
    settle();
    say_head(b1, 3, OK, false);
    say_much(b1, 3, 3000, false);
    say_head(a, 3, CALL, false); /* its request is not */
    settle();
    say_much(a, 3, 3000, false);
    settle();
    hear(b1);
    CHECK_INT(told_of(b1, 5)->content, 1000);
    CHECK_TOLD(a, 1, T_OK);
    CHECK_TOLD(shut, 1, T_OK);
    uint64_t stalled = fake.now, ended[2] = {0, 0};
    for (int s = 0; s < HOURS_2; s += EVERY) {
        say_ping(a, (uint64_t)s + 1, false);
        say_ping(shut, (uint64_t)s + 1, false);
        age(EVERY * SECOND);
        answer_pings(b1);
        hear(a);
        hear(shut);
        if (!ended[0] && told_of(shut, 1)->reset)
            ended[0] = fake.now - stalled;
        if (!ended[1] && told_of(a, 3)->ended)
            ended[1] = fake.now - stalled;
    }
    uint64_t wait = mesh.limits.stall_timeout * 1000000, slack = (2 * EVERY) * UINT64_C(1000000000);
    for (int i = 0; i < 2; i++)
        CHECK(ended[i] >= wait && ended[i] <= wait + slack);
    CHECK_INT(COUNTED(limit_stall_timeout), 2);
    CHECK_TOLD(shut, 1, "!11");
    CHECK(strstr(told(a, 3), "grpc-status=8 "));
    CHECK_INT(COUNTED(heartbeats_in), 2 * HOURS_2 / EVERY);
    CHECK(answered > 0 && answered <= 1 + HOURS_2 / 300); /* no oftener than providers allow in silence */
    CHECK_INT(a->goaways + shut->goaways, 0);
    say_data(a, 1, "still", false);
    say_data(b1, 1, "here", false);
    CHECK(strstr((settle(), told(b1, 1)), "still"));
    CHECK_TOLD(a, 1, "here");
    say_data(a, 1, "", true);
    say_head(b1, 1, DONE, true);
    CHECK_TOLD(a, 1, T_DONE);
    mesh_close();
}

int main(void)
{
    test_killed();
    test_vanishes(false);
    test_vanishes(true);
    test_another_way(true);
    test_another_way(false);
    test_quiet();
    return test_end("h2_gone");
}
