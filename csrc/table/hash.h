#pragma once
/* hash: one hash of bytes for every table in this floor, by 64 x 64 bit multiplications folded in half. */
#include "base/slice.h"

#define MF_HASH_A UINT64_C(0x9e3779b97f4a7c15)
#define MF_HASH_B UINT64_C(0xd1b54a32d192ed03)

static inline uint64_t mf_hash_mix(uint64_t a, uint64_t b)
{
    __uint128_t product = (__uint128_t)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* 0 <= result < limit, evenly, from any 64 random bits. */
static inline uint64_t mf_hash_below(uint64_t random, uint64_t limit)
{
    return (uint64_t)((__uint128_t)random * limit >> 64);
}

static inline uint64_t mf_hash_word(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

static inline uint64_t mf_hash_half(const uint8_t *p)
{
    uint32_t half;
    memcpy(&half, p, 4);
    return half;
}

/* A secret `seed` where strangers choose the bytes; 0 elsewhere. */
static inline uint64_t mf_hash(struct mf_slice bytes, uint64_t seed)
{
    const uint8_t *p = bytes.ptr;
    size_t left = bytes.len;
    uint64_t h = seed ^ mf_hash_mix(left + MF_HASH_A, MF_HASH_B);
    for (; left > 16; p += 16, left -= 16)
        h = mf_hash_mix(mf_hash_word(p) ^ h ^ MF_HASH_A, mf_hash_word(p + 8) ^ h ^ MF_HASH_B);
    uint64_t a = 0, b = 0;
    if (left >= 8) {
        a = mf_hash_word(p);
        b = mf_hash_word(p + left - 8);
    } else if (left >= 4) {
        a = mf_hash_half(p);
        b = mf_hash_half(p + left - 4);
    } else if (left) { /* its first, middle and last byte: all of it */
        a = (uint64_t)p[0] << 16 | (uint64_t)p[left / 2] << 8 | p[left - 1];
    }
    h = mf_hash_mix(a ^ h ^ MF_HASH_A, b ^ h ^ MF_HASH_B);
    return mf_hash_mix(h ^ MF_HASH_B, MF_HASH_A);
}
