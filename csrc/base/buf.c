#include "base/buf.h"

#include "base/mem.h"

#include <errno.h>

uint8_t *mf_buf_reserve(struct mf_buf *buf, size_t room)
{
    if (buf->cap - buf->end >= room)
        return buf->base + buf->end;
    size_t len = mf_buf_len(buf);
    /* Moving down is free of allocation, but only worth it when at least half is already consumed. */
    if (buf->cap - len >= room && buf->begin >= len) {
        memmove(buf->base, buf->base + buf->begin, len);
        buf->begin = 0;
        buf->end = len;
        return buf->base + len;
    }
    if (room > SIZE_MAX / 4 - len)
        return NULL;
    size_t cap = buf->cap ? buf->cap : 512;
    while (cap < len + room)
        cap *= 2;
    uint8_t *base = mf_alloc(cap);
    if (!base)
        return NULL;
    if (len)
        memcpy(base, buf->base + buf->begin, len);
    mf_free(buf->base);
    *buf = (struct mf_buf){base, 0, len, cap};
    return base + len;
}

int mf_buf_put(struct mf_buf *buf, struct mf_slice bytes)
{
    uint8_t *to = mf_buf_reserve(buf, bytes.len);
    if (!to)
        return -ENOMEM;
    if (bytes.len)
        memcpy(to, bytes.ptr, bytes.len);
    mf_buf_commit(buf, bytes.len);
    return 0;
}

void mf_buf_dispose(struct mf_buf *buf)
{
    mf_free(buf->base);
    *buf = (struct mf_buf){0};
}
