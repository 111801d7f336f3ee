#pragma once
/* h2_conn: one HTTP/2 connection of either end: its state, its greeting and its windows. h2_frames.h reads it. */
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

/* Buffers that no connection has anything in: few of them serve a thousand connections, and stay in cache. */
static struct {
    struct bytes held[64];
    uint32_t n;
} h2_spare;

static inline void h2_borrow(struct bytes *b)
{
    if (!b->cap && h2_spare.n)
        *b = h2_spare.held[--h2_spare.n];
}

static inline void h2_return(struct bytes *b)
{
    if (!b->cap || bytes_held(b))
        return;
    if (h2_spare.n < sizeof h2_spare.held / sizeof *h2_spare.held)
        h2_spare.held[h2_spare.n++] = *b;
    else
        free(b->base);
    *b = (struct bytes){0};
}

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

/* Data came: the connection's credit goes back once half of it is used. */
static inline void h2_conn_received(struct h2_conn *conn, size_t len)
{
    conn->received += (uint32_t)len;
    if (conn->received >= H2_OWN_CONN / 2) {
        h2_conn_number(conn, H2_CREDIT, 0, conn->received);
        conn->received = 0;
    }
}

/* Receives once: bytes, 0 when there are none now, or an error. */
static inline ssize_t h2_conn_receive(struct h2_conn *conn)
{
    h2_borrow(&conn->in);
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
