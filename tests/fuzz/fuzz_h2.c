/* fuzz_h2: an HTTP/2 caller's end and a provider's end with each other, in any cut, on a loop without a kernel. The input is
 * a script: a byte of configuration, then steps. Until bytes of the script itself are put between them neither may find
 * fault with the other, and all content comes whole and in order; whatever comes, each stream ends once and no memory
 * stays. */
#include "protocol/h2_echo.h"
#include "protocol/h2_say.h"

#include "protocol/h2_core.h"

enum {
    OPEN,
    PUT,
    TRAILERS,
    RESET_UP,
    RESET_DOWN,
    MOVE_UP,   /* bytes from the caller's end to the provider's */
    MOVE_DOWN,
    MOVE_ALL,
    TAKE,      /* the asker gets rid of what it holds */
    WINDOW,    /* how much a socket takes */
    GOAWAY,
    PING,
    TIME,
    END,
    RAW,       /* bytes of the script, between them */
    FRAME,     /* a frame of the script's type and length */
    STEPS,
};

enum { KEPT = 256 };

struct mine {
    struct mf_h2_stream h2; /* first */
    size_t held, put, got;
    uint32_t place;
    bool ended;
};

static const uint8_t *script, *script_end;
static struct wire up, down;
static struct mine *open_ones[KEPT];
static uint64_t begun, over;
static bool clean; /* nothing of the script's is between them */

static uint8_t next(void)
{
    return script < script_end ? *script++ : 0;
}

/* --- the asker: what it puts comes back */

static uint8_t byte_of(uint32_t stream, size_t i)
{
    return (uint8_t)(stream * 7 + i);
}

static void on_head(struct mf_h2_stream *stream, const struct mf_h2_head_in *head)
{
    (void)stream;
    (void)head;
}

static void on_data(struct mf_h2_stream *stream, struct mf_slice data, bool ended)
{
    struct mine *mine = (struct mine *)(void *)stream;
    (void)ended;
    for (size_t i = 0; i < data.len && clean && mine->put; i++)
        if (data.ptr[i] != byte_of(stream->id, mine->got + i))
            BROKEN("stream %u: byte %zu is wrong", stream->id, mine->got + i);
    mine->got += data.len;
    mine->held += data.len;
}

static void on_sent(struct mf_h2_stream *stream, size_t len)
{
    (void)stream;
    (void)len;
}

static void on_end(struct mf_h2_stream *stream, const struct mf_h2_end *end)
{
    struct mine *mine = (struct mine *)(void *)stream;
    over++;
    if (end->why == MF_H2_WHOLE && clean && mine->put && mine->got != mine->put)
        BROKEN("stream %u: %zu bytes came back of %zu", stream->id, mine->got, mine->put);
    if (end->why == MF_H2_BY_RULE && clean)
        BROKEN("stream %u: %s", stream->id, mf_err_text(end->rc));
    open_ones[mine->place] = NULL;
}

static void on_lost(struct mf_h2_conn *h2, int rc)
{
    if (clean && h2->_rc && rc != MF_ELIMIT && rc != MF_EH2_SILENT)
        BROKEN("the caller's end found fault: %s", mf_err_text(rc));
}

static const struct mf_h2_ops ops = {
    .stream_size = sizeof(struct mine),
    .stream_zeroed = sizeof(struct mine),
    .on_head = on_head,
    .on_data = on_data,
    .on_sent = on_sent,
    .on_end = on_end,
    .on_lost = on_lost,
};

static bool alive(const struct wire *wire)
{
    return wire->conn->sock && mf_conn_open(&wire->h2->conn);
}

