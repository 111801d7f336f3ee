/* full: what one provider does not take, or does not answer, is an outcome of its own calls; and what many callers share
 * is never ended for the slowness of one (between fake peers, pair.h). */
#include "test.h"
#include "pair.h"

enum { LEAST = 65536, LONG_CALL = 30000 };

static uint8_t frame[PAIR_REQUEST];
static uint64_t next_id;

static void open_pair(int n_peers, uint64_t own, uint64_t all)
{
    struct mf_limits limits;
    struct mf_listen_options listen = {.direction = MF_OUTBOUND, .protocol = MF_LISTEN_DUBBO};
    mf_limits_default(&limits);
    limits.upstream_output_high = 4096;
    limits.upstream_output_max = limits.output_max = LEAST;
    limits.max_calls_per_connection = own;
    limits.max_calls = all;
    mf_addr_parse(MF_SLICE("127.0.0.1:0"), &listen.bind);
    pair_open(&limits, &listen, n_peers);
}

#define COUNTER(name) counter(offsetof(struct mf_counters, name))
static uint64_t counter(size_t offset)
{
    struct mf_counters all;
    mf_engine_counters(pair.engine, &all);
    return mf_load_relaxed((mf_atom64 *)(void *)((char *)&all + offset));
}

static int caller(void)
{
    return fake_connect() ? fake.n - 1 : -1;
}

static void ask(int from, const char *dev, size_t size)
{
    pair_send(from, frame, pair_request(frame, from, ++next_id, 0xc0, "svc", size, "dev", dev));
    pair_turn(0);
}

/* The same, and lets in who is dialled for it: the number of its connection. */
static int ask_new(int from, const char *dev)
{
    int at = fake.n;
    ask(from, dev, 0);
    if (fake.n == at)
        return -1;
    fake_answer_connect(&fake.conns[at], 0);
    pair_turn(0);
    return at;
}

static void answer_all(int provider)
{
    for (int k = 0; k < pair.n_asked; k++)
        if (pair.asked[k].up == provider && !pair.asked[k].answered)
            pair_send(provider, frame, pair_answer(frame, k, 20, 0));
    pair_turn(0);
}

static int asked_of(int provider)
{
    int n = 0;
    for (int k = 0; k < pair.n_asked; k++)
        n += pair.asked[k].up == provider;
    return n;
}

static void test_others_go_on(void)
{
    open_pair(2, 1000, 1000);
    int from = caller(), full = ask_new(from, "dev1"), other = ask_new(from, "none");
    CHECK(full > 0 && other > 0);
    answer_all(full);
    answer_all(other);
    fake_open_window(&fake.conns[full], 0);
    for (int i = 0; i < 8; i++)
        ask(from, "dev1", LONG_CALL);
    CHECK(COUNTER(limit_upstream_output_max) > 0);
    CHECK_INT(COUNTER(answers_local), COUNTER(limit_upstream_output_max)); /* and not to the baseline */
    CHECK_INT(asked_of(other), 1);
    CHECK_INT(COUNTER(limit_upstream_output_high), 0); /* nobody is paused */
    int due = pair.sides[from].n_due;
    ask(from, "none", 0);
    answer_all(other);
    CHECK_INT(pair.sides[from].n_due, due);
    CHECK_INT(asked_of(other), 2);
    fake_open_window(&fake.conns[full], FAKE_ANY);
    pair_turn(0);
    pair_turn(0);
    ask(from, "dev1", 0); /* as if nothing had been */
    answer_all(full);
    CHECK_INT(pair.sides[from].n_due, 0);
    CHECK_INT(COUNTER(upstream_connections), 2);
    pair_close();
}

static void test_another_peer(void)
{
    open_pair(3, 1000, 1000);
    int from = caller(), full = ask_new(from, "none"), other = -1;
    for (int i = 0; i < 100 && other < 0; i++)
        other = ask_new(from, "none");
    CHECK(full > 0 && other > 0);
    answer_all(full);
    answer_all(other);
    fake_open_window(&fake.conns[full], 0);
    for (int i = 0; i < 100 && COUNTER(limit_upstream_output_max) == 0; i++) {
        ask(from, "none", LONG_CALL);
        answer_all(other);
    }
    CHECK(COUNTER(limit_upstream_output_max) > 0);
    uint64_t moved = COUNTER(limit_upstream_output_max);
    int before = asked_of(other);
    for (int i = 0; i < 30; i++)
        ask(from, "none", 0);
    CHECK_INT(asked_of(other), before + 30);
    CHECK_INT(COUNTER(answers_local), 0);
    CHECK(COUNTER(limit_upstream_output_max) > moved); /* it is still looked at: for others it is not down */
    answer_all(other);
    pair_close();
}

