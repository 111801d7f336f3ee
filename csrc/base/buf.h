#pragma once
/* buf: a growable run of bytes with one owner: write at the end, read at the front.
 *
 * Zero-initialised is empty. Slices into it die at the next reserve or consume. */
#include "base/slice.h"

struct mf_buf {
    uint8_t *base;
    size_t begin, end, cap; /* begin <= end <= cap; the bytes are base[begin..end) */
};

/* Room for `room` bytes at the end, or NULL without memory. Say what was written with commit. */
uint8_t *mf_buf_reserve(struct mf_buf *buf, size_t room);
/* 0 or -ENOMEM; nothing is appended on error. */
int mf_buf_put(struct mf_buf *buf, struct mf_slice bytes);
/* Frees the memory; empty again. */
void mf_buf_dispose(struct mf_buf *buf);

/* inline */

static inline size_t mf_buf_len(const struct mf_buf *buf)
{
    return buf->end - buf->begin;
}

static inline struct mf_slice mf_buf_peek(const struct mf_buf *buf)
{
    return mf_slice_of(buf->base + buf->begin, buf->end - buf->begin);
}

static inline void mf_buf_commit(struct mf_buf *buf, size_t len)
{
    buf->end += len;
}

static inline void mf_buf_consume(struct mf_buf *buf, size_t len)
{
    buf->begin += len;
    if (buf->begin == buf->end)
        buf->begin = buf->end = 0;
}
