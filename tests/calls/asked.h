#pragma once
/* asked: the calls of one connection that wait for an answer, what they said, and whether an answer is theirs.
 *
 * The argument of a call begins with 16 hex digits: who asked (16 bits), the slot (16), how often the slot was used (32).
 * The rest is cut from one long random text at a place that depends on those digits, so that every byte of an answer
 * tells whose it is. Request ids say nothing: they may be equal on purpose. */
#include "bytes.h"
#include "wire.h"

enum { NONCE = 16, TEXT_SHIFTS = 1 << 16, SIZE_MAX_ = 1 << 20, INFLIGHT_MAX = 4096 };

enum asked_kind { ASKED_CALL, ASKED_HEARTBEAT };

/* Which ids a connection gives its calls. */
enum ids {
    IDS_SAME,    /* 0, 1, 2, ... : every connection the same */
    IDS_COLLIDE, /* three ids over and over: many calls of one connection under one id at once */
    IDS_EXTREME, /* 0, -1, 2^63-1, 2^63 and their like */
    IDS_OURS,    /* those that the proxy is using upstream about now */
    IDS_KINDS,
};
static const char *const ids_names[IDS_KINDS] = {"same", "collide", "extreme", "ours"};

struct slot {
    uint64_t id, nonce, sent; /* sent 0: free */
    uint32_t size, uses;
    uint8_t kind;
};

enum verdict { RIGHT, CROSSED, TWICE };

static char *asked_text; /* TEXT_SHIFTS + SIZE_MAX_ letters */

static inline void asked_init(void)
{
    uint64_t random = 1;
    asked_text = must_alloc(TEXT_SHIFTS + SIZE_MAX_);
    for (size_t i = 0; i < TEXT_SHIFTS + SIZE_MAX_; i++)
        asked_text[i] = (char)('a' + (random = mix(random)) % 26);
}

static inline uint64_t asked_id(enum ids kind, uint64_t sequence)
{
    static const uint64_t extreme[] = {
        0, UINT64_MAX, INT64_MAX, UINT64_C(1) << 63, 1, (UINT64_C(1) << 63) + 1, UINT64_MAX - 1, UINT32_MAX,
        UINT64_C(1) << 32, UINT64_C(0xdabb) << 48, 1 << 24, UINT64_MAX << 24,
    };
    switch (kind) {
    case IDS_COLLIDE:
        return sequence % 3;
    case IDS_EXTREME:
        return extreme[sequence % (sizeof extreme / sizeof *extreme)];
    case IDS_OURS:
        return (sequence / 64 % 4096 + 1) << 24 | sequence % 64;
    default:
        return sequence;
    }
}

/* Writes the argument of a call as Hessian2; returns where the next value goes. */
static inline uint8_t *asked_put(uint8_t *to, const struct slot *slot)
{
    static char text[SIZE_MAX_];
    for (uint32_t i = 0; i < NONCE && i < slot->size; i++)
        text[i] = "0123456789abcdef"[slot->nonce >> (60 - 4 * i) & 15];
    if (slot->size > NONCE)
        memcpy(text + NONCE, asked_text + mix(slot->nonce) % TEXT_SHIFTS, slot->size - NONCE);
    return wire_put_string(to, text, slot->size);
}

/* The nonce of an answer's string: false when it has none. */
static inline bool asked_nonce(const uint8_t *body, size_t len, uint64_t *out)
{
    size_t at = len < 2 ? len : body[1] <= 31 ? 2 : body[1] >= 0x30 && body[1] <= 0x33 ? 3 : 4;
    *out = 0;
    if (len < at + NONCE)
        return false;
    for (int i = 0; i < NONCE; i++) {
        uint8_t c = body[at + (size_t)i];
        uint8_t digit = c >= '0' && c <= '9' ? (uint8_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint8_t)(c - 'a' + 10) : 16;
        if (digit > 15)
            return false;
        *out = *out << 4 | digit;
    }
    return true;
}

/* True when the body is the whole argument of this call. */
static inline bool asked_equals(const struct slot *slot, const uint8_t *body, size_t len)
{
    static uint8_t want[SIZE_MAX_ + 256];
    want[0] = 0x91;
    return (size_t)(asked_put(want + 1, slot) - want) == len && !memcmp(body, want, len);
}

/* The slot that waits under this id; NULL when none does. Answers that carry no nonce have nothing else to go by. */
static inline struct slot *asked_by_id(struct slot *slots, uint32_t n, uint64_t id, uint8_t kind, bool without_nonce)
{
    for (uint32_t i = 0; i < n; i++)
        if (slots[i].sent && slots[i].id == id && slots[i].kind == kind && (!without_nonce || slots[i].size < NONCE))
            return &slots[i];
    return NULL;
}

/* Whose answer is it? `who` is the connection's number. */
static inline enum verdict asked_judge(struct slot *slots, uint32_t n, uint16_t who, uint64_t id, const uint8_t *body,
                                       size_t len, struct slot **out)
{
    uint64_t nonce;
    *out = NULL;
    if (!asked_nonce(body, len, &nonce)) {
        *out = asked_by_id(slots, n, id, ASKED_CALL, true);
        return *out && asked_equals(*out, body, len) ? RIGHT : CROSSED;
    }
    uint32_t at = nonce >> 32 & 0xffff;
    if (nonce >> 48 != who || at >= n)
        return CROSSED;
    struct slot *slot = &slots[at];
    if (!slot->sent || slot->nonce != nonce)
        return TWICE;
    *out = slot;
    return slot->id == id && asked_equals(slot, body, len) ? RIGHT : CROSSED;
}