static void open_one(uint8_t how)
{
    static const char *const paths[] = {"/", "/bytes/0", "/bytes/100", "/bytes/9000", "/bytes/100000"};
    bool echo = how & 1;
    int place = 0, rc;
    while (place < KEPT && open_ones[place])
        place++;
    if (place == KEPT || !alive(&up))
        return;
    struct mf_pair fields[] = {
        {MF_SLICE(":method"), mf_slice_str(echo ? "POST" : "GET")},
        {MF_SLICE(":scheme"), MF_SLICE("http")},
        {MF_SLICE(":path"), mf_slice_str(echo ? "/" : paths[(how >> 1) % 5])},
        {MF_SLICE(":authority"), MF_SLICE("a")},
        {MF_SLICE("x-n"), MF_SLICE("")},
        {MF_SLICE("te"), MF_SLICE("trailers")},
    };
    fields[4].value = mf_slice_of(&"abcdefgh"[how >> 4 & 7], 1);
    struct mf_h2_stream *stream = mf_h2_stream_open(up.h2, fields, NULL, how & 8 ? 6 : 5, !echo, NULL, &rc);
    if (!stream)
        return;
    struct mine *mine = (struct mine *)(void *)stream;
    mine->place = (uint32_t)place;
    mine->ended = !echo;
    open_ones[place] = mine;
    begun++;
}

static struct mine *some(uint8_t n)
{
    int found[KEPT], count = 0;
    for (int i = 0; i < KEPT; i++)
        if (open_ones[i])
            found[count++] = i;
    return count ? open_ones[found[n % count]] : NULL;
}

static void put(struct mine *mine, uint8_t size, bool end)
{
    static uint8_t bytes[255 * 255];
    if (mine->ended || !alive(&up))
        return;
    size_t len = (size_t)size * size;
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_of(mine->h2.id, mine->put + i);
    mine->put += len;
    mine->ended = end;
    mf_h2_stream_data(&mine->h2, mf_slice_of(bytes, len), NULL, end);
}

/* --- between them */

static bool move(struct wire *from, struct wire *to, size_t most)
{
    size_t len = from->conn->out.len < most ? from->conn->out.len : most;
    fake_send(to->conn, from->conn->out.ptr, len);
    fake_take(&from->conn->out, len);
    return len > 0;
}

static bool move_all(void)
{
    bool any = false;
    for (int quiet = 0; quiet < 3;) {
        bool moved = move(&up, &down, SIZE_MAX);
        moved |= move(&down, &up, SIZE_MAX);
        any |= moved;
        fake_turn(0);
        quiet = moved ? 0 : quiet + 1;
    }
    return any;
}

static void raw(struct wire *to)
{
    size_t len = next();
    len = len < (size_t)(script_end - script) ? len : (size_t)(script_end - script);
    clean = false;
    say(to, script, len);
    script += len;
}

static void raw_frame(struct wire *to)
{
    uint8_t type = next(), flags = next(), stream = next();
    size_t len = next();
    len = len < (size_t)(script_end - script) ? len : (size_t)(script_end - script);
    clean = false;
    say_frame(to, type % 12, flags, stream, script, len);
    script += len;
}

static void take(struct mine *mine, uint8_t how)
{
    size_t len = how == 255 ? mine->held : mine->held < how ? mine->held : how;
    if (!alive(&up) || !len)
        return;
    mine->held -= len;
    mf_h2_stream_credit(&mine->h2, len, how * 1024u);
}

