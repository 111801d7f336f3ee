/* fuzz_pair: an engine between callers and providers that say anything, in any cut, and go at any time. The input is a
 * script: two bytes of configuration, then steps; what must hold is in pair.h. */
#include "engine/pair.h"

enum {
    CALLER_COMES,   /* a caller connects */
    SEND_RAW,       /* bytes of the script */
    ASK,            /* a request that is well made */
    ANSWER,         /* an answer to a request that a provider has */
    SEND_REST,      /* some more of what was held back */
    END,            /* half of the connection, or all of it */
    CONNECTED,      /* a provider lets in, or does not */
    TIME,
    WINDOW,         /* how much a peer reads */
    EVENT,
    REFUSE,         /* whether the next connects fail at once */
    PUBLISH,
    DRAIN,
    STEPS,
};

static const uint8_t *script, *script_end;
static struct fake_bytes held[FAKE_CONNS]; /* written by a peer, not yet sent */
static bool excused[FAKE_CONNS];           /* the engine may end it with calls unanswered */

static uint8_t next(void)
{
    return script < script_end ? *script++ : 0;
}

/* The n-th connection of a kind that is open, or -1. */
static int choose(uint8_t n, bool up)
{
    int found[FAKE_CONNS], count = 0;
    for (int i = 0; i < fake.n; i++)
        if (fake.conns[i].sock && fake.conns[i].up == up)
            found[count++] = i;
    return count ? found[n % count] : -1;
}

static void send_held(int i, size_t len)
{
    if (len > held[i].len)
        len = held[i].len;
    if (!len)
        return;
    pair_send(i, held[i].ptr, len);
    fake_take(&held[i], len);
}

/* Holds bytes back but for `cut` of them; 0: none. */
static void hold(int i, const uint8_t *bytes, size_t len, uint8_t cut)
{
    fake_add(&held[i], bytes, len);
    send_held(i, cut ? cut : held[i].len);
}

static void send_raw(int i)
{
    size_t len = next();
    uint8_t cut = next();
    if (len == 255)
        len = 255u + next() * 16u;
    if (len > (size_t)(script_end - script))
        len = (size_t)(script_end - script);
    const uint8_t *bytes = script;
    script += len;
    hold(i, bytes, len, cut);
}

static void ask(int i)
{
    static uint8_t frame[PAIR_REQUEST];
    static const char *const keys[] = {NULL, "dev", "dev", "b3"};
    static const char *const values[] = {NULL, "dev1", "dev9", "00000000000000ab-1"};
    uint8_t how = next(), id = next(), size = next(), cut = next();
    uint8_t flags = (how & 1) ? MF_DUBBO_REQUEST : MF_DUBBO_REQUEST | MF_DUBBO_TWO_WAY;
    size_t len = pair_request(frame, i, id, flags, (how & 2) ? "nix" : "svc", size * 128u, keys[how >> 2 & 3],
                              values[how >> 2 & 3]);
    hold(i, frame, len, cut);
}

static void answer(void)
{
    static uint8_t frame[PAIR_REQUEST];
    uint8_t which = next(), status = next(), size = next(), cut = next();
    int open[PAIR_ASKED], n = 0;
    for (int k = 0; k < pair.n_asked; k++)
        if (pair.asked[k].two_way && (!pair.asked[k].answered || (which & 0x80)) && fake.conns[pair.asked[k].up].sock)
            open[n++] = k;
    if (!n)
        return;
    int k = open[(which & 0x3f) % n], other = choose((which & 0x3f) + 1, true);
    if ((which & 0x40) && other >= 0 && other != pair.asked[k].up) {
        hold(other, frame, pair_forge(frame, k), cut);
        return;
    }
    size_t len = pair_answer(frame, k, status, size * 128u);
    hold(pair.asked[k].up, frame, len, cut);
}

static void event(int i, uint8_t kind)
{
    uint8_t frame[MF_DUBBO_EVENT_ROOM];
    size_t len = kind & 1 ? mf_dubbo_put_readonly(frame) : mf_dubbo_put_heartbeat(frame, kind);
    if ((kind & 3) == 3)
        frame[len - 1] = 'W';
    if ((kind & 3) == 2)
        frame[2] &= (uint8_t)~MF_DUBBO_REQUEST; /* the answer to a heartbeat */
    hold(i, frame, len, 0);
}

