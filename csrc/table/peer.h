#pragma once
/* peer: one address that calls can be sent to, with its health. One object per address in a table, kept over updates,
 * so that health and pooled connections survive a change of policy. */
#include "base/addr.h"
#include "base/atom.h"
#include "table/epoch.h"

struct mf_table;

struct mf_peer {
    struct mf_epoch_entry _entry;
    struct mf_addr addr;
    mf_atom32 _refs;         /* clusters and pools that hold it */
    struct mf_peer *_next;   /* in the writer's hash of addresses */
    struct mf_table *_table;
    /* Monotonic ns; 0: available; odd: it asks for no calls, but would take them. Written by workers. */
    _Alignas(MF_CACHE_LINE) mf_atom64 down_until;
    mf_atom64 since;         /* when it came, or was back after a rest */
    mf_atom32 in_flight;     /* calls that policy counts, of all workers: those that are with it now */
    mf_atom32 listed;        /* clusters that list it; 0: only pools still hold it */
    /* What its connections saw, of all workers, added up by them once a second and where one is made or fails. */
    mf_atom64 calls, calls_active, connections, failures;
    uint32_t id;             /* small, unique among live peers, reused after the peer is gone; read with down_until */
    char text[];             /* "10.0.0.7:20880" */
};

/* Finds or makes the peer of an address, with a reference for the caller. Writer only. NULL: no memory. */
struct mf_peer *mf_peer_intern(struct mf_table *table, const struct mf_addr *addr);
/* Any thread: a pool keeps the peer it connects to. */
void mf_peer_take(struct mf_peer *peer);
void mf_peer_give(struct mf_table *table, struct mf_peer *peer); /* freed later, by the writer's reclaim */
/* Any thread, after a change of who may be chosen: what was worked out by that is worked out anew. */
void mf_peer_changed(struct mf_peer *peer);

/* inline */

static inline bool mf_peer_available(const struct mf_peer *peer, uint64_t now)
{
    return mf_load_relaxed(&peer->down_until) <= now;
}

/* Or it asks for none, and where there is no other they are better sent to it than to nobody. */
static inline bool mf_peer_takes(const struct mf_peer *peer, uint64_t now)
{
    uint64_t until = mf_load_relaxed(&peer->down_until);
    return until <= now || (until & 1);
}

/* False once no published policy sends calls to it. Any thread. */
static inline bool mf_peer_listed(const struct mf_peer *peer)
{
    return mf_load_relaxed(&peer->listed) > 0;
}

/* Since when it takes calls without a break. */
static inline uint64_t mf_peer_well_since(const struct mf_peer *peer)
{
    uint64_t since = mf_load_relaxed(&peer->since), until = mf_load_relaxed(&peer->down_until);
    return until > since ? until : since;
}

/* After a failed connect: not picked before `until`. */
static inline void mf_peer_set_down(struct mf_peer *peer, uint64_t until)
{
    mf_store_relaxed(&peer->down_until, until & ~UINT64_C(1));
    mf_peer_changed(peer);
}

static inline void mf_peer_set_up(struct mf_peer *peer)
{
    mf_store_relaxed(&peer->down_until, 0);
    mf_peer_changed(peer);
}
