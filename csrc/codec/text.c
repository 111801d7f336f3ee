#include "codec/text.h"

enum { REPLACEMENT = 0xfffd, LAST = 0x10ffff };

static inline bool is_high(uint32_t c)
{
    return (c & 0xfffffc00) == 0xd800;
}

static inline bool is_low(uint32_t c)
{
    return (c & 0xfffffc00) == 0xdc00;
}

static uint32_t three(const uint8_t *p)
{
    return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
}

/* The character at `p`, whose length its first byte tells; never reads past `end`. */
static uint32_t decode(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = *at;
    size_t len = *p < 0xc0 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf8 ? 4 : 1;
    if ((size_t)(end - p) < len)
        len = 1;
    *at = p + len;
    switch (len) {
    case 2:
        return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    case 3:
        return three(p);
    case 4:
        return (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
    }
    return *p < 0x80 ? *p : REPLACEMENT;
}

static bool put(struct mf_text *text, uint32_t c)
{
    uint8_t *p = text->to + text->used;
    if (is_low(c) && text->used - text->_start >= 3 && p[-3] == 0xed && is_high(three(p - 3))) {
        c = 0x10000 + ((three(p - 3) - 0xd800) << 10) + (c - 0xdc00);
        text->used -= 3;
        p -= 3;
    }
    if (c > LAST)
        c = REPLACEMENT;
    size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    if (text->room - text->used < len) {
        text->used = text->_start;
        return false;
    }
    static const uint8_t leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len; i-- > 1; c >>= 6)
        p[i] = (uint8_t)(0x80 | (c & 0x3f));
    p[0] = (uint8_t)(leads[len] | c);
    text->used += len;
    return true;
}

bool mf_text_put_utf8(struct mf_text *text, struct mf_slice piece)
{
    const uint8_t *p = piece.ptr, *end = piece.len ? p + piece.len : p;
    while (p < end)
        if (!put(text, decode(&p, end)))
            return false;
    return true;
}

bool mf_text_put_utf16(struct mf_text *text, struct mf_slice piece, bool big_endian)
{
    for (size_t i = 0; i + 1 < piece.len; i += 2) {
        uint32_t unit = mf_get16(piece.ptr + i);
        if (!put(text, big_endian ? unit : (unit >> 8 | (unit & 0xff) << 8)))
            return false;
    }
    return true;
}

bool mf_text_put_latin1(struct mf_text *text, struct mf_slice piece)
{
    for (size_t i = 0; i < piece.len; i++)
        if (!put(text, piece.ptr[i]))
            return false;
    return true;
}

bool mf_text_plain(struct mf_slice bytes)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    for (const uint8_t *p = bytes.ptr, *end = bytes.len ? p + bytes.len : p; p < end;) {
        uint64_t eight;
        while (end - p >= 8 && (memcpy(&eight, p, 8), !(eight & UINT64_C(0x8080808080808080))))
            p += 8;
        if (p == end)
            break;
        const uint8_t *start = p;
        uint32_t c = decode(&p, end);
        size_t len = (size_t)(p - start);
        if ((len == 1 && *start >= 0x80) || c < least[len] || c > LAST || is_high(c) || is_low(c))
            return false;
    }
    return true;
}