static void step(uint8_t what, uint8_t who)
{
    int any = choose(who >> 1, who & 1);
    switch (what) {
    case CALLER_COMES:
        if (fake.n < FAKE_CONNS - 8)
            fake_connect();
        pair_look(); /* it may be plain TCP from the start */
        return;
    case ASK:
        if ((any = choose(who, false)) >= 0)
            ask(any);
        return;
    case ANSWER:
        answer();
        return;
    case CONNECTED: {
        for (int i = 0; i < fake.n; i++)
            if (fake.conns[i].sock && fake.conns[i].connecting && !fake.conns[i].answered) {
                fake_answer_connect(&fake.conns[i], who & 1 ? -ECONNREFUSED : 0);
                return;
            }
        return;
    }
    case TIME:
        pair_pass((1 + next()) * 2000000u);
        return;
    case REFUSE:
        fake.refuse = who & 1 ? ECONNREFUSED : who & 2 ? EMFILE : 0;
        return;
    case PUBLISH:
        pair_publish(who % 4);
        mf_table_reclaim(pair.table);
        return;
    case DRAIN:
        mf_engine_drain(pair.engine);
        return;
    }
    if (any < 0)
        return;
    struct fake_conn *conn = &fake.conns[any];
    uint8_t arg;
    switch (what) {
    case SEND_RAW:
        send_raw(any);
        return;
    case SEND_REST:
        send_held(any, next());
        return;
    case END:
        arg = next();
        if (arg & 1) {
            conn->reset = true;
            excused[any] = true;
        } else {
            conn->eof = true;
        }
        return;
    case WINDOW:
        arg = next();
        fake_open_window(conn, arg == 255 ? FAKE_ANY : arg * 64u);
        excused[any] = true;
        return;
    case EVENT:
        event(any, next());
        return;
    }
}

/* A connection that the engine has ended: its peer went, or left a frame unfinished, or did not read; else it has been
 * paid. */
static void check_ends(void)
{
    for (int i = 0; i < fake.n; i++) {
        const struct side *side = &pair.sides[i];
        if (!fake.conns[i].sock && !fake.conns[i].up && !side->opaque && side->n_due && !excused[i] &&
            !side->said.rest.len && !side->said.skip)
            BROKEN("caller %d was left with %d calls unanswered", i, side->n_due);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    script = data;
    script_end = data + len;
    uint8_t config = next(), tight = next();
    struct mf_limits limits;
    mf_limits_default(&limits);
    limits.call_timeout = 200;
    limits.connect_timeout = 100;
    limits.frame_timeout = 50;
    limits.idle_timeout = 400;
    limits.heartbeat = 150;
    limits.heartbeat_timeout = 300;
    limits.peer_backoff = 30;
    limits.max_body = 65536;
    limits.output_high = limits.upstream_output_high = 4096;
    limits.output_max = 8388608;
    limits.max_calls = 300;
    if (tight & 1)
        limits.max_body = 256;
    if (tight & 2)
        limits.max_calls_per_connection = 2;
    if (tight & 4)
        limits.max_calls = 3;
    if (tight & 8)
        limits.upstream_connections = 2;
    if (tight & 16)
        limits.max_connections = 2;
    if (tight & 32)
        limits.output_high = 262144;
    if (tight & 64) /* one turn's answers may be more than that */
        limits.output_max = 65536;
    struct mf_listen_options listen = {.direction = config & 1 ? MF_INBOUND : MF_OUTBOUND};
    mf_addr_parse(MF_SLICE("127.0.0.1:0"), &listen.bind);
    mf_addr_parse(MF_SLICE("127.0.0.1:9"), &listen.forward);
    listen.has_forward = config & 2;
    listen.protocol = config & 4 ? MF_LISTEN_DUBBO : config & 8 ? MF_LISTEN_TCP : MF_LISTEN_AUTO;
    listen.refuse_unknown = config & 32;
    listen.labels = (config >> 6) % 3;
    if (config & 16)
        listen.service = MF_SLICE("svc");
    pair_open(&limits, &listen, 3);
    memset(excused, tight & 64 ? 1 : 0, sizeof excused);
    while (script < script_end) {
        uint8_t op = next();
        step(op % 16 % STEPS, op >> 4 & 7);
        if (!(op & 0x80)) /* else the next step comes in the same turn */
            pair_turn(0);
    }
    pair_turn(0);
    pair_close();
    check_ends();
    for (int i = 0; i < FAKE_CONNS; i++)
        held[i].len = 0;
    return 0;
}
