#pragma once
/* epoch: frees what readers may still be looking at, once none can be (quiescent-state reclamation).
 *
 * Reader threads: 1. join  2. quiesce once per loop turn, when no pointer into the tables is held  3. offline before a
 * wait that may be long, online after it  4. leave.
 * The one writer: retire what it has unlinked; reclaim now and then. */
#include "base/atom.h"

#include <stddef.h>

enum { MF_EPOCH_READERS = 64 };

struct mf_epoch_entry { /* embedded in what is retired */
    struct mf_epoch_entry *_next;
    uint64_t _at;
    void (*_fn)(struct mf_epoch_entry *);
};

struct mf_epoch {
    mf_atom64 _now; /* starts at 1 */
    struct {
        mf_atom64 seen;   /* the epoch last seen; 0: offline */
        mf_atom32 joined;
        char pad[MF_CACHE_LINE - 12];
    } _readers[MF_EPOCH_READERS];
    struct mf_epoch_entry *_first, **_last; /* the writer's queue, oldest first */
    size_t _waiting;
};

void mf_epoch_init(struct mf_epoch *epoch);
/* Frees everything retired; no reader may be joined. */
void mf_epoch_dispose(struct mf_epoch *epoch);

/* A reader's number, 0 <= n < MF_EPOCH_READERS, offline; MF_ELIMIT when all are taken. Any thread. */
int mf_epoch_join(struct mf_epoch *epoch);
void mf_epoch_leave(struct mf_epoch *epoch, int reader);
void mf_epoch_online(struct mf_epoch *epoch, int reader);
void mf_epoch_offline(struct mf_epoch *epoch, int reader);
void mf_epoch_quiesce(struct mf_epoch *epoch, int reader);

/* Writer only: `fn(entry)` is called by a later reclaim, when every reader has passed a quiescent point. */
void mf_epoch_retire(struct mf_epoch *epoch, struct mf_epoch_entry *entry, void (*fn)(struct mf_epoch_entry *));
/* Returns how many entries still wait. */
size_t mf_epoch_reclaim(struct mf_epoch *epoch);
