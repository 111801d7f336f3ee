/* budget: maxMemory holds against strangers who never finish, callers who never read and providers that hang, and nobody
 * else is harmed (between fake peers, pair.h). */
#define FAKE_CONNS 1100
#define PAIR_ASKED 2200
#include "engine/pair.h"
#include "test.h"

#include <malloc.h>

enum { MIB = 1 << 20, MAX = 16 * MIB, SLACK = 10 * MIB, STRANGERS = 20, BODY = 2 * MIB, PIECE = 256 << 10 };
enum { LOOK = 2000000, READERS_CALLS = 120, ANSWER = 200000 };

static uint8_t frame[PAIR_REQUEST], body[BODY];
static uint64_t next_id;
static size_t most;

static void open_pair(int n_peers)
{
    struct mf_limits limits;
    struct mf_listen_options listen = {.direction = MF_OUTBOUND, .protocol = MF_LISTEN_DUBBO};
    mf_limits_default(&limits);
    limits.max_memory = MAX;
    mf_addr_parse(MF_SLICE("127.0.0.1:0"), &listen.bind);
    pair_open(&limits, &listen, n_peers);
    most = 0;
}

#define COUNTER(name) counter(offsetof(struct mf_counters, name))
static uint64_t counter(size_t offset)
{
    struct mf_counters all;
    mf_engine_counters(pair.engine, &all);
    return mf_load_relaxed((mf_atom64 *)(void *)((char *)&all + offset));
}

static void turn(void)
{
    pair_turn(0);
    most = mf_loop_memory(fake.loop) > most ? mf_loop_memory(fake.loop) : most;
}

static int caller(void)
{
    return fake_connect() ? fake.n - 1 : -1;
}

static void ask(int from)
{
    pair_send(from, frame, pair_request(frame, from, ++next_id, 0xc0, "svc", 0, "dev", "dev1"));
}

static void answer_all(int provider)
{
    for (int k = 0; k < pair.n_asked; k++)
        if (!pair.asked[k].answered)
            pair_send(provider, frame, pair_answer(frame, k, 20, 0));
    turn();
}

static int dial(int from)
{
    ask(from);
    turn();
    fake_answer_connect(&fake.conns[fake.n - 1], 0);
    turn();
    return fake.n - 1;
}

static void begin_frame(int stranger)
{
    struct mf_dubbo_head head = {.id = 77, .flags = 0xc0, .serialization = 2, .body_len = BODY};
    mf_dubbo_put_head(frame, &head);
    pair.sides[stranger].counted = false; /* it is told before it has asked */
    fake_send(&fake.conns[stranger], frame, MF_DUBBO_HEAD_LEN);
}

static void test_strangers(void)
{
    open_pair(2);
    int from = caller(), provider = dial(from), strangers[STRANGERS];
    answer_all(provider);
    for (int i = 0; i < STRANGERS; i++) {
        strangers[i] = caller();
        begin_frame(strangers[i]);
    }
    for (size_t at = 0; at < BODY; at += PIECE) {
        for (int i = 0; i < STRANGERS; i++) /* all but the last byte */
            fake_send(&fake.conns[strangers[i]], body, at + PIECE < BODY ? PIECE : PIECE - 1);
        ask(from);
        turn();
        answer_all(provider);
        CHECK_INT(pair.sides[from].n_due, 0);
        pair_pass(LOOK); /* all connections are looked at no more often */
    }
    CHECK(most <= MAX + SLACK);
    CHECK(most > MAX / 2);
    CHECK(COUNTER(limit_max_memory) > 0);
    CHECK(COUNTER(memory_bytes) <= MAX);
    for (int i = 0; i < STRANGERS; i++) /* refused is not closed: what comes behind it is read */
        fake_send(&fake.conns[strangers[i]], body, 1);
    turn();
    turn();
    CHECK_INT(COUNTER(answers_local), STRANGERS);
    for (int i = 0; i < STRANGERS; i++) {
        CHECK(fake.conns[strangers[i]].sock != NULL);
        ask(strangers[i]);
        turn();
        answer_all(provider);
    }
    CHECK_INT(COUNTER(answers_local), STRANGERS);
    CHECK_INT(COUNTER(answers), STRANGERS + 1 + BODY / PIECE);
    CHECK(mf_loop_memory(fake.loop) < MIB);
    pair_close();
}

static void send_long(int provider, const struct asked *asked)
{
    struct mf_dubbo_head head = {.id = asked->id, .flags = 2, .serialization = 2, .status = 20, .body_len = ANSWER};
    mf_dubbo_put_head(frame, &head);
    fake_send(&fake.conns[provider], frame, MF_DUBBO_HEAD_LEN);
    fake_send(&fake.conns[provider], body, ANSWER);
}

static void test_unread(void)
{
    open_pair(2);
    int from = caller(), provider = dial(from), reader = caller();
    answer_all(provider);
    fake_open_window(&fake.conns[reader], 0);
    for (int i = 0; i < READERS_CALLS; i++)
        ask(reader);
    turn();
    CHECK_INT(pair.n_asked, 1 + READERS_CALLS);
    for (int k = 1; k <= READERS_CALLS; k++) {
        send_long(provider, &pair.asked[k]);
        pair.asked[k].answered = true;
        turn();
    }
    CHECK(COUNTER(limit_max_memory) > 0);
    CHECK(most <= MAX);
    CHECK(fake.conns[reader].sock != NULL);
    pair_pass(1100000000); /* memoryTimeout */
    for (int i = 0; i < 4; i++) {
        ask(from);
        turn();
        pair_pass(LOOK);
    }
    CHECK(fake.conns[reader].sock == NULL);
    answer_all(provider);
    CHECK_INT(pair.sides[from].n_due, 0);
    CHECK(mf_loop_memory(fake.loop) < MIB);
    pair_close();
}

