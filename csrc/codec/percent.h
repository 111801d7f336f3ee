#pragma once
/* percent: text with %XX in it (RFC 3986 2.1), byte by byte. Private. */
#include "base/slice.h"

static inline int mf_percent_digit(uint8_t c)
{
    uint8_t low = c | 0x20;
    return c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* The byte that begins at `i`; `*len`: 3, where it is an escape, else 1. A '%' that begins none is itself. */
static inline uint8_t mf_percent_at(struct mf_slice text, size_t i, size_t *len)
{
    const uint8_t *p = text.ptr + i;
    *len = 1;
    if (p[0] != '%' || text.len - i < 3 || mf_percent_digit(p[1]) < 0 || mf_percent_digit(p[2]) < 0)
        return p[0];
    *len = 3;
    return (uint8_t)(mf_percent_digit(p[1]) << 4 | mf_percent_digit(p[2]));
}