/* No connection is there yet: what waits for it is bounded alike. */
static void test_queue(void)
{
    open_pair(2, 1000, 1000);
    int from = caller(), other = ask_new(from, "none");
    answer_all(other);
    for (int i = 0; i < 8; i++)
        ask(from, "dev1", LONG_CALL); /* dialled, and never let in */
    CHECK(COUNTER(limit_upstream_output_max) > 0);
    ask(from, "none", 0);
    CHECK_INT(asked_of(other), 2);
    answer_all(other);
    pair_close();
}

enum { OWN = 16, ALL = 32, OWN_SILENT = 13, ALL_SILENT = 26 };

static void test_shares(void)
{
    open_pair(2, OWN, ALL);
    int from[3], other, silent;
    for (int i = 0; i < 3; i++)
        from[i] = caller();
    other = ask_new(from[0], "none");
    answer_all(other);
    silent = ask_new(from[0], "dev1");
    for (int i = 1; i < OWN; i++)
        ask(from[0], "dev1", 0);
    CHECK_INT(asked_of(silent), OWN_SILENT);
    CHECK_INT(COUNTER(limit_call_share), OWN - OWN_SILENT);
    CHECK_INT(COUNTER(limit_max_calls_per_connection), 0);
    ask(from[0], "none", 0); /* there is something left for others */
    CHECK_INT(asked_of(other), 2);
    answer_all(other);
    for (int i = 0; i < OWN; i++)
        ask(from[1], "dev1", 0);
    CHECK_INT(asked_of(silent), ALL_SILENT);
    ask(from[2], "none", 0);
    ask(from[1], "none", 0);
    CHECK_INT(asked_of(other), 4);
    CHECK_INT(COUNTER(limit_max_calls), 0);
    answer_all(other);
    answer_all(silent);
    CHECK_INT(COUNTER(calls_active), 0);
    pair_close();
}

/* A caller with a share of the worker's calls, at many providers. */
static void test_own_share(void)
{
    open_pair(2, 1000, ALL);
    int hog = caller(), from = caller(), other = ask_new(from, "none"), silent = ask_new(hog, "dev1");
    answer_all(other);
    for (int i = 0; i < 14; i++) {
        ask(hog, "dev1", 0);
        ask(hog, "none", 0);
    }
    CHECK(COUNTER(limit_call_share) > 0);
    ask(from, "none", 0);
    CHECK_INT(COUNTER(limit_max_calls), 0);
    CHECK_INT(pair.sides[from].n_due, 1);
    answer_all(other);
    answer_all(silent);
    CHECK_INT(pair.sides[from].n_due, 0);
    pair_close();
}

/* It asks whether we are there, and does not read what we say: nothing queues without bound, and nobody is closed. */
static void test_beats(void)
{
    enum { BEATS = 8000 };
    open_pair(2, 1000, 1000);
    int from = caller(), provider = ask_new(from, "dev1");
    fake_open_window(&fake.conns[provider], 0);
    for (int i = 0; i < BEATS; i++)
        pair_send(provider, frame, mf_dubbo_put_heartbeat(frame, (uint64_t)i));
    pair_turn(0);
    pair_turn(0);
    CHECK(COUNTER(heartbeats_skipped) > 0);
    CHECK_INT(COUNTER(heartbeats_skipped) + COUNTER(heartbeats_in), BEATS);
    CHECK_INT(COUNTER(limit_output_max) + COUNTER(limit_output_high), 0);
    CHECK(fake.conns[provider].sock && mf_sock_pending(fake.conns[provider].sock) <= LEAST + MF_DUBBO_EVENT_ROOM);
    answer_all(provider);
    CHECK_INT(pair.sides[from].n_due, 0);
    pair_close();
}

int main(void)
{
    test_others_go_on();
    test_another_peer();
    test_queue();
    test_shares();
    test_own_share();
    test_beats();
    return test_end("engine/full");
}
