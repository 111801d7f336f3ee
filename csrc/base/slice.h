#pragma once
/* slice: a borrowed run of bytes, and big-endian numbers in it. A slice never owns: it dies with its buffer. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mf_slice {
    const uint8_t *ptr;
    size_t len;
};

/* A key and its value, both borrowed: an attachment, a header, a label. */
struct mf_pair {
    struct mf_slice key, value;
};

#define MF_SLICE(literal) ((struct mf_slice){(const uint8_t *)(literal), sizeof(literal) - 1})

/* inline */

static inline struct mf_slice mf_slice_of(const void *ptr, size_t len)
{
    return (struct mf_slice){ptr, len};
}

static inline struct mf_slice mf_slice_str(const char *text)
{
    return (struct mf_slice){(const uint8_t *)text, strlen(text)};
}

static inline bool mf_slice_eq(struct mf_slice a, struct mf_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline uint16_t mf_get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t mf_get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return __builtin_bswap32(v);
}

static inline uint64_t mf_get64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
    return __builtin_bswap64(v);
}

static inline void mf_put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void mf_put32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, 4);
}

static inline void mf_put64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}
