/* The writing half of hessian.h. */
#include "codec/hessian.h"

enum { CHUNK = 0x8000 };

/* The bytes of the character at `p`, or 0 when it is not UTF-8. */
static size_t char_len(const uint8_t *p, const uint8_t *end)
{
    size_t len = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;
    if ((size_t)(end - p) < len)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    return len;
}

static size_t count_units(struct mf_slice text)
{
    size_t units = 0;
    for (const uint8_t *p = text.ptr, *end = p + text.len; p < end; units++) {
        size_t len = char_len(p, end);
        units += len == 4;
        p += len ? len : 1;
    }
    return units;
}

static uint8_t *put_three(uint8_t *to, uint32_t unit)
{
    *to++ = (uint8_t)(0xe0 | unit >> 12);
    *to++ = (uint8_t)(0x80 | (unit >> 6 & 0x3f));
    *to++ = (uint8_t)(0x80 | (unit & 0x3f));
    return to;
}

/* Writes characters from `*from` while they fit `max` units, and never a half of a pair: the units written. */
static size_t put_units(uint8_t **to, const uint8_t **from, const uint8_t *end, size_t max)
{
    size_t units = 0;
    const uint8_t *p = *from;
    uint8_t *q = *to;
    while (p < end && units < max) {
        size_t len = char_len(p, end);
        bool high = len == 3 && p[0] == 0xed && p[1] >= 0xa0 && p[1] < 0xb0;
        if ((len == 4 || (high && end - p > 3)) && max - units < 2)
            break;
        if (len == 4) {
            uint32_t c = ((uint32_t)(p[0] & 7) << 18 | (uint32_t)(p[1] & 0x3f) << 12 | (uint32_t)(p[2] & 0x3f) << 6 |
                          (p[3] & 0x3f)) -
                         0x10000;
            q = put_three(q, 0xd800 | (c >> 10 & 0x3ff));
            q = put_three(q, 0xdc00 | (c & 0x3ff));
            units += 2;
        } else if (len) {
            memcpy(q, p, len);
            q += len;
            units++;
        } else {
            *q++ = '?';
            units++;
        }
        p += len ? len : 1;
    }
    *from = p;
    *to = q;
    return units;
}

/* Nearly every label: one byte of length, then the text as it is. */
static bool short_ascii(struct mf_slice text)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < text.len && text.len < 0x20; i++)
        seen |= text.ptr[i];
    return text.len < 0x20 && seen < 0x80;
}

size_t mf_hessian_string_room(size_t len)
{
    return len + len / 2 + 3 * (len / (CHUNK - 1) + 1);
}

int mf_hessian_put_string(uint8_t *to, size_t room, struct mf_slice text)
{
    if (room < mf_hessian_string_room(text.len))
        return MF_ELIMIT;
    if (short_ascii(text)) {
        *to = (uint8_t)text.len;
        if (text.len)
            memcpy(to + 1, text.ptr, text.len);
        return (int)(text.len + 1);
    }
    uint8_t *start = to;
    const uint8_t *from = text.ptr, *end = from + text.len;
    size_t units = count_units(text);
    while (units > CHUNK) {
        uint8_t *head = to;
        to += 3;
        size_t put = put_units(&to, &from, end, CHUNK);
        head[0] = 'R';
        mf_put16(head + 1, (uint16_t)put);
        units -= put;
    }
    if (units < 0x20) {
        *to++ = (uint8_t)units;
    } else if (units < 0x400) {
        *to++ = (uint8_t)(0x30 + (units >> 8));
        *to++ = (uint8_t)units;
    } else {
        *to++ = 'S';
        mf_put16(to, (uint16_t)units);
        to += 2;
    }
    put_units(&to, &from, end, units);
    return (int)(to - start);
}
