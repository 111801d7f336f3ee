#pragma once
/* copies: requests that are sent a second time, to whom a rule mirrors them: nobody waits for them, and what they are
 * answered is dropped.
 *
 * Whatever becomes of them shows nowhere else. They have calls, connections and peers' health of their own, and a local of
 * their own, in which all that is counted, shared or limited. Of what others need they take time, and memory up to
 * mirrorMemory. */
#include "call/request.h"
#include "table/meter.h"

/* What became of each: places of its meter's counts. */
enum { MF_COPY_OK, MF_COPY_ERROR, MF_COPY_FAILED, MF_COPY_SKIPPED };
_Static_assert((int)MF_COPY_SKIPPED < (int)MF_METER_COUNTS, "a meter has as many");

/* A worker's. */
struct mf_copies {
    struct mf_local local;
    struct mf_limits limits;
    struct mf_local *main; /* the worker's own, for the counts that are told */
    struct mf_calls calls;
    struct mf_pools pools;
    struct mf_dialer *dialers[MF_DIALERS]; /* by the index of the one that a request came with */
    struct mf_caller whole, flowing;       /* who asks: requests that are whole, and those that come part by part */
    size_t held;                           /* bytes of content that is still to be whole */
    bool stopped;
};

/* `main` is ready; the dialers are set later, before the first copy. 0 or -ENOMEM; disposed of in either case. */
int mf_copies_init(struct mf_copies *copies, struct mf_local *main);
void mf_copies_dispose(struct mf_copies *copies); /* all connections are gone */
/* Once a second. */
void mf_copies_sweep(struct mf_copies *copies);
/* Ends them all, and dooms their connections. */
void mf_copies_stop(struct mf_copies *copies);

/* Copies of what is dispatched, for all whom its rule mirrors it to. The call is not touched. Returns the id of the first
 * whose content is still to come, or 0. */
uint64_t mf_copies_mirror(const struct mf_call *call, struct mf_request *request, const struct mf_route *route,
                          const struct mf_change *change);
/* What a copy's call was given, or NULL. */
const struct mf_change *mf_copies_change(const struct mf_call *call);
/* Content that the call sends on, for the copy of that id and those behind it; with the end they are sent. Returns the id of
 * the first that takes more, or 0. */
uint64_t mf_copies_more(struct mf_copies *copies, uint64_t id, const struct mf_message *message);
/* The call begins anew. */
void mf_copies_rewind(struct mf_copies *copies, uint64_t id);
/* The call has ended: those that are not whole never will be. */
void mf_copies_drop(struct mf_copies *copies, uint64_t id);
