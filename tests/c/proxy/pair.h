#pragma once
/* pair: an engine between fake callers and fake providers, and what must hold whatever they send.
 *
 * What each side was given is read here once more, by a reader of its own (apart from csrc/codec), and gives what is
 * due: every two-way request gets one answer with its own id, on its own connection, unless that connection ends; no
 * other answer comes; what was built here with a mark comes out where it belongs; plain TCP passes as it is; what the
 * engine writes is whole frames. A breach aborts. */
#include "codec/dubbo.h"
#include "codec/hessian.h"
#include "fake.h"
#include "proxy/conn.h"
#include "proxy/engine.h"
#include "proxy/tcp_conn.h"

enum { PAIR_DUE = 128, PAIR_ASKED = 256, PAIR_MARK = 8 };

struct due {
    uint64_t id;
    bool event;
};

/* How far one direction of a connection has been read here. */
struct reader {
    struct fake_bytes rest; /* of a frame that is not whole */
    uint64_t skip;
    bool over;              /* nothing behind this means anything */
};

struct side {
    struct reader said, heard; /* what the peer sent; what the engine sent it */
    bool opaque, decided;      /* plain TCP */
    struct fake_bytes sent;    /* opaque, and the first byte: all that the peer sent */
    size_t n_heard;
    struct due due[PAIR_DUE];
    int n_due;
    bool counted;              /* `due` has had room for all */
};

/* A request that reached a provider. */
struct asked {
    uint64_t id;
    int up;                 /* the number of its connection */
    int mark;               /* of pair.marks, or -1 */
    bool two_way, answered;
};

/* What one request is known by, and its answer. */
struct mark {
    uint8_t question[PAIR_MARK], answer[PAIR_MARK];
    size_t at;              /* of the question in its frame */
    int down;
    uint64_t id;
    int delivered;
};

static struct {
    struct mf_table *table;
    struct mf_trace *trace;
    struct mf_engine *engine;
    struct mf_limits limits;
    struct side sides[FAKE_CONNS];
    struct asked asked[PAIR_ASKED];
    struct mark marks[PAIR_ASKED];
    int n_asked, n_marks;
    uint64_t max_body;
} pair;

static uint64_t pair_get(const uint8_t *p, int n)
{
    uint64_t v = 0;
    while (n--)
        v = v << 8 | *p++;
    return v;
}

/* --- marks */

static void pair_mark(uint8_t text[PAIR_MARK], char kind, int number)
{
    uint64_t x = (uint64_t)number * 0x9e3779b97f4a7c15 + (uint8_t)kind;
    x ^= x >> 29;
    x *= 0xbf58476d1ce4e5b9;
    for (int i = 0; i < PAIR_MARK; i++, x >>= 8)
        text[i] = (uint8_t)(0x21 + (x & 0x3f)); /* one byte each in Hessian2 */
}

/* Not memcmp: a fuzzer looks over its shoulder. */
static bool pair_bears(const uint8_t *frame, size_t len, size_t at, const uint8_t mark[PAIR_MARK])
{
    if (len < at + PAIR_MARK)
        return false;
    for (int k = 0; k < PAIR_MARK; k++)
        if (mark[k] != frame[at + k])
            return false;
    return true;
}

/* --- reading both directions again */

typedef void (*frame_fn)(int i, const uint8_t *frame, size_t len, bool whole);

/* Cuts what came into frames; `whole` is false for one that is too long, of which `frame` is the head alone. */
static void pair_read(int i, struct reader *reader, const uint8_t *bytes, size_t len, uint64_t max, frame_fn fn)
{
    if (reader->over)
        return;
    fake_add(&reader->rest, bytes, len);
    size_t at = 0;
    while (at < reader->rest.len && !reader->over) {
        const uint8_t *p = reader->rest.ptr + at;
        size_t left = reader->rest.len - at;
        if (reader->skip) {
            size_t n = left < reader->skip ? left : (size_t)reader->skip;
            reader->skip -= n;
            at += n;
            continue;
        }
        if (p[0] != 0xda || (left > 1 && p[1] != 0xbb)) {
            reader->over = true;
            break;
        }
        if (left < 16)
            break;
        uint64_t body = pair_get(p + 12, 4);
        if (body > max) {
            fn(i, p, 16, false);
            reader->over = body > INT32_MAX;
            reader->skip = body;
            at += 16;
            continue;
        }
        if (left < 16 + body)
            break;
        fn(i, p, 16 + (size_t)body, true);
        at += 16 + (size_t)body;
    }
    fake_take(&reader->rest, at);
}

