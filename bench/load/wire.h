#pragma once
/* wire: as much of Dubbo2 and Hessian2 as a load generator and an echo provider need, written apart from csrc/codec.
 *
 * Source: Apache Dubbo ExchangeCodec, DubboCodec, Response; hessian-lite Hessian2Output. Text here is ASCII. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    WIRE_HEAD = 16,
    WIRE_REQUEST = 0x80,
    WIRE_TWO_WAY = 0x40,
    WIRE_EVENT = 0x20,
    WIRE_HESSIAN2 = 2,
    WIRE_OK = 20,
    WIRE_CHUNK = 0x8000,      /* hessian-lite writes longer strings in chunks of so many units */
    WIRE_MAX_BODY = 64 << 20, /* anything longer is a broken stream */
};

static inline void wire_put32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}

static inline void wire_put64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

static inline uint32_t wire_get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

static inline uint64_t wire_get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

static inline void wire_put_head(uint8_t *p, uint8_t flags, uint8_t status, uint64_t id, uint32_t body)
{
    p[0] = 0xda;
    p[1] = 0xbb;
    p[2] = flags;
    p[3] = status;
    wire_put64(p + 4, id);
    wire_put32(p + 12, body);
}

/* The bytes that a string of `len` takes. */
static inline size_t wire_string_room(size_t len)
{
    return len + 3 * (len / WIRE_CHUNK + 1);
}

/* Returns where the next value goes. */
static inline uint8_t *wire_put_string(uint8_t *p, const char *text, size_t len)
{
    while (len > WIRE_CHUNK) {
        *p++ = 'R';
        *p++ = WIRE_CHUNK >> 8;
        *p++ = 0;
        memcpy(p, text, WIRE_CHUNK);
        p += WIRE_CHUNK;
        text += WIRE_CHUNK;
        len -= WIRE_CHUNK;
    }
    if (len <= 31) {
        *p++ = (uint8_t)len;
    } else if (len <= 1023) {
        *p++ = (uint8_t)(0x30 + (len >> 8));
        *p++ = (uint8_t)len;
    } else {
        *p++ = 'S';
        *p++ = (uint8_t)(len >> 8);
        *p++ = (uint8_t)len;
    }
    memcpy(p, text, len);
    return p + len;
}

/* Passes over one string (of ASCII: a unit is a byte). NULL: not a string, or it runs past `end`. */
static inline const uint8_t *wire_skip_string(const uint8_t *p, const uint8_t *end)
{
    for (bool final = false; !final;) {
        if (p >= end)
            return NULL;
        uint8_t tag = *p++;
        size_t len;
        final = tag != 'R';
        if (tag <= 31) {
            len = tag;
        } else if (tag >= 0x30 && tag <= 0x33 && end - p >= 1) {
            len = (size_t)(tag - 0x30) << 8 | p[0];
            p += 1;
        } else if ((tag == 'R' || tag == 'S') && end - p >= 2) {
            len = (size_t)p[0] << 8 | p[1];
            p += 2;
        } else if (tag == 'N') {
            len = 0;
        } else {
            return NULL;
        }
        if ((size_t)(end - p) < len)
            return NULL;
        p += len;
    }
    return p;
}

/* Looks at the frame that begins at `p`: 1 and the length of its body; 0 when it is not whole yet; -1 when it is none, or
 * has a body of more than `most`. */
static inline int wire_frame(const uint8_t *p, size_t held, size_t most, size_t *body)
{
    if (held < WIRE_HEAD)
        return 0;
    *body = wire_get32(p + 12);
    if (p[0] != 0xda || p[1] != 0xbb || *body > most)
        return -1;
    return held >= WIRE_HEAD + *body;
}

/* Writes the answer to an event, which repeats its body; returns its length, that of the event. */
static inline size_t wire_answer_event(uint8_t *to, const uint8_t *frame, size_t body)
{
    uint8_t flags = (uint8_t)(WIRE_EVENT | (frame[2] & 0x1f));
    wire_put_head(to, flags, WIRE_OK, wire_get64(frame + 4), (uint32_t)body);
    memcpy(to + WIRE_HEAD, frame + WIRE_HEAD, body);
    return WIRE_HEAD + body;
}

/* The first argument of a request with one string argument, as the bytes it is written in; NULL for other requests. */
static inline const uint8_t *wire_argument(const uint8_t *body, size_t len, size_t *out_len)
{
    const uint8_t *p = body, *end = body + len;
    for (int i = 0; i < 5 && p; i++)
        p = wire_skip_string(p, end);
    const uint8_t *after = p ? wire_skip_string(p, end) : NULL;
    *out_len = after ? (size_t)(after - p) : 0;
    return after ? p : NULL;
}
