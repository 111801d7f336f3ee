#pragma once
/* h2_put: frames and header fields of HTTP/2 as the benchmark's two ends write them, by hand (RFC 9113, RFC 7541). */
#include "bytes.h"

enum {
    H2_HEAD = 9,
    H2_FRAME_MOST = 16384, /* of a frame's payload: no setting here asks for more */
    H2_WINDOW = 65535,     /* of a connection, and of a stream until SETTINGS say otherwise */
    H2_TABLE = 4096,
};
enum { H2_DATA, H2_HEADERS, H2_PRIORITY, H2_RST, H2_SETTINGS, H2_PUSH, H2_PING, H2_GOAWAY, H2_CREDIT, H2_CONTINUATION };
enum { H2_END_STREAM = 1, H2_ACK = 1, H2_END_HEADERS = 4, H2_PADDED = 8, H2_PRIORITIZED = 0x20 };
enum { H2_SET_TABLE = 1, H2_SET_STREAMS = 3, H2_SET_WINDOW = 4, H2_SET_FRAME = 5 };
enum { H2_PROTOCOL_ERROR = 1, H2_INTERNAL_ERROR = 2 };
#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* Kinds of literal fields by their first bits: into the table; this once. */
enum { H2_INDEXED = 0x40, H2_ONCE = 0x00 };
enum { H2_STATIC = 62 }; /* the newest entry of the table */

static inline uint32_t h2_get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline uint8_t *h2_put32(uint8_t *to, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        to[i] = (uint8_t)(v >> (24 - 8 * i));
    return to + 4;
}

static inline uint8_t *h2_put_head(uint8_t *to, size_t len, uint8_t type, uint8_t flags, uint32_t stream)
{
    to[0] = (uint8_t)(len >> 16);
    to[1] = (uint8_t)(len >> 8);
    to[2] = (uint8_t)len;
    to[3] = type;
    to[4] = flags;
    return h2_put32(to + 5, stream);
}

/* A frame of one number: WINDOW_UPDATE, RST_STREAM. */
static inline uint8_t *h2_put_number(uint8_t *to, uint8_t type, uint32_t stream, uint32_t v)
{
    return h2_put32(h2_put_head(to, 4, type, 0, stream), v);
}

static inline uint8_t *h2_put_setting(uint8_t *to, uint16_t id, uint32_t v)
{
    to[0] = (uint8_t)(id >> 8);
    to[1] = (uint8_t)id;
    return h2_put32(to + 2, v);
}

/* A number with the first `bits` of its first byte taken by `kind`. */
static inline uint8_t *hpack_put_number(uint8_t *to, uint8_t kind, int bits, uint32_t v)
{
    uint32_t most = 0xffu >> bits;
    if (v < most) {
        *to++ = (uint8_t)(kind | v);
        return to;
    }
    *to++ = (uint8_t)(kind | most);
    for (v -= most; v >= 128; v >>= 7)
        *to++ = (uint8_t)(v | 128);
    *to++ = (uint8_t)v;
    return to;
}

static inline uint8_t *hpack_put_text(uint8_t *to, const char *text, size_t len)
{
    to = hpack_put_number(to, 0, 1, (uint32_t)len);
    memcpy(to, text, len);
    return to + len;
}

/* A field; `name_at` is where the static table has its name, 0 where it does not. */
static inline uint8_t *hpack_put_literal(uint8_t *to, uint8_t kind, uint32_t name_at, const char *name, const char *value)
{
    to = hpack_put_number(to, kind, kind == H2_INDEXED ? 2 : 4, name_at);
    if (!name_at)
        to = hpack_put_text(to, name, strlen(name));
    return hpack_put_text(to, value, strlen(value));
}

static inline uint8_t *hpack_put_index(uint8_t *to, uint32_t at)
{
    return hpack_put_number(to, 0x80, 1, at);
}
