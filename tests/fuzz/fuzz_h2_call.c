/* Calls by HTTP/2 through a whole engine, on a loop without a kernel: callers and providers that do as the standard says
 * (tests/c/engine/h2_serve.h) beside frames and bytes of the fuzzer's, in any cut, with ends, refusals and time between.
 * What must hold of whoever had no foreign frame on his stream is in h2_judge.h and h2_heard.h: his own answer, once and
 * whole, or an end; nobody else's content; no frame that the standard forbids. */
#define FAKE_CONNS 48
#define TOLD 512
#include "engine/h2_judge.h"

#include <stdint.h>

static const uint8_t *script, *script_end;

static uint8_t next(void)
{
    return script < script_end ? *script++ : 0;
}

enum {
    CALLER_COMES, CALL_BEGINS, SERVE, FRAME, RAW, LET_IN, TIME, REFUSE, END_CONN, WINDOW, DRAIN, PUBLISH, SETTING, RESET, GOAWAY,
    CUT, STEPS,
};

/* The `who`-th connection of that side that is there. */
static struct peer *choose(uint8_t who, bool up)
{
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < fake.n; i++)
            if (fake.conns[i].sock && fake.conns[i].up == up && !fake.conns[i].connecting && peers[i].conn && who-- == 0)
                return &peers[i];
    return NULL;
}

/* A foreign word on one of its streams, or on all of them. */
static void taint(struct peer *peer, uint32_t id)
{
    serve.lied = serve.lied || peer->conn->up;
    hear(peer);
    peer->foreign = true;
    for (int k = 0; k < peer->n_told; k++) {
        struct told *told = &peer->told[k];
        fake_add(&told->text, "", 1);
        const char *path = *told->path ? told->path : serve_path((const char *)told->text.ptr);
        told->text.len--;
        if (told->id == id || id == 0)
            told->finished = told->answered = true;
        if ((told->id == id || id == 0) && path)
            serve.tainted[number_of(path)] = true;
    }
}

static void call(struct peer *peer)
{
    static const char *const more[] = {"", "\ndev: dev1", "\nx-request-id: r1", "\ngrpc-timeout: 50m",
                                       "\ntri-service-timeout: 30", "\ndev: dev1\ndev: dev2", "\nbaggage: dev=dev1", ""};
    static const int pads[] = {0, 1, 2300, 24000};
    uint8_t how = next(), size = next();
    if (serve.n_calls > 250 || peer->n_told >= TOLD - 8)
        return;
    uint32_t id = 1;
    for (int k = 0; k < peer->n_told; k++)
        id = peer->told[k].id >= id && (peer->told[k].id & 1) && peer->told[k].id < 100000 ? peer->told[k].id + 2 : id;
    size_t len = size & 128 ? (size_t)(size & 127) * 300 : size;
    char kind = "eebrgtsb"[how & 7];
    if (how >> 6)
        serve_traced(peer, id, kind, len, more[how >> 3 & 7], pads[how >> 6]);
    else
        serve_call(peer, id, kind, len, more[how >> 3 & 7]);
}

static void frame(struct peer *peer)
{
    uint8_t type = next(), flags = next(), stream = next(), len = next(), payload[256];
    for (int i = 0; i < len; i++)
        payload[i] = next();
    if (peer->n_told >= TOLD - 8)
        return;
    taint(peer, stream & 127);
    say_frame(peer, type % 12, flags, stream & 127, payload, len);
}

static void raw(struct peer *peer)
{
    uint8_t len = next(), payload[256];
    for (int i = 0; i < len; i++)
        payload[i] = next();
    taint(peer, 0);
    fake_send(peer->conn, payload, len);
}

/* Only some of what was sent arrives in this turn. */
static void cut(uint8_t who, uint8_t some)
{
    static struct fake_bytes late;
    if (fake.n == 0)
        return;
    struct fake_conn *conn = &fake.conns[who % fake.n];
    if (conn->in.len <= some)
        return;
    late.len = 0;
    fake_add(&late, conn->in.ptr + some, conn->in.len - some);
    conn->in.len = some;
    fake_turn(0);
    fake_add(&conn->in, late.ptr, late.len);
}

static void time_passes(uint64_t ns)
{
    uint64_t until = fake.now + ns;
    for (int i = 0; i < 300 && fake.now < until; i++)
        fake_turn((int64_t)(until - fake.now));
}

static void let_in(uint8_t how)
{
    for (int i = 0; i < fake.n; i++) {
        if (!fake.conns[i].sock || !fake.conns[i].connecting || fake.conns[i].answered)
            continue;
        fake_answer_connect(&fake.conns[i], how & 1 ? -ECONNREFUSED : 0);
        if (!(how & 1))
            join(&fake.conns[i]);
        if (how & 2) /* its first words are the fuzzer's */
            return;
        if (!(how & 1))
            say_hello(&peers[i], how & 4 ? (const uint32_t[]){MF_H2_MAX_CONCURRENT_STREAMS, 1, MF_H2_INITIAL_WINDOW_SIZE, 100, 0} : NULL);
        return;
    }
}

