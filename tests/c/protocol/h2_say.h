#pragma once
/* h2_say: what a peer of the test's making says on an HTTP/2 connection, and what it was told. */
#include "protocol/h2_world.h"

/* --- what a peer says */

static void say(struct wire *wire, const void *bytes, size_t len)
{
    fake_send(wire->conn, bytes, len);
}

static void say_frame(struct wire *wire, uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len)
{
    uint8_t head[MF_H2_HEAD_LEN];
    mf_h2_put_head(head, &(struct mf_h2_head){(uint32_t)len, stream, type, flags});
    say(wire, head, sizeof head);
    say(wire, payload, len);
}

/* A block without the table: fields as "name: value" lines. */
static size_t block_of(uint8_t *to, const char *lines)
{
    size_t len = 0;
    while (*lines) {
        const char *end = strchr(lines, '\n'), *colon;
        if (!end)
            end = lines + strlen(lines);
        colon = memchr(lines + 1, ':', (size_t)(end - lines) - 1);
        struct mf_pair field = {mf_slice_of(lines, (size_t)(colon - lines)),
                                mf_slice_of(colon + 2, (size_t)(end - colon - 2))};
        len += mf_hpack_put_plain(to + len, field, mf_h2_mark_of(field));
        lines = *end ? end + 1 : end;
    }
    return len;
}

#define GET ":method: GET\n:scheme: http\n:path: /\n:authority: a\n"
#define POST ":method: POST\n:scheme: http\n:path: /\n:authority: a\n"
#define BYTES(n) ":method: GET\n:scheme: http\n:path: /bytes/" #n "\n:authority: a\n"

__attribute__((unused)) static void say_head(struct wire *wire, uint32_t stream, uint8_t flags, const char *lines)
{
    static uint8_t block[65536];
    say_frame(wire, MF_H2_HEADERS, flags | MF_H2_END_HEADERS, stream, block, block_of(block, lines));
}

__attribute__((unused)) static void say_data(struct wire *wire, uint32_t stream, size_t len, bool end)
{
    static uint8_t zeros[1 << 20];
    say_frame(wire, MF_H2_DATA, end ? MF_H2_END_STREAM : 0, stream, zeros, len);
}

__attribute__((unused)) static void say_window(struct wire *wire, uint32_t stream, uint32_t n)
{
    uint8_t frame[MF_H2_WINDOW_ROOM];
    say(wire, frame, mf_h2_put_window(frame, stream, n));
}

__attribute__((unused)) static void say_rst(struct wire *wire, uint32_t stream, uint32_t code)
{
    uint8_t frame[MF_H2_RST_ROOM];
    say(wire, frame, mf_h2_put_rst_stream(frame, stream, code));
}

__attribute__((unused)) static void say_ping(struct wire *wire, uint64_t n, bool ack)
{
    uint8_t frame[MF_H2_PING_ROOM];
    say(wire, frame, mf_h2_put_ping(frame, n, ack));
}

__attribute__((unused)) static void say_goaway(struct wire *wire, uint32_t last, uint32_t code)
{
    uint8_t frame[MF_H2_GOAWAY_ROOM];
    say(wire, frame, mf_h2_put_goaway(frame, last, code, 0));
}

static void say_settings(struct wire *wire, const struct mf_h2_pair *pairs, uint32_t n)
{
    uint8_t frame[MF_H2_HEAD_LEN + 64 * MF_H2_SETTING_LEN];
    say(wire, frame, mf_h2_put_settings(frame, pairs, n));
}

static void say_ack(struct wire *wire)
{
    say_frame(wire, MF_H2_SETTINGS, MF_H2_ACK, 0, NULL, 0);
}

/* A client's beginning, or a server's, with the acknowledgement. */
__attribute__((unused)) static void say_hello(struct wire *wire, const struct mf_h2_pair *pairs, uint32_t n)
{
    if (wire->h2->server)
        say(wire, MF_H2_PREFACE, MF_H2_PREFACE_LEN);
    say_settings(wire, pairs, n);
    say_ack(wire);
    settle();
}

/* --- what it was told */

static bool next_frame(struct wire *wire, struct mf_h2_head *head, struct mf_slice *payload)
{
    struct mf_slice rest = mf_slice_of(wire->conn->out.ptr + wire->at, wire->conn->out.len - wire->at);
    if (wire->at == 0 && wire->conn->up) {
        rest = mf_slice_of(rest.ptr + MF_H2_PREFACE_LEN, rest.len - MF_H2_PREFACE_LEN);
        wire->at = MF_H2_PREFACE_LEN;
    }
    if (mf_h2_frame_head(rest, MF_H2_FRAME_MOST, head) < 0 || rest.len < MF_H2_HEAD_LEN + head->len)
        return false;
    *payload = mf_slice_of(rest.ptr + MF_H2_HEAD_LEN, head->len);
    wire->at += MF_H2_HEAD_LEN + head->len;
    return true;
}

/* All that came since the last look. */
struct told {
    uint64_t n, data, content, largest, windows, windows_0, credit, credit_0, pongs, acks, resets, heads, ends;
    uint32_t goaway, goaway_last, goaways; /* the last one's code and id */
    uint32_t reset, reset_code, first_head;
    bool closed;
};

__attribute__((unused)) static struct told hear(struct wire *wire)
{
    struct told told = {.goaway = UINT32_MAX, .reset_code = UINT32_MAX};
    struct mf_h2_head head;
    struct mf_slice payload;
    struct mf_h2_goaway goaway;
    settle();
    while (next_frame(wire, &head, &payload)) {
        told.n++;
        told.ends += (head.type == MF_H2_DATA || head.type == MF_H2_HEADERS) && (head.flags & MF_H2_END_STREAM);
        switch (head.type) {
        case MF_H2_DATA:
            told.data++;
            told.content += head.len;
            told.largest = told.largest > head.len ? told.largest : head.len;
            break;
        case MF_H2_HEADERS:
            told.first_head = told.heads++ ? told.first_head : head.stream;
            break;
        case MF_H2_RST_STREAM:
            told.resets++;
            told.reset = head.stream;
            told.reset_code = mf_h2_frame_rst_stream(payload);
            break;
        case MF_H2_SETTINGS:
        case MF_H2_PING:
            told.pongs += head.type == MF_H2_PING && (head.flags & MF_H2_ACK);
            told.acks += head.type == MF_H2_SETTINGS && (head.flags & MF_H2_ACK);
            break;
        case MF_H2_GOAWAY:
            mf_h2_frame_goaway(payload, &goaway);
            told.goaways++;
            told.goaway = goaway.code;
            told.goaway_last = goaway.last;
            break;
        case MF_H2_WINDOW_UPDATE:
            *(head.stream ? &told.windows : &told.windows_0) += 1;
            *(head.stream ? &told.credit : &told.credit_0) += mf_get32(payload.ptr);
        }
    }
    told.closed = !wire->conn->sock || wire->conn->fin;
    return told;
}
