#pragma once
/* silent: a caller that has said nothing yet. After detectTimeout where it was going is dialled, for it alone: a provider
 * that speaks first (MySQL, SMTP) gets it, as plain TCP. Whatever else comes of that, the caller is as it was. */
#include "call/relay.h"

/* A connection that has not said yet what it is. */
struct mf_stranger {
    struct mf_relay relay; /* first; without another half but while it is heard */
    struct mf_silent *silent;
    const struct mf_inlet *inlet;
    uint64_t came;
    uint64_t until;        /* so long it may yet be heard; 0: it was not asked */
    bool heard;
};

/* What a listener knows of where its callers go. */
struct mf_silent {
    uint32_t n;            /* that are heard now */
    bool speaks;           /* one has spoken first */
    uint64_t quiet_until;  /* it does not: one that listens was heard */
};

/* An accepted connection becomes one, whose struct is zeroed behind the mf_conn. */
void mf_silent_begin(struct mf_stranger *stranger, struct mf_silent *silent, const struct mf_inlet *inlet);
/* Asks for it if it is time. Returns when to look again; 0: never. */
uint64_t mf_silent_look(struct mf_stranger *stranger, uint64_t now);
/* It speaks itself, or is gone. */
void mf_silent_end(struct mf_stranger *stranger);
/* It speaks, and what it says is not read: false where it has no other half yet. */
bool mf_silent_join(struct mf_stranger *stranger);