static void pair_owe(int i, uint64_t id, bool event)
{
    struct side *side = &pair.sides[i];
    if (side->n_due == PAIR_DUE)
        side->counted = false;
    else
        side->due[side->n_due++] = (struct due){id, event};
}

/* A caller sent it. */
static void pair_said(int i, const uint8_t *frame, size_t len, bool whole)
{
    bool request = frame[2] & 0x80, two_way = frame[2] & 0x40, event = frame[2] & 0x20;
    (void)len;
    if (request && two_way)
        pair_owe(i, pair_get(frame + 4, 8), event && whole);
}

/* A caller got it. */
static void pair_answered(int i, const uint8_t *frame, size_t len, bool whole)
{
    struct side *side = &pair.sides[i];
    bool request = frame[2] & 0x80, event = frame[2] & 0x20;
    uint64_t id = pair_get(frame + 4, 8);
    if (!whole)
        BROKEN("caller %d got a frame that is too long", i);
    if (request) {
        if (!event || (frame[2] & 0x40) || len != 18 || frame[16] != 1 || (frame[17] != 'R' && frame[17] != 'W'))
            BROKEN("caller %d got a request", i);
        return;
    }
    uint8_t forged[PAIR_MARK];
    pair_mark(forged, 'f', 0);
    if (pair_bears(frame, len, 16, forged))
        BROKEN("caller %d got an answer from a provider that was not asked", i);
    for (int m = 0; m < pair.n_marks; m++) {
        struct mark *mark = &pair.marks[m];
        if (pair_bears(frame, len, 16, mark->answer) && (mark->down != i || mark->id != id || mark->delivered++))
            BROKEN("the answer to call %d came to caller %d as %llu, time %d", m, i, (unsigned long long)id,
                   mark->delivered);
    }
    for (int d = 0; d < side->n_due; d++)
        if (side->due[d].id == id && side->due[d].event == event) {
            side->due[d] = side->due[--side->n_due];
            return;
        }
    if (side->counted)
        BROKEN("caller %d got an answer to %llu, which it did not ask", i, (unsigned long long)id);
}

/* A provider got it. */
static void pair_asked(int i, const uint8_t *frame, size_t len, bool whole)
{
    if (!whole)
        BROKEN("provider %d got a frame that is too long", i);
    if (!(frame[2] & 0x80) || (frame[2] & 0x20) || pair.n_asked == PAIR_ASKED)
        return;
    struct asked *asked = &pair.asked[pair.n_asked];
    *asked = (struct asked){.id = pair_get(frame + 4, 8), .up = i, .mark = -1, .two_way = frame[2] & 0x40};
    for (int k = 0; k < pair.n_asked; k++)
        if (pair.asked[k].id == asked->id)
            BROKEN("two calls were sent as %llu", (unsigned long long)asked->id);
    for (int m = 0; m < pair.n_marks; m++) {
        struct mark *mark = &pair.marks[m];
        if (pair_bears(frame, len, mark->at, mark->question))
            asked->mark = m;
    }
    pair.n_asked++;
}

/* The number of the connection that a plain TCP one is joined to, or -1. */
static int pair_other(int i)
{
    const struct mf_conn *conn = (const void *)fake.conns[i].sock;
    for (int k = 0; conn && conn->other && k < fake.n; k++)
        if (fake.conns[k].sock == &conn->other->sock)
            return k;
    return -1;
}

static bool pair_is_tcp(int i)
{
    const struct mf_conn *conn = (const void *)fake.conns[i].sock;
    return conn && conn->ops == &mf_tcp_ops;
}

/* Looks at what the engine has written since the last time. */
static void pair_look(void)
{
    for (int i = 0; i < fake.n; i++) {
        struct fake_conn *conn = &fake.conns[i];
        struct side *side = &pair.sides[i];
        if (pair_is_tcp(i))
            side->opaque = true;
        if (side->opaque) {
            int other = pair_other(i);
            const struct side *from = other < 0 ? NULL : &pair.sides[other];
            if (from && (conn->out.len > from->sent.len || memcmp(conn->out.ptr ? conn->out.ptr : (uint8_t *)"",
                                                                  from->sent.ptr ? from->sent.ptr : (uint8_t *)"",
                                                                  conn->out.len) != 0))
                BROKEN("plain TCP to %d is not what %d sent", i, other);
            continue;
        }
        pair_read(i, &side->heard, conn->out.ptr, conn->out.len, pair.max_body + 4096, conn->up ? pair_asked : pair_answered);
        if (side->heard.over)
            BROKEN("%s %d got something that is no frame", conn->up ? "provider" : "caller", i);
        conn->out.len = 0;
    }
}

