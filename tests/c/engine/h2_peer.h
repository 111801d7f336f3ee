#pragma once
/* h2_peer: a peer of the test's making at the other end of one of the engine's HTTP/2 connections, and what it says. What
 * it is told is read in h2_heard.h. */
#include "codec/h2_frame.h"
#include "codec/hpack.h"
#include "fake.h"
#include "test.h"

#ifndef TOLD
#define TOLD 64
#endif
enum { PEER_FIELDS = 128, PEER_SCRATCH = 70000, LONG_DATA = 100 };

struct told {
    uint32_t id;
    struct fake_bytes text;
    size_t content;   /* bytes of DATA; long pieces are not in the text */
    uint8_t byte;     /* the first of them */
    bool mixed;       /* not all of them are like it */
    bool headed;
    uint64_t credit;  /* that it was given for this stream */
    bool ended, reset;
    /* for h2_serve.h */
    char path[32];
    size_t due, sent, taken;
    bool answered, finished, dropped;
};

struct peer {
    struct fake_conn *conn;
    size_t at;        /* of conn->out, what was looked at */
    bool greeted;
    bool foreign;     /* it has said what nobody should: it may be told more than once that a stream is closed */
    struct mf_hpack_decoder decoder;
    void *memory;
    struct fake_bytes block; /* of fields, whose CONTINUATION is to come */
    uint8_t block_flags;
    struct told told[TOLD];
    int n_told;
    uint64_t credit;  /* of the connection */
    uint32_t goaways, goaway_last, goaway_code, pings, acks;
    uint64_t ping;    /* the last one that is no answer */
    uint32_t highest, left_out; /* for h2_serve.h: the last that was answered; from where on none is */
};

static struct peer peers[FAKE_CONNS];
static uint8_t say_byte = 'x'; /* what content is made of */

static struct peer *peer_of(struct fake_conn *conn)
{
    return &peers[conn - fake.conns];
}

static void peers_forget(void)
{
    for (int i = 0; i < FAKE_CONNS; i++) {
        if (!peers[i].conn)
            continue;
        for (int k = 0; k < peers[i].n_told; k++)
            free(peers[i].told[k].text.ptr);
        free(peers[i].memory);
        free(peers[i].block.ptr);
        memset(&peers[i], 0, sizeof peers[i]);
    }
}

/* --- what it says */

static void say_frame(struct peer *peer, uint8_t type, uint8_t flags, uint32_t stream, const void *payload, size_t len)
{
    uint8_t head[MF_H2_HEAD_LEN];
    mf_h2_put_head(head, &(struct mf_h2_head){(uint32_t)len, stream, type, flags});
    fake_send(peer->conn, head, sizeof head);
    fake_send(peer->conn, payload, len);
}

/* A block without the table: fields as "name: value" lines. */
static size_t block_of(uint8_t *to, const char *lines)
{
    size_t len = 0;
    while (*lines) {
        const char *end = strchrnul(lines, '\n'), *colon = memchr(lines + 1, ':', (size_t)(end - lines) - 1);
        struct mf_pair field = {mf_slice_of(lines, (size_t)(colon - lines)),
                                mf_slice_of(colon + 2, (size_t)(end - colon - 2))};
        len += mf_hpack_put_plain(to + len, field, mf_h2_mark_of(field));
        lines = *end ? end + 1 : end;
    }
    return len;
}

__attribute__((unused)) static void say_head(struct peer *peer, uint32_t stream, const char *lines, bool end)
{
    static uint8_t block[65536];
    say_frame(peer, MF_H2_HEADERS, MF_H2_END_HEADERS | (end ? MF_H2_END_STREAM : 0), stream, block, block_of(block, lines));
}

__attribute__((unused)) static void say_data(struct peer *peer, uint32_t stream, const char *text, bool end)
{
    say_frame(peer, MF_H2_DATA, end ? MF_H2_END_STREAM : 0, stream, text, strlen(text));
}

/* `len` bytes. */
__attribute__((unused)) static void say_much(struct peer *peer, uint32_t stream, size_t len, bool end)
{
    static uint8_t bytes[16384];
    memset(bytes, say_byte, sizeof bytes);
    for (size_t n; len; len -= n) {
        n = len < sizeof bytes ? len : sizeof bytes;
        say_frame(peer, MF_H2_DATA, end && n == len ? MF_H2_END_STREAM : 0, stream, bytes, n);
    }
}

__attribute__((unused)) static void say_window(struct peer *peer, uint32_t stream, uint32_t n)
{
    uint8_t frame[MF_H2_WINDOW_ROOM];
    fake_send(peer->conn, frame, mf_h2_put_window(frame, stream, n));
}

__attribute__((unused)) static void say_rst(struct peer *peer, uint32_t stream, uint32_t code)
{
    uint8_t frame[MF_H2_RST_ROOM];
    fake_send(peer->conn, frame, mf_h2_put_rst_stream(frame, stream, code));
}

__attribute__((unused)) static void say_ping(struct peer *peer, uint64_t n, bool ack)
{
    uint8_t frame[MF_H2_PING_ROOM];
    fake_send(peer->conn, frame, mf_h2_put_ping(frame, n, ack));
}

__attribute__((unused)) static void say_goaway(struct peer *peer, uint32_t last, uint32_t code)
{
    uint8_t frame[MF_H2_GOAWAY_ROOM];
    fake_send(peer->conn, frame, mf_h2_put_goaway(frame, last, code, 0));
}

/* Its beginning: settings `id` and `value` in pairs, ended by 0, and the acknowledgement of ours. */
static void say_hello(struct peer *peer, const uint32_t *settings)
{
    uint8_t frame[MF_H2_HEAD_LEN + 8 * MF_H2_SETTING_LEN];
    struct mf_h2_pair pairs[8];
    uint32_t n = 0;
    for (; settings && *settings; settings += 2)
        pairs[n++] = (struct mf_h2_pair){(uint16_t)settings[0], settings[1]};
    if (!peer->conn->up)
        fake_send(peer->conn, MF_H2_PREFACE, MF_H2_PREFACE_LEN);
    fake_send(peer->conn, frame, mf_h2_put_settings(frame, pairs, n));
    say_frame(peer, MF_H2_SETTINGS, MF_H2_ACK, 0, NULL, 0);
}
