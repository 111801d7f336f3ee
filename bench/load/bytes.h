#pragma once
/* bytes: a buffer that is written at its end and read at its beginning. */
#include "net.h"

struct bytes {
    uint8_t *base;
    size_t begin, end, cap;
};

static inline size_t bytes_held(const struct bytes *b)
{
    return b->end - b->begin;
}

/* Where `room` more bytes may be written; they count once `end` is moved. */
static inline uint8_t *bytes_reserve(struct bytes *b, size_t room)
{
    size_t held = bytes_held(b);
    if (b->cap - b->end >= room)
        return b->base + b->end;
    if (b->cap - held >= room && b->begin >= held) { /* so that no byte is moved again and again */
        memcpy(b->base, b->base + b->begin, held);
    } else {
        size_t cap = b->cap ? b->cap : 4096;
        while (cap < 2 * (held + room))
            cap *= 2;
        uint8_t *base = must_alloc(cap);
        if (held)
            memcpy(base, b->base + b->begin, held);
        free(b->base);
        b->base = base;
        b->cap = cap;
    }
    b->begin = 0;
    b->end = held;
    return b->base + b->end;
}

static inline void bytes_consume(struct bytes *b, size_t len)
{
    b->begin += len;
    if (b->begin == b->end)
        b->begin = b->end = 0;
}

static inline void bytes_free(struct bytes *b)
{
    free(b->base);
    *b = (struct bytes){0};
}

/* An empty one keeps no more memory than `most`: a thousand connections need not hold what a large frame needed once. */
static inline void bytes_trim(struct bytes *b, size_t most)
{
    if (!bytes_held(b) && b->cap > most)
        bytes_free(b);
}

/* Sends what the kernel takes: 0, or -errno when the connection is of no use any more. */
static inline int bytes_send(struct bytes *b, int fd)
{
    while (bytes_held(b)) {
        ssize_t n = send(fd, b->base + b->begin, bytes_held(b), MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0)
            return -errno;
        bytes_consume(b, (size_t)n);
    }
    return 0;
}
