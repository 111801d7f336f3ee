#pragma once
/* h2_conn: one HTTP/2 connection of either end: greetings, frames as they come, windows both ways, header blocks.
 *
 * Header blocks are decoded by csrc/codec, which is held to foreign encoders; the rest shares nothing with the proxy. A
 * block that came before at the same state of the table is known by its bytes: this must cost less than any proxy. */
#include "codec/hpack.h"
#include "h2_put.h"

enum { H2_READ_ROOM = 256 << 10, H2_FIELDS = 64, H2_LIST = 16384, H2_MEMOS = 4, H2_MEMO_LEN = 512, H2_JOINED_MOST = 65536 };
enum { H2_OWN_STREAM = 4 << 20, H2_OWN_CONN = 64 << 20 }; /* what may be sent to us: no call here is held up by it */

/* What the fields of a block said to the end that reads it. */
struct h2_seen {
    int32_t status, grpc; /* -1: not there */
    uint32_t size, count; /* of the messages that are asked for */
    bool good;            /* it has what a call must have */
};

struct h2_memo {
    uint64_t generation;
    size_t len;
    struct h2_seen seen;
    uint8_t block[H2_MEMO_LEN];
};

struct h2_conn {
    int fd;
    uint32_t events;
    bool server, prefaced, greeted; /* the preface came; SETTINGS came */
    struct bytes in, out;
    int64_t window, stream_window; /* what we may send: on the connection now; on a new stream */
    uint32_t streams_most, table;  /* the peer's settings */
    uint32_t received;             /* DATA since we gave credit */
    uint32_t joining;              /* the stream whose header block is not whole yet */
    uint8_t joining_flags;
    struct bytes joined;
    struct mf_hpack_decoder decoder;
    void *table_memory;
    struct h2_memo memo[H2_MEMOS];
    uint32_t next_memo;
};

/* What an end does with what comes; each but the last returns 0 or an error that ends the connection. */
struct h2_end {
    int (*headers)(struct h2_conn *conn, uint32_t stream, const struct h2_seen *seen, bool end);
    int (*data)(struct h2_conn *conn, uint32_t stream, const uint8_t *p, size_t len, size_t counted, bool end);
    int (*reset)(struct h2_conn *conn, uint32_t stream, uint32_t code);
    int (*credit)(struct h2_conn *conn, uint32_t stream, uint32_t more); /* stream 0: of the connection, added already */
    int (*goaway)(struct h2_conn *conn, uint32_t last, uint32_t code);
    void (*see)(const struct mf_pair *fields, uint32_t n, struct h2_seen *seen);
};

static inline void h2_conn_init(struct h2_conn *conn, int fd, bool server)
{
    *conn = (struct h2_conn){.fd = fd, .server = server, .window = H2_WINDOW, .stream_window = H2_WINDOW,
                             .streams_most = UINT32_MAX, .table = H2_TABLE};
    conn->table_memory = must_alloc(mf_hpack_decoder_room(H2_TABLE));
    mf_hpack_decoder_init(&conn->decoder, conn->table_memory, H2_TABLE);
    uint8_t *to = bytes_reserve(&conn->out, 128), *at = to;
    if (!server) {
        memcpy(at, H2_PREFACE, sizeof H2_PREFACE - 1);
        at += sizeof H2_PREFACE - 1;
    }
    at = h2_put_head(at, server ? 12 : 18, H2_SETTINGS, 0, 0);
    if (!server)
        at = h2_put_setting(at, 2, 0); /* no pushes */
    at = h2_put_setting(at, H2_SET_STREAMS, server ? 100000 : 0);
    at = h2_put_setting(at, H2_SET_WINDOW, H2_OWN_STREAM);
    at = h2_put_number(at, H2_CREDIT, 0, H2_OWN_CONN - H2_WINDOW);
    conn->out.end += (size_t)(at - to);
}

static inline void h2_conn_dispose(struct h2_conn *conn)
{
    close(conn->fd);
    free(conn->table_memory);
    bytes_free(&conn->in);
    bytes_free(&conn->out);
    bytes_free(&conn->joined);
}

static inline void h2_conn_number(struct h2_conn *conn, uint8_t type, uint32_t stream, uint32_t v)
{
    h2_put_number(bytes_reserve(&conn->out, H2_HEAD + 4), type, stream, v);
    conn->out.end += H2_HEAD + 4;
}

static inline void h2_conn_goaway(struct h2_conn *conn, uint32_t last, uint32_t code)
{
    uint8_t *at = h2_put_head(bytes_reserve(&conn->out, H2_HEAD + 8), 8, H2_GOAWAY, 0, 0);
    h2_put32(h2_put32(at, last), code);
    conn->out.end += H2_HEAD + 8;
}

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

/* Data came: the connection's credit goes back once half of it is used. */
static inline void h2_conn_received(struct h2_conn *conn, size_t len)
{
    conn->received += (uint32_t)len;
    if (conn->received >= H2_OWN_CONN / 2) {
        h2_conn_number(conn, H2_CREDIT, 0, conn->received);
        conn->received = 0;
    }
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

/* Receives once: bytes, 0 when there are none now, or an error. */
static inline ssize_t h2_conn_receive(struct h2_conn *conn)
{
    ssize_t n = recv(conn->fd, bytes_reserve(&conn->in, H2_READ_ROOM), H2_READ_ROOM, 0);
    if (n < 0)
        return errno == EAGAIN ? 0 : -errno;
    conn->in.end += (size_t)n;
    return n ? n : -ECONNRESET;
}

/* How much DATA may go out now on a stream with so much credit beside its first window, in one frame. */
static inline size_t h2_conn_may_send(const struct h2_conn *conn, int64_t credit, uint64_t left)
{
    int64_t most = conn->stream_window + credit < conn->window ? conn->stream_window + credit : conn->window;
    if (most <= 0)
        return 0;
    if ((uint64_t)most > left)
        most = (int64_t)left;
    return most < H2_FRAME_MOST ? (size_t)most : H2_FRAME_MOST;
}
