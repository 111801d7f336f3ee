#include "codec/huffman.h"

#include "codec/huffman_tbl.h"

/* An entry of huffman_looks. */
static unsigned count(uint32_t look)
{
    return look >> 28;
}

static unsigned first_bits(uint32_t look)
{
    return look >> 24 & 15;
}

static unsigned all_bits(uint32_t look)
{
    return look & 63;
}

static void put_both(uint8_t *to, uint32_t look)
{
    uint16_t both = (uint16_t)(look >> 8);
    memcpy(to, &both, 2);
}

/* A code longer than HUFFMAN_LOOK, at the left of `word`: its symbol and `*bits`. All bits are below some length's. */
static unsigned long_code(uint64_t word, unsigned *bits)
{
    uint32_t left = (uint32_t)(word >> 32);
    const struct huffman_length *length = huffman_lengths;
    while (left >= length->below && length->bits < 30)
        length++;
    *bits = length->bits;
    return huffman_long[(int32_t)(left >> (32 - length->bits)) + length->add];
}

/* The symbol at the left of `word`, and its bits. */
static unsigned one_code(uint64_t word, unsigned *bits)
{
    uint32_t look = huffman_looks[word >> (64 - HUFFMAN_LOOK)];
    if (count(look) == 0)
        return long_code(word, bits);
    *bits = first_bits(look);
    return look >> 8 & 0xff;
}

/* The last `n` bytes of a text, less than 8, at the left of a word. */
static uint64_t last_bytes(struct mf_slice text, size_t n)
{
    const uint8_t *end = text.ptr + text.len;
    if (n == 0)
        return 0;
    if (text.len >= 8)
        return mf_get64(end - 8) << 8 * (8 - n);
    if (n >= 4)
        return (uint64_t)mf_get32(end - n) << 32 | (uint64_t)mf_get32(end - 4) << 8 * (8 - n);
    return (uint64_t)end[-(ptrdiff_t)n] << 56 | (uint64_t)*(end - n + n / 2) << (56 - 8 * (n / 2))
           | (uint64_t)end[-1] << (64 - 8 * n);
}

/* Decodes into `to`, or, where it is NULL, counts. */
static inline __attribute__((always_inline)) int64_t decode(struct mf_slice text, uint8_t *to, size_t room, bool write,
                                                            bool *plain)
{
    size_t at = 0; /* in bits */
    size_t n = 0;
    *plain = true;
    uint64_t word = text.len >= 8 ? mf_get64(text.ptr) : 0;
    while (at / 8 + 8 <= text.len && (!write || room - n >= 4)) {
        /* The bits that lie in `word`, two looks of them at least, and some behind them: needed only after both looks. */
        uint64_t more = mf_get64(text.ptr + at / 8) << at % 8;
        uint32_t one = huffman_looks[word >> (64 - HUFFMAN_LOOK)];
        uint32_t two = huffman_looks[word << all_bits(one) >> (64 - HUFFMAN_LOOK)];
        if (__builtin_expect(count(two) == 0, 0)) { /* of no code both are the same */
            if (write)
                put_both(to + n, one);
            n += count(one);
            at += all_bits(one);
            if (at / 8 + 8 > text.len)
                break;
            unsigned bits;
            word = mf_get64(text.ptr + at / 8) << at % 8;
            unsigned symbol = long_code(word, &bits);
            if (symbol == HUFFMAN_EOS)
                return MF_EHPACK_HUFFMAN;
            if (write)
                to[n] = (uint8_t)symbol;
            n++;
            at += bits;
            *plain = false;
            word = at / 8 + 8 <= text.len ? mf_get64(text.ptr + at / 8) << at % 8 : 0;
            continue;
        }
        if (write) {
            put_both(to + n, one);
            put_both(to + n + count(one), two);
        }
        n += count(one) + count(two);
        unsigned bits = all_bits(one) + all_bits(two);
        at += bits;
        word = more << bits;
    }
    while (text.len - at / 8 >= 8) { /* little room is left */
        unsigned bits, symbol = one_code(mf_get64(text.ptr + at / 8) << at % 8, &bits);
        if (symbol == HUFFMAN_EOS)
            return MF_EHPACK_HUFFMAN;
        if (n == room)
            return MF_ELIMIT;
        to[n++] = (uint8_t)symbol;
        at += bits;
        *plain &= bits <= HUFFMAN_LOOK;
    }
    word = last_bytes(text, text.len - at / 8) << at % 8;
    for (size_t left = text.len * 8 - at; left > 0;) {
        uint32_t look = huffman_looks[word >> (64 - HUFFMAN_LOOK)];
        unsigned bits = all_bits(look);
        if (count(look) && bits <= left && (!write || room - n >= 2)) {
            if (write)
                put_both(to + n, look);
            n += count(look);
        } else {
            if (left < 8 && word >> (64 - left) == (UINT64_C(1) << left) - 1)
                break; /* padding (5.2) */
            unsigned symbol = one_code(word, &bits);
            if (bits > left)
                return MF_EHPACK_HUFFMAN;
            if (symbol == HUFFMAN_EOS)
                return MF_EHPACK_HUFFMAN;
            if (write && n == room)
                return MF_ELIMIT;
            if (write)
                to[n] = (uint8_t)symbol;
            n++;
            *plain &= bits <= HUFFMAN_LOOK;
        }
        word <<= bits;
        left -= bits;
    }
    return (int64_t)n;
}

int64_t mf_huffman_decode(struct mf_slice text, uint8_t *to, size_t room, bool *plain)
{
    return decode(text, to, room, true, plain);
}

int64_t mf_huffman_decoded_len(struct mf_slice text)
{
    bool plain;
    return decode(text, NULL, SIZE_MAX, false, &plain);
}

size_t mf_huffman_len(struct mf_slice text)
{
    size_t bits = 0;
    for (size_t i = 0; i < text.len; i++)
        bits += huffman_codes[text.ptr[i]].bits;
    return (bits + 7) / 8;
}

size_t mf_huffman_put(uint8_t *to, struct mf_slice text)
{
    uint8_t *start = to;
    uint64_t word = 0;
    unsigned have = 0; /* below 32 between two symbols: 30 more always fit */
    for (size_t i = 0; i < text.len; i++) {
        const struct huffman_code code = huffman_codes[text.ptr[i]];
        word = word << code.bits | code.code;
        have += code.bits;
        if (have >= 32) {
            have -= 32;
            mf_put32(to, (uint32_t)(word >> have));
            to += 4;
        }
    }
    for (; have >= 8; have -= 8)
        *to++ = (uint8_t)(word >> (have - 8));
    if (have)
        *to++ = (uint8_t)(word << (8 - have) | 0xff >> have);
    return (size_t)(to - start);
}