static void pair_turn(int64_t ns)
{
    fake_turn(ns);
    pair_look();
}

/* `ns` pass, in as many turns as the engine likes. */
static void pair_pass(uint64_t ns)
{
    uint64_t until = fake.now + ns;
    do
        pair_turn((int64_t)(until - fake.now));
    while (fake.now < until);
}

/* The peer of connection `i` sends. */
static void pair_send(int i, const uint8_t *bytes, size_t len)
{
    struct fake_conn *conn = &fake.conns[i];
    struct side *side = &pair.sides[i];
    if (!len || conn->eof || conn->reset)
        return;
    fake_send(conn, bytes, len);
    fake_add(&side->sent, bytes, len);
    if (conn->up || !conn->sock || ((const struct mf_conn *)(const void *)conn->sock)->closed)
        return; /* what crosses the end on its way is owed nothing */
    pair_read(i, &side->said, bytes, len, pair.max_body, pair_said);
}

/* --- what peers send */

static size_t pair_text(uint8_t *to, const char *text, size_t len)
{
    return (size_t)mf_hessian_put_string(to, mf_hessian_string_room(len), mf_slice_of(text, len));
}

enum { PAIR_REQUEST = 40000 };

/* A request of caller `down` with a mark in its argument, which is `size` bytes longer; `key` NULL: no attachment.
 * `to` has PAIR_REQUEST bytes. */
static size_t pair_request(uint8_t *to, int down, uint64_t id, uint8_t flags, const char *service, size_t size,
                           const char *key, const char *value)
{
    const char *strings[] = {"2.0.2", service, "1", "hi", "Ljava/lang/String;"};
    uint8_t *p = to + 16;
    for (int i = 0; i < 5; i++)
        p += pair_text(p, strings[i], strlen(strings[i]));
    size += PAIR_MARK;
    if (size < 0x20) {
        *p++ = (uint8_t)size;
    } else {
        *p++ = 'S'; /* in one piece: up to 32 KiB */
        mf_put16(p, (uint16_t)size);
        p += 2;
    }
    memset(p, 'x', size);
    if (pair.n_marks < PAIR_ASKED) {
        struct mark *mark = &pair.marks[pair.n_marks];
        *mark = (struct mark){.down = down, .id = id, .at = (size_t)(p - to)};
        pair_mark(mark->question, 'q', pair.n_marks);
        pair_mark(mark->answer, 'a', pair.n_marks++);
        memcpy(p, mark->question, PAIR_MARK);
    }
    p += size;
    *p++ = 'H';
    if (key) {
        p += pair_text(p, key, strlen(key));
        p += pair_text(p, value, strlen(value));
    }
    *p++ = 'Z';
    struct mf_dubbo_head head = {.id = id, .flags = flags, .serialization = 2, .body_len = (uint32_t)(p - to - 16)};
    mf_dubbo_put_head(to, &head);
    return (size_t)(p - to);
}

/* An answer to the k-th request that a provider has got, `size` bytes and its mark. `to` has PAIR_REQUEST bytes. */
static size_t pair_answer(uint8_t *to, int k, uint8_t status, size_t size)
{
    struct asked *asked = &pair.asked[k];
    memset(to + 16, 'y', PAIR_MARK + size);
    if (asked->mark >= 0)
        memcpy(to + 16, pair.marks[asked->mark].answer, PAIR_MARK);
    struct mf_dubbo_head head = {
        .id = asked->id, .flags = 2, .serialization = 2, .status = status, .body_len = (uint32_t)(PAIR_MARK + size)};
    mf_dubbo_put_head(to, &head);
    asked->answered = true;
    return 16 + PAIR_MARK + size;
}

/* An answer to the same, as a provider that was not asked would send it. */
__attribute__((unused)) static size_t pair_forge(uint8_t *to, int k)
{
    bool answered = pair.asked[k].answered;
    size_t len = pair_answer(to, k, 20, 0);
    pair.asked[k].answered = answered;
    pair_mark(to + 16, 'f', 0);
    return len;
}

/* --- begin and end */

