#include "codec/huffman.h"

#include "codec/huffman_tbl.h"

/* Bits to come stand at the left of `word`; `have` of them are real, what is behind them may be the next ones
 * already. */
struct bits {
    const uint8_t *at, *end;
    uint64_t word;
    unsigned have;
};

/* A code longer than HUFFMAN_LOOK: its symbol and `*bits`. All bits are right of some code, so one is found. */
static unsigned long_code(uint64_t word, unsigned *bits)
{
    uint32_t left = (uint32_t)(word >> 32);
    const struct huffman_length *length = huffman_lengths;
    while (left >= length->below && length->bits < 30)
        length++;
    *bits = length->bits;
    return huffman_long[(int32_t)(left >> (32 - length->bits)) + length->add];
}

static void refill(struct bits *in)
{
    if (in->end - in->at >= 8) {
        in->word |= mf_get64(in->at) >> in->have;
        in->at += (63 - in->have) >> 3;
        in->have |= 56;
        return;
    }
    for (; in->have < 56 && in->at < in->end; in->have += 8)
        in->word |= (uint64_t)*in->at++ << (56 - in->have);
}

/* What is left is no symbol: it may only be padding. */
static bool padded(const struct bits *in)
{
    return in->have < 8 && (~in->word >> (64 - 8)) >> (8 - in->have) == 0;
}

int64_t mf_huffman_decode(struct mf_slice text, uint8_t *to, size_t room)
{
    struct bits in = {text.ptr, text.len ? text.ptr + text.len : text.ptr, 0, 0};
    uint8_t *start = to, *end = to + room;
    unsigned bits, symbol;

    while (in.end - in.at >= 8 && end - to >= 8) {
        refill(&in); /* 56 bits: four looks */
        for (int i = 0; i < 4; i++) {
            const struct huffman_look look = huffman_looks[in.word >> (64 - HUFFMAN_LOOK)];
            if (look.n == 0) {
                symbol = long_code(in.word, &bits);
                if (bits > in.have)
                    break;
                if (symbol == HUFFMAN_EOS)
                    return MF_EHPACK_HUFFMAN;
                *to++ = (uint8_t)symbol;
                in.word <<= bits;
                in.have -= bits;
                break;
            }
            memcpy(to, look.symbol, 2);
            to += look.n;
            in.word <<= look.both;
            in.have -= look.both;
        }
    }
    for (;;) {
        refill(&in);
        if (in.have == 0)
            return to - start;
        uint64_t word = in.at == in.end ? in.word | UINT64_MAX >> in.have : in.word;
        const struct huffman_look look = huffman_looks[word >> (64 - HUFFMAN_LOOK)];
        if (look.n == 2 && look.both <= in.have && end - to >= 2) {
            memcpy(to, look.symbol, 2);
            to += 2;
            in.word <<= look.both;
            in.have -= look.both;
            continue;
        }
        symbol = look.symbol[0];
        bits = look.first;
        if (look.n == 0)
            symbol = long_code(word, &bits);
        if (bits > in.have)
            return padded(&in) ? to - start : MF_EHPACK_HUFFMAN;
        if (symbol == HUFFMAN_EOS)
            return MF_EHPACK_HUFFMAN;
        if (to == end)
            return MF_ELIMIT;
        *to++ = (uint8_t)symbol;
        in.word <<= bits;
        in.have -= bits;
    }
}

int64_t mf_huffman_decoded_len(struct mf_slice text)
{
    struct bits in = {text.ptr, text.len ? text.ptr + text.len : text.ptr, 0, 0};
    for (int64_t n = 0;; n++) {
        refill(&in);
        if (in.have == 0)
            return n;
        uint64_t word = in.at == in.end ? in.word | UINT64_MAX >> in.have : in.word;
        const struct huffman_look look = huffman_looks[word >> (64 - HUFFMAN_LOOK)];
        unsigned bits = look.first, symbol = look.symbol[0];
        if (look.n == 0)
            symbol = long_code(word, &bits);
        if (bits > in.have)
            return padded(&in) ? n : MF_EHPACK_HUFFMAN;
        if (symbol == HUFFMAN_EOS)
            return MF_EHPACK_HUFFMAN;
        in.word <<= bits;
        in.have -= bits;
    }
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