static int trims;

/* In place of the C library's. */
int malloc_trim(size_t pad)
{
    (void)pad;
    return ++trims;
}

/* However often it gets tight, the allocator's memory is gone through once a second. */
static void test_trims(void)
{
    enum { TIMES = 5 };
    open_pair(1);
    uint64_t met = 0;
    int strangers[STRANGERS];
    for (int i = 0; i < STRANGERS; i++)
        strangers[i] = caller();
    trims = 0;
    for (int k = 0; k < TIMES; k++) {
        for (int i = 0; i < STRANGERS; i++) {
            begin_frame(strangers[i]);
            fake_send(&fake.conns[strangers[i]], body, BODY - 1);
            turn();
        }
        CHECK(COUNTER(limit_max_memory) > met);
        met = COUNTER(limit_max_memory);
        for (int i = 0; i < STRANGERS; i++)
            fake_send(&fake.conns[strangers[i]], body, 1);
        turn();
        turn();
        CHECK(mf_loop_memory(fake.loop) < MIB);
        pair_pass(LOOK);
    }
    CHECK_INT(trims, 1);
    for (int k = 0; k < 3; k++) {
        pair_pass(1100000000);
        turn();
        CHECK_INT(trims, 2);
    }
    pair_close();
}

/* --- providers that hang */

enum { HUNG = 8, SENDERS = 6, SENT = 110, LONG_CALL = 30000 };

/* Whoever is dialled for it lets it in, and takes nothing. */
static void ask_hung(int from)
{
    int before = fake.n;
    pair_send(from, frame, pair_request(frame, from, ++next_id, 0xc0, "svc", LONG_CALL, "dev", "none"));
    turn();
    for (int i = before; i < fake.n; i++) {
        fake_answer_connect(&fake.conns[i], 0);
        fake_open_window(&fake.conns[i], 0);
        turn();
    }
}

/* Asked, answered and looked at while its answer is on its way: nothing else that waits may be put down to it. */
static void live(int from, int provider, int times)
{
    for (int i = 0; i < times; i++) {
        ask(from);
        turn();
        answer_all(provider);
        CHECK(fake.conns[from].sock != NULL);
        CHECK_INT(pair.sides[from].n_due, 0);
        pair_pass(LOOK);
    }
}

static void test_hung(void)
{
    open_pair(1 + HUNG);
    int from = caller(), provider = dial(from), first = fake.n, senders[SENDERS];
    answer_all(provider);
    for (int i = 0; i < SENDERS; i++)
        senders[i] = caller();
    first += SENDERS;
    for (int i = 0; i < SENDERS * SENT; i++)
        ask_hung(senders[i % SENDERS]);
    CHECK_INT(fake.n - first, HUNG);
    CHECK(COUNTER(limit_upstream_output_max) > 0);
    CHECK(most > MAX / 4);
    CHECK(most < MAX / 2 + MIB);
    uint64_t refused = COUNTER(answers_local);
    CHECK(refused > 0);
    live(from, provider, 4);
    pair_pass(1100000000); /* memoryTimeout */
    live(from, provider, 30);
    CHECK(COUNTER(limit_max_memory) > 0); /* some of them were let go, and no more than it takes */
    CHECK(COUNTER(upstream_active) < 1 + HUNG);
    CHECK(COUNTER(upstream_active) > 2);
    CHECK_INT(COUNTER(limit_max_memory), COUNTER(upstream_reset));
    CHECK(COUNTER(memory_bytes) < MAX / 4 + MIB);
    CHECK_INT(COUNTER(downstream_active), 1 + SENDERS);
    CHECK(COUNTER(answers_local) > refused); /* their calls are told */
    pair_close();
}

/* --- a crowd of whom each holds next to nothing */

enum { CROWD = 1000, RELIEVED = MAX - MAX / 4 + (64 << 10) };

/* Each has one short answer that it does not read, in a room of its own: together they are all the memory there is, and
 * nobody could send anything long. */
static void test_crowd(void)
{
    open_pair(2);
    int from = caller(), provider = dial(from), first = fake.n;
    answer_all(provider);
    for (int i = 0; i < CROWD; i++)
        fake_open_window(&fake.conns[caller()], 0);
    for (int i = 0; i < CROWD; i++)
        ask(first + i);
    turn();
    CHECK_INT(pair.n_asked, 1 + CROWD);
    answer_all(provider);
    CHECK(COUNTER(memory_bytes) > MAX - MAX / 8);
    CHECK_INT(COUNTER(downstream_active), 1 + CROWD);
    for (int i = 0; i < CROWD; i++) {
        pair_pass(LOOK);
        turn();
        if (i == 1)
            pair_pass(1100000000); /* memoryTimeout */
        ask(from); /* who reads is not taken for one of them */
        turn();
        answer_all(provider);
        CHECK(fake.conns[from].sock != NULL);
        CHECK_INT(pair.sides[from].n_due, 0);
        if (COUNTER(memory_bytes) <= RELIEVED)
            break;
    }
    CHECK(COUNTER(memory_bytes) <= RELIEVED);
    CHECK(COUNTER(downstream_active) > CROWD / 2); /* and no more of them were closed than it took */
    pair_close();
}

int main(void)
{
    test_trims();
    test_strangers();
    test_unread();
    test_hung();
    test_crowd();
    return test_end("budget");
}
