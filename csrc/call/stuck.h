#pragma once
/* stuck: which kinds of request have filled a peer's window with content that it does not read, lately. Pure. */
#include <stdbool.h>
#include <stdint.h>

enum { MF_STUCK = 8 };

struct mf_stuck {
    uint32_t n;
    struct {
        uint16_t topic; /* the protocol's number of a kind: a hash */
        uint64_t until;
        const void *by; /* who it was blamed on first; only compared */
    } of[MF_STUCK];
};

static inline bool mf_stuck_has(const struct mf_stuck *stuck, uint16_t topic)
{
    for (uint32_t i = 0; i < stuck->n; i++)
        if (stuck->of[i].topic == topic)
            return true;
    return false;
}

/* It is there, by another. */
static inline bool mf_stuck_by_other(const struct mf_stuck *stuck, uint16_t topic, const void *by)
{
    for (uint32_t i = 0; i < stuck->n; i++)
        if (stuck->of[i].topic == topic)
            return stuck->of[i].by != by;
    return false;
}

/* Where there is no room it takes the place of the one that ends first. */
static inline void mf_stuck_add(struct mf_stuck *stuck, uint16_t topic, uint64_t until, const void *by)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < stuck->n && stuck->of[at].topic != topic; i++)
        if (stuck->of[i].topic == topic || stuck->of[i].until < stuck->of[at].until)
            at = i;
    bool known = stuck->n && stuck->of[at].topic == topic;
    if (stuck->n < MF_STUCK && !known)
        at = stuck->n++;
    if (!known)
        stuck->of[at].by = by;
    stuck->of[at].topic = topic;
    stuck->of[at].until = until;
}

/* Lets go of those whose time is over: whether there was one. */
static inline bool mf_stuck_forget(struct mf_stuck *stuck, uint64_t now)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < stuck->n; i++)
        if (stuck->of[i].until > now)
            stuck->of[n++] = stuck->of[i];
    bool gone = n < stuck->n;
    stuck->n = n;
    return gone;
}