static void about(uint8_t what, struct peer *peer)
{
    uint8_t arg = next(), more = next();
    if (what == END_CONN) {
        *(arg & 1 ? &peer->conn->reset : &peer->conn->eof) = true;
        serve.lied = true;
    } else if (what == WINDOW) {
        fake_open_window(peer->conn, arg == 255 ? FAKE_ANY : arg * 64u);
    } else if (what == SETTING) {
        struct mf_h2_pair pair = {(uint16_t)(1 + arg % 6), more & 1 ? more : more * 1000u};
        uint8_t bytes[MF_H2_HEAD_LEN + MF_H2_SETTING_LEN];
        taint(peer, 0); /* its calls may stand still now */
        fake_send(peer->conn, bytes, mf_h2_put_settings(bytes, &pair, 1));
    } else if (what == RESET) {
        taint(peer, arg & 127);
        say_rst(peer, arg & 127, more % 14);
    } else if (what == GOAWAY) {
        serve.lied = true;
        say_goaway(peer, arg & 127, more % 14);
    }
}

static void step(uint8_t what, uint8_t who)
{
    struct peer *peer;
    switch (what) {
    case CALLER_COMES: {
        struct fake_conn *conn = fake.n < FAKE_CONNS - 24 ? fake_connect() : NULL;
        if (conn)
            say_hello(join(conn), who & 1 ? (const uint32_t[]){MF_H2_INITIAL_WINDOW_SIZE, 1000, MF_H2_HEADER_TABLE_SIZE, 0, 0} : NULL);
        return;
    }
    case CALL_BEGINS:
        if ((peer = choose(who, false)))
            call(peer);
        return;
    case SERVE:
        serve_turn();
        return;
    case LET_IN:
        let_in(who);
        return;
    case TIME:
        time_passes((1 + next()) * 2000000u);
        return;
    case REFUSE:
        fake.refuse = who & 1 ? ECONNREFUSED : who & 2 ? EMFILE : 0;
        return;
    case DRAIN:
        mf_engine_drain(mesh.engine);
        return;
    case PUBLISH:
        mesh_publish(who % 4);
        mf_table_reclaim(mesh.table);
        return;
    case CUT:
        cut(who, next());
        return;
    }
    if (!(peer = choose(who >> 1, who & 1)))
        return;
    if (what == FRAME)
        frame(peer);
    else if (what == RAW)
        raw(peer);
    else
        about(what, peer);
}

static uint8_t tight;

static void limit(struct mf_limits *limits)
{
    limits->call_timeout = 200;
    limits->connect_timeout = 100;
    limits->frame_timeout = limits->settings_timeout = limits->ping_timeout = 50;
    limits->stall_timeout = 300;
    limits->idle_timeout = 400;
    limits->heartbeat = 150;
    limits->peer_backoff = 30;
    limits->max_calls = tight & 1 ? 3 : 300;
    limits->h2_kept = tight & 2 ? 100 : 65536;
    limits->max_kept = tight & 4 ? 1000 : 4194304;
    limits->max_pending = tight & 8 ? 2 : 1024;
    limits->h2_streams = tight & 16 ? 2 : 100;
    limits->output_high = tight & 32 ? 4096 : 262144;
    limits->upstream_trials = tight & 64 ? 0 : 4;
}

/* Who was there to the end has been told of each call; `lost`: there is no provider any more. */
static void finish(void)
{
    for (int i = 0; i < fake.n; i++)
        fake_open_window(&fake.conns[i], FAKE_ANY);
    time_passes(2000000000);
    fake.refuse = ECONNREFUSED;
    for (int i = 0; i < fake.n; i++)
        if (fake.conns[i].up)
            fake.conns[i].reset = true;
    time_passes(2000000000);
    for (int i = 0; i < fake.n; i++)
        if (!fake.conns[i].up && peers[i].conn)
            serve_judge(&peers[i]);
    mesh_close();
    if (test_failures)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    script = data;
    script_end = data + len;
    memset(&serve, 0, sizeof serve);
    serve.failing = serve.wild = true;
    uint8_t config = next();
    tight = next();
    mesh_open(config & 1 ? MF_INBOUND : MF_OUTBOUND, 3, limit);
    for (int i = 0; i < 300 && script < script_end; i++) {
        uint8_t op = next();
        step(op % 16 % STEPS, op >> 4 & 7);
        if (!(op & 0x80)) /* else the next step comes in the same turn */
            fake_turn(0);
    }
    finish();
    return 0;
}