#define PAIR_NEED(call)                                                                                                \
    do {                                                                                                               \
        int rc_ = (call);                                                                                              \
        if (rc_ < 0)                                                                                                   \
            BROKEN("%s: %s", #call, mf_err_text(rc_));                                                                 \
    } while (0)

/* `svc`: the second provider carries dev=dev1; a call goes where its label says, else to the others. */
static void pair_publish(int n_peers)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    PAIR_NEED(mf_cluster_new(pair.table, MF_SLICE("app"), &cluster));
    for (int i = 0; i < n_peers; i++) {
        char addr[] = "127.0.0.1:1";
        struct mf_pair label = {MF_SLICE("dev"), MF_SLICE("dev1")};
        addr[10] = (char)('1' + i);
        PAIR_NEED(mf_cluster_add(pair.table, cluster, mf_slice_str(addr), &label, i == 1, 1));
    }
    PAIR_NEED(mf_cluster_seal(pair.table, cluster));
    PAIR_NEED(mf_service_new(pair.table, MF_SLICE("svc"), MF_SERVICE_EXACT, &service));
    PAIR_NEED(mf_service_rule(service, 0));
    PAIR_NEED(mf_service_target(pair.table, service, 0, cluster, MF_TARGET_LABEL, MF_SLICE("dev"), 100,
                                MF_FALLBACK_NO_AVAILABLE, 1));
    PAIR_NEED(mf_service_target(pair.table, service, 0, cluster, MF_TARGET_BASELINE, MF_SLICE("dev"), 0,
                                MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET));
    PAIR_NEED(mf_table_publish(pair.table, service));
    mf_cluster_give(pair.table, cluster);
}

static void pair_label_plan(void)
{
    struct mf_labels plan = {.n_labels = 1, .n_traces = 1};
    int index = mf_label_intern(pair.table, MF_SLICE("dev"));
    PAIR_NEED(index);
    plan.traces[0] = (struct mf_label_source){MF_LABEL_CONTEXT, MF_TRACEID_B3, MF_SLICE("b3")};
    plan.labels[0] = (struct mf_label){.name = MF_SLICE("dev"), .index = (uint32_t)index, .n_sources = 3};
    plan.labels[0].sources[0] = (struct mf_label_source){MF_LABEL_HEADER, MF_TRACEID_PLAIN, MF_SLICE("dev")};
    plan.labels[0].sources[1] = plan.traces[0];
    plan.labels[0].sources[2] = (struct mf_label_source){MF_LABEL_LOCAL, MF_TRACEID_PLAIN, MF_SLICE("dev1")};
    PAIR_NEED(mf_table_publish_labels(pair.table, &plan));
}

static void pair_open(const struct mf_limits *limits, const struct mf_listen_options *listen, int n_peers)
{
    const char *why;
    fake_open();
    memset(&pair, 0, sizeof pair);
    for (int i = 0; i < FAKE_CONNS; i++)
        pair.sides[i].counted = true;
    pair.limits = *limits;
    pair.max_body = limits->max_body;
    PAIR_NEED(mf_table_new(&pair.table));
    PAIR_NEED(mf_trace_new(64, 1000000000, &pair.trace));
    pair_label_plan();
    pair_publish(n_peers);
    struct mf_engine_options options = {
        .embed = fake.loop, .limits = *limits, .table = pair.table, .trace = pair.trace};
    PAIR_NEED(mf_engine_new(&options, &pair.engine, &why));
    PAIR_NEED(mf_engine_listen(pair.engine, listen, NULL));
    PAIR_NEED(mf_engine_start(pair.engine));
}

/* Nothing is due any more on a connection that is there. */
static void pair_check_paid(void)
{
    for (int i = 0; i < fake.n; i++) {
        const struct side *side = &pair.sides[i];
        if (fake.conns[i].sock && !fake.conns[i].up && !side->opaque && side->n_due)
            BROKEN("caller %d waits for %d answers, first to %llu", i, side->n_due,
                   (unsigned long long)side->due[0].id);
    }
}

/* Lets every peer go, and looks whether all is paid and nothing is left. */
static void pair_close(void)
{
    enum { LONG = 2000000000 };
    for (int i = 0; i < fake.n; i++)
        fake_open_window(&fake.conns[i], FAKE_ANY);
    pair_turn(0);
    pair_pass(LONG);
    fake.refuse = ECONNREFUSED;
    for (int i = 0; i < fake.n; i++)
        if (fake.conns[i].up)
            fake.conns[i].reset = true;
    pair_pass(LONG);
    pair_check_paid();
    struct mf_counters counters;
    mf_engine_counters(pair.engine, &counters);
    if (counters.calls_active)
        BROKEN("%llu calls are in flight", (unsigned long long)counters.calls_active);
    mf_engine_free(pair.engine);
    mf_table_free(pair.table);
    mf_trace_free(pair.trace);
    for (int i = 0; i < fake.n; i++) {
        free(pair.sides[i].said.rest.ptr);
        free(pair.sides[i].heard.rest.ptr);
        free(pair.sides[i].sent.ptr);
    }
    fake_close();
}
