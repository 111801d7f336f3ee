#pragma once
/* h2_body: a call's messages, written and checked piece by piece, so that none is ever stored.
 *
 * A message is gRPC's prefix (0 and four bytes of length), a nonce of 16 hex digits and letters by their place. Message
 * n of a call has the call's nonce plus n: an answer that went to another call is seen, and so is one out of its turn. */
#include "net.h"

#include <stdbool.h>

enum { BODY_PREFIX = 5, BODY_HEAD = BODY_PREFIX + 16, BODY_RUN = 26 * 640 };

struct body {
    uint64_t nonce;
    uint32_t size, count; /* bytes of each message, with its prefix; messages */
    uint32_t at, done;    /* place in the message; messages before it */
    bool known;           /* size and nonce; else the first message tells them */
    uint8_t head[BODY_HEAD];
};

static uint8_t body_letters[BODY_RUN + 26];
static uint8_t body_hex[256][2];  /* of each byte */
static uint8_t body_value[256];   /* of a hex digit; 16 for what is none */

static inline void body_init(void)
{
    const char *digits = "0123456789abcdef";
    for (int i = 0; i < 256; i++) {
        body_hex[i][0] = (uint8_t)digits[i >> 4];
        body_hex[i][1] = (uint8_t)digits[i & 15];
        body_value[i] = 16;
    }
    for (uint8_t i = 0; i < 16; i++)
        body_value[(uint8_t)digits[i]] = i;
    for (size_t i = 0; i < sizeof body_letters; i++)
        body_letters[i] = (uint8_t)('a' + i % 26);
}

static inline void body_put_head(struct body *b)
{
    uint32_t len = b->size - BODY_PREFIX;
    uint64_t nonce = b->nonce + b->done;
    b->head[0] = 0;
    for (int i = 0; i < 4; i++)
        b->head[1 + i] = (uint8_t)(len >> (24 - 8 * i));
    for (int i = 0; i < 8; i++)
        memcpy(b->head + BODY_PREFIX + 2 * i, body_hex[nonce >> (56 - 8 * i) & 255], 2);
}

/* `size` 0: to be learned. */
static inline struct body body_of(uint64_t nonce, uint32_t size, uint32_t count)
{
    struct body b = {.nonce = nonce, .size = size, .count = count, .known = size != 0};
    if (b.known)
        body_put_head(&b);
    return b;
}

static inline uint64_t body_left(const struct body *b)
{
    return (uint64_t)(b->count - b->done) * b->size - b->at;
}

/* Of the message that is at hand. */
static inline uint32_t body_rest(const struct body *b)
{
    return b->size - b->at;
}

static inline bool body_whole(const struct body *b)
{
    return b->known && b->done == b->count;
}

static inline bool body_learn(struct body *b)
{
    uint64_t nonce = 0, len = 0;
    for (int i = 1; i < BODY_PREFIX; i++)
        len = len << 8 | b->head[i];
    for (int i = BODY_PREFIX; i < BODY_HEAD; i++) {
        if (body_value[b->head[i]] > 15)
            return false;
        nonce = nonce << 4 | body_value[b->head[i]];
    }
    b->nonce = nonce;
    b->size = (uint32_t)len + BODY_PREFIX;
    return b->known = !b->head[0] && b->size >= BODY_HEAD;
}

static inline void body_next(struct body *b)
{
    b->at = 0;
    if (++b->done < b->count)
        body_put_head(b);
}

/* The next `len` bytes, at most body_left, written to `to`. */
static inline void body_put(struct body *b, uint8_t *to, size_t len)
{
    while (len) {
        size_t n;
        if (b->at < BODY_HEAD) {
            n = BODY_HEAD - b->at < len ? BODY_HEAD - b->at : len;
            memcpy(to, b->head + b->at, n);
        } else {
            n = b->size - b->at < len ? b->size - b->at : len;
            n = n < BODY_RUN ? n : BODY_RUN;
            memcpy(to, body_letters + b->at % 26, n);
        }
        to += n;
        len -= n;
        b->at += (uint32_t)n;
        if (b->at == b->size)
            body_next(b);
    }
}

/* True when `len` bytes at `p` are what comes next. */
static inline bool body_check(struct body *b, const uint8_t *p, size_t len)
{
    while (len) {
        size_t n;
        if (b->done == b->count)
            return false;
        if (b->at < BODY_HEAD) {
            n = BODY_HEAD - b->at < len ? BODY_HEAD - b->at : len;
            if (!b->known)
                memcpy(b->head + b->at, p, n);
            else if (memcmp(p, b->head + b->at, n) != 0)
                return false;
            if (!b->known && b->at + n == BODY_HEAD && !body_learn(b))
                return false;
        } else {
            n = b->size - b->at < len ? b->size - b->at : len;
            n = n < BODY_RUN ? n : BODY_RUN;
            if (memcmp(p, body_letters + b->at % 26, n) != 0)
                return false;
        }
        p += n;
        len -= n;
        b->at += (uint32_t)n;
        if (b->known && b->at == b->size)
            body_next(b);
    }
    return true;
}
