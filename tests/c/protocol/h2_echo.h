#pragma once
/* h2_echo: a role that answers: a request with content gets it back as it comes, `/bytes/N` gets N bytes, and others
 * `hello`. The answer ends with trailers where the request says `te: trailers`. */
#include "protocol/h2_conn.h"

#include <stdlib.h>

struct echo_stream {
    struct mf_h2_stream h2; /* first */
    size_t left;            /* bytes still to be put */
    bool trailers, plain;   /* asked for; the answer's content is ours */
};

enum { ECHO_PIECE = 65536 };

struct echo_conn {
    struct mf_h2_conn h2; /* first */
    struct mf_block *bytes;
    uint64_t heads, ends, lost;
};

static struct echo_conn *echo_of(const struct mf_h2_stream *stream)
{
    return (struct echo_conn *)(void *)stream->conn;
}

static const struct mf_pair echo_trailer = {{(const uint8_t *)"grpc-status", 11}, {(const uint8_t *)"0", 1}};

static void echo_end(struct mf_h2_stream *stream)
{
    if (((struct echo_stream *)(void *)stream)->trailers)
        mf_h2_stream_trailers(stream, &echo_trailer, NULL, 1, NULL);
    else
        mf_h2_stream_data(stream, mf_slice_of(NULL, 0), NULL, true);
}

/* Not more than a piece waits. */
static void echo_pour(struct mf_h2_stream *stream)
{
    struct echo_stream *mine = (struct echo_stream *)(void *)stream;
    struct mf_block *bytes = echo_of(stream)->bytes;
    while (mine->left && !stream->queued) {
        size_t len = mine->left < ECHO_PIECE ? mine->left : ECHO_PIECE;
        mine->left -= len;
        if (mf_h2_stream_block(stream, bytes, mf_slice_of(bytes->data, len), false) < 0)
            return;
    }
    if (!mine->left && !stream->_end_queued)
        echo_end(stream);
}

static void echo_head(struct mf_h2_stream *stream, const struct mf_h2_head_in *head)
{
    struct echo_stream *mine = (struct echo_stream *)(void *)stream;
    struct mf_pair status = {MF_SLICE(":status"), MF_SLICE("200")}, big = {MF_SLICE(":status"), MF_SLICE("431")};
    echo_of(stream)->heads++;
    if (head->kind == MF_H2_TRAILERS) {
        echo_end(stream);
        return;
    }
    if (head->over) {
        mine->plain = true; /* what else comes of it is dropped */
        mf_h2_stream_head(stream, &big, NULL, 1, true, NULL);
        return;
    }
    mine->trailers = head->request.trailers;
    struct mf_slice path = head->request.path;
    if (mf_h2_stream_head(stream, &status, NULL, 1, false, NULL) < 0)
        return;
    if (path.len > 7 && memcmp(path.ptr, "/bytes/", 7) == 0) {
        char digits[16] = {0};
        memcpy(digits, path.ptr + 7, path.len - 7 < 15 ? path.len - 7 : 15);
        mine->plain = true;
        mine->left = strtoul(digits, NULL, 10);
        echo_pour(stream);
    } else if (head->ended) {
        mine->plain = true;
        if (mf_h2_stream_data(stream, MF_SLICE("hello\n"), NULL, !mine->trailers) >= 0 && mine->trailers)
            echo_end(stream);
    }
}

static void echo_data(struct mf_h2_stream *stream, struct mf_slice data, bool ended)
{
    struct echo_stream *mine = (struct echo_stream *)(void *)stream;
    bool end = ended && !mine->trailers && !mine->plain;
    long put = (long)data.len;
    if (!mine->plain && (data.len || end))
        put = mf_h2_stream_data(stream, data, &stream->conn->conn.sock, end);
    if (end || put < 0)
        return;
    mf_h2_stream_credit(stream, (size_t)put, mf_h2_conn_share(stream->conn));
    if (ended && !mine->plain)
        echo_end(stream);
}

static void echo_sent(struct mf_h2_stream *stream, size_t len)
{
    if (((struct echo_stream *)(void *)stream)->plain)
        echo_pour(stream);
    else
        mf_h2_stream_credit(stream, len, mf_h2_conn_share(stream->conn));
}

static void echo_ended(struct mf_h2_stream *stream, const struct mf_h2_end *end)
{
    echo_of(stream)->ends++;
    if (end->why == MF_H2_WHOLE)
        mf_h2_conn_make_up(stream->conn);
    echo_of(stream)->lost += end->why != MF_H2_WHOLE;
}

static void echo_lost(struct mf_h2_conn *h2, int rc)
{
    (void)rc;
    mf_block_give(((struct echo_conn *)(void *)h2)->bytes);
}

static const struct mf_h2_ops echo_ops = {
    .stream_size = sizeof(struct echo_stream),
    .stream_zeroed = sizeof(struct echo_stream),
    .on_head = echo_head,
    .on_data = echo_data,
    .on_sent = echo_sent,
    .on_end = echo_ended,
    .on_lost = echo_lost,
};

/* Where echo_byte(i) is byte i of every piece. */
static uint8_t echo_byte(size_t i)
{
    return (uint8_t)('a' + i % 23);
}

/* A struct echo_conn's connection that has been accepted. */
static void echo_begin(struct mf_conn *conn, struct mf_h2_share *share)
{
    struct echo_conn *echo = (struct echo_conn *)(void *)conn;
    echo->bytes = mf_loop_block(conn->sock.loop, ECHO_PIECE);
    for (size_t i = 0; i < ECHO_PIECE && echo->bytes; i++)
        echo->bytes->data[i] = echo_byte(i);
    mf_h2_conn_begin(&echo->h2, &echo_ops, share, true);
}
