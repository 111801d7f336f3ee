#pragma once
/* h2_frames: what comes on a connection, frame by frame, told to the end that reads it.
 *
 * Header blocks are decoded by csrc/codec, which is held to foreign encoders; the rest shares nothing with the proxy. A
 * block that came before at the same state of the table is known by its bytes: this must cost less than any proxy. */
#include "h2_conn.h"

static int h2_conn_settings(struct h2_conn *conn, const uint8_t *p, size_t len, uint8_t flags)
{
    conn->greeted = true;
    if (flags & H2_ACK)
        return len ? -EPROTO : 0;
    if (len % 6)
        return -EPROTO;
    for (; len; len -= 6, p += 6) {
        uint32_t v = h2_get32(p + 2);
        switch (p[0] << 8 | p[1]) {
        case H2_SET_TABLE: conn->table = v < H2_TABLE ? v : H2_TABLE; break;
        case H2_SET_STREAMS: conn->streams_most = v; break;
        case H2_SET_WINDOW: conn->stream_window = v; break;
        case H2_SET_FRAME:
            if (v < H2_FRAME_MOST)
                return -EPROTO;
            break;
        }
    }
    h2_put_head(bytes_reserve(&conn->out, H2_HEAD), 0, H2_SETTINGS, H2_ACK, 0);
    conn->out.end += H2_HEAD;
    return 0;
}

static int h2_conn_block(struct h2_conn *conn, const struct h2_end *end, uint32_t stream, const uint8_t *p, size_t len,
                         bool last)
{
    static struct mf_pair fields[H2_FIELDS];
    static struct mf_h2_mark marks[H2_FIELDS];
    static uint8_t scratch[H2_LIST];
    uint64_t generation = conn->decoder.table.generation;
    for (uint32_t i = 0; i < H2_MEMOS; i++) {
        struct h2_memo *memo = &conn->memo[i];
        if (memo->len == len && memo->generation == generation && !memcmp(memo->block, p, len))
            return end->headers(conn, stream, &memo->seen, last);
    }
    struct mf_hpack_room room = {fields, marks, scratch, sizeof scratch, H2_FIELDS, H2_LIST};
    struct mf_hpack_list list;
    if (mf_hpack_decode(&conn->decoder, mf_slice_of(p, len), &room, &list) || list.over)
        return -EPROTO;
    struct h2_seen seen = {.status = -1, .grpc = -1};
    end->see(fields, list.n, &seen);
    if (conn->decoder.table.generation == generation && len && len <= H2_MEMO_LEN) {
        struct h2_memo *memo = &conn->memo[conn->next_memo++ % H2_MEMOS];
        memo->generation = generation;
        memo->len = len;
        memo->seen = seen;
        memcpy(memo->block, p, len);
    }
    return end->headers(conn, stream, &seen, last);
}

static int h2_conn_headers(struct h2_conn *conn, const struct h2_end *end, uint8_t type, uint8_t flags, uint32_t stream,
                           const uint8_t *p, size_t len)
{
    if (type == H2_HEADERS && flags & H2_PRIORITIZED) {
        if (len < 5)
            return -EPROTO;
        p += 5;
        len -= 5;
    }
    if (type == H2_HEADERS && flags & H2_END_HEADERS)
        return h2_conn_block(conn, end, stream, p, len, flags & H2_END_STREAM);
    if (type == H2_HEADERS) {
        conn->joining = stream;
        conn->joining_flags = flags;
    }
    if (bytes_held(&conn->joined) + len > H2_JOINED_MOST)
        return -EPROTO;
    memcpy(bytes_reserve(&conn->joined, len + 1), p, len);
    conn->joined.end += len;
    if (type == H2_HEADERS || !(flags & H2_END_HEADERS))
        return 0;
    conn->joining = 0;
    len = bytes_held(&conn->joined);
    int rc = h2_conn_block(conn, end, stream, conn->joined.base + conn->joined.begin, len,
                           conn->joining_flags & H2_END_STREAM);
    bytes_consume(&conn->joined, len);
    return rc;
}

static int h2_conn_frame(struct h2_conn *conn, const struct h2_end *end, const uint8_t *head, size_t len)
{
    uint8_t type = head[3], flags = head[4];
    uint32_t stream = h2_get32(head + 5) & 0x7fffffff;
    const uint8_t *p = head + H2_HEAD;
    size_t counted = len;
    if (conn->joining ? type != H2_CONTINUATION || stream != conn->joining : type == H2_CONTINUATION)
        return -EPROTO;
    if (!conn->greeted && type != H2_SETTINGS)
        return -EPROTO;
    if ((type == H2_DATA || type == H2_HEADERS) && flags & H2_PADDED) {
        if (!len || p[0] >= len)
            return -EPROTO;
        len -= 1u + p[0];
        p++;
    }
    switch (type) {
    case H2_DATA:
        h2_conn_received(conn, counted);
        return end->data(conn, stream, p, len, counted, flags & H2_END_STREAM);
    case H2_HEADERS:
    case H2_CONTINUATION: return stream ? h2_conn_headers(conn, end, type, flags, stream, p, len) : -EPROTO;
    case H2_RST: return len == 4 ? end->reset(conn, stream, h2_get32(p)) : -EPROTO;
    case H2_SETTINGS: return stream ? -EPROTO : h2_conn_settings(conn, p, len, flags);
    case H2_PUSH: return -EPROTO;
    case H2_PING:
        if (len != 8)
            return -EPROTO;
        if (!(flags & H2_ACK)) {
            uint8_t *to = bytes_reserve(&conn->out, H2_HEAD + 8);
            memcpy(h2_put_head(to, 8, H2_PING, H2_ACK, 0), p, 8);
            conn->out.end += H2_HEAD + 8;
        }
        return 0;
    case H2_GOAWAY: return len >= 8 ? end->goaway(conn, h2_get32(p) & 0x7fffffff, h2_get32(p + 4)) : -EPROTO;
    case H2_CREDIT: {
        uint32_t more = len == 4 ? h2_get32(p) & 0x7fffffff : 0;
        if (!more)
            return -EPROTO;
        if (!stream)
            conn->window += more;
        return end->credit(conn, stream, more);
    }
    }
    return 0; /* PRIORITY, and what is not known */
}

/* Handles every whole frame of what was received: 0, or an error that ends the connection. */
static int h2_conn_frames(struct h2_conn *conn, const struct h2_end *end)
{
    struct bytes *in = &conn->in;
    size_t preface = sizeof H2_PREFACE - 1;
    if (conn->server && !conn->prefaced) {
        if (bytes_held(in) < preface)
            return 0;
        if (memcmp(in->base + in->begin, H2_PREFACE, preface) != 0)
            return -EPROTO;
        bytes_consume(in, preface);
        conn->prefaced = true;
    }
    while (bytes_held(in) >= H2_HEAD) {
        const uint8_t *head = in->base + in->begin;
        size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        if (len > H2_FRAME_MOST)
            return -EPROTO;
        if (bytes_held(in) < H2_HEAD + len)
            return 0;
        int rc = h2_conn_frame(conn, end, head, len);
        if (rc)
            return rc;
        bytes_consume(in, H2_HEAD + len);
    }
    return 0;
}