static void step(uint8_t what, uint8_t arg)
{
    struct wire *one = arg & 1 ? &up : &down;
    struct mine *mine = some(arg);
    switch (what) {
    case OPEN:
        open_one(arg);
        return;
    case PUT:
        arg = next();
        if (mine)
            put(mine, arg, arg % 7 == 0);
        return;
    case TRAILERS:
        if (mine && !mine->ended && alive(&up)) {
            mine->ended = true;
            mf_h2_stream_trailers(&mine->h2, &echo_trailer, NULL, 1, NULL);
        }
        return;
    case RESET_UP:
        if (mine)
            mf_h2_stream_reset(&mine->h2, MF_H2_CANCEL);
        return;
    case RESET_DOWN:
        if (mine && alive(&down) && mf_h2_core_find(down.h2, mine->h2.id))
            mf_h2_stream_reset(mf_h2_core_find(down.h2, mine->h2.id), arg & 16 ? MF_H2_REFUSED_STREAM : MF_H2_NO_ERROR);
        return;
    case MOVE_UP:
        move(&up, &down, arg * 8u + 1);
        return;
    case MOVE_DOWN:
        move(&down, &up, arg * 8u + 1);
        return;
    case MOVE_ALL:
        move_all();
        return;
    case TAKE:
        arg = next();
        if (mine)
            take(mine, arg);
        return;
    case WINDOW:
        fake_open_window(one->conn, arg < 200 ? arg * 16u : FAKE_ANY);
        return;
    case GOAWAY:
        if (alive(one))
            mf_h2_conn_goaway(one->h2, arg & 2);
        return;
    case PING:
        if (alive(one))
            mf_h2_conn_ping(one->h2);
        return;
    case TIME:
        fake_turn((1 + (int64_t)arg) * 20000000);
        return;
    case END:
        if (arg & 2)
            one->conn->reset = true;
        else
            one->conn->eof = true;
        clean = false;
        return;
    case RAW:
        raw(one);
        return;
    case FRAME:
        raw_frame(one);
        return;
    }
}

/* What has been passed on has its window back, and what may be sent is sent. */
static void check_windows(const struct wire *wire)
{
    if (!alive(wire) || wire->h2->_failed)
        return;
    for (uint32_t i = 0; i <= wire->h2->_mask; i++) {
        for (const struct mf_h2_stream *stream = wire->h2->_slots[i]; stream; stream = stream->_next) {
            bool comes = stream->state == MF_H2_OPEN || stream->state == MF_H2_LOCAL;
            if (comes && !stream->_held && stream->_in_window <= 0)
                BROKEN("stream %u: nothing is held, and its window is %d", stream->id, stream->_in_window);
            if (clean && stream->queued && stream->_out_window > 0 && wire->h2->_out_window > 0)
                BROKEN("stream %u: %u bytes wait for nothing", stream->id, stream->queued);
        }
    }
}

/* Everything is taken and moved until nothing happens any more: all streams whose ends were put are whole. */
static void finish(void)
{
    fake_open_window(up.conn, FAKE_ANY);
    fake_open_window(down.conn, FAKE_ANY);
    for (int i = 0; i < KEPT; i++)
        if (open_ones[i])
            put(open_ones[i], 0, true);
    for (bool more = true; more;) {
        more = move_all();
        for (int i = 0; i < KEPT; i++) {
            more |= open_ones[i] && open_ones[i]->held && alive(&up);
            if (open_ones[i])
                take(open_ones[i], 255);
        }
    }
    check_windows(&up);
    check_windows(&down);
    if (clean && alive(&up) && alive(&down) && up.h2->n_streams)
        BROKEN("%u streams did not end", up.h2->n_streams);
}

static void limit(struct mf_limits *limits)
{
    limits->h2_streams = 16;
    limits->h2_connection_window = 65536;
    limits->h2_stream_window = 32768;
    limits->h2_first_window = script < script_end && (script[0] & 1) ? 1024 : 20000;
    limits->h2_resets = 100;
    limits->stall_timeout = 1000000000;
    limits->h2_header_list = 2048;
    limits->h2_fields = 20;
    limits->h2_block = 4096;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    script = data;
    script_end = data + len;
    memset(open_ones, 0, sizeof open_ones);
    begun = over = 0;
    clean = true;
    world_open_with(limit);
    next();
    down = world_accept(sizeof(struct echo_conn), echo_begin);
    up = world_dial(sizeof(struct mf_h2_conn), &ops);
    while (script < script_end && up.conn->sock && down.conn->sock) {
        uint8_t what = next(), arg = next();
        step(what % STEPS, arg);
        fake_turn(0);
    }
    finish();
    for (int i = 0; i < fake.n; i++) {
        fake.conns[i].reset = true;
        fake_open_window(&fake.conns[i], FAKE_ANY);
    }
    pass(12000);
    if (begun != over)
        BROKEN("%d streams began, and %d ended", (int)begun, (int)over);
    world_close();
    if (test_failures)
        BROKEN("see above");
    return 0;
}
