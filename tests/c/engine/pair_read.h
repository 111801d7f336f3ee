#pragma once
/* pair_read: both directions of each connection, read once more, and what must hold of them (pair.h). */
#include "pair_state.h"

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
    const struct mf_relay *relay = (const void *)fake.conns[i].sock;
    if (!relay || relay->conn.ops != &mf_relay_ops || !relay->other)
        return -1;
    for (int k = 0; k < fake.n; k++)
        if (fake.conns[k].sock == &relay->other->sock)
            return k;
    return -1;
}

static bool pair_is_tcp(int i)
{
    const struct mf_conn *conn = (const void *)fake.conns[i].sock;
    return conn && conn->ops == &mf_relay_ops;
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
        if (!conn->up && side->sent.len && side->sent.ptr[0] != 0xda)
            continue; /* HTTP/1 that has no other half yet, or never gets one */
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
