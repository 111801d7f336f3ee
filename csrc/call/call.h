#pragma once
/* call: the life of one request between two ends, from the parts that brought it to the end of its answer.
 *
 * A call knows neither a protocol nor what carries it. Its caller's end is a table of functions and a list, its callee's
 * end too; whoever makes such an end can make calls: a connection, a mirror, an embedded program. A message is parts:
 * head, data, trailers, end. A Dubbo frame is all of them in one step; a stream comes part by part, and either side of a
 * call is open until its end has passed. The states are the table in call.c; DESIGN.md has the same table as a picture.
 *
 * Invariants: a two-way call gets exactly one end of its answer, ours or the peer's, unless its caller is gone. An
 * answer is delivered only when its id names a live call that was sent to the very callee it came from. */
#include "base/block.h"
#include "base/list.h"
#include "base/slice.h"
#include "call/ends.h"
#include "call/governing.h"
#include "call/local.h"
#include "call/note.h"
#include "call/outcome.h"
#include "loop/timer.h"
#include "table/stat.h"

/* Calls that wait for a callee, each with its frame. */
struct mf_queue {
    struct mf_list calls;
    uint32_t n_calls;
    uint64_t bytes;
};

enum mf_call_state {
    MF_CALL_FREE,
    MF_CALL_ROUTING, /* on the stack of its frame's reader, or between two tries */
    MF_CALL_QUEUED,  /* a peer was chosen, its connection is being made; `frame` holds the request */
    MF_CALL_SENT,    /* to a callee, an answer is due */
    MF_CALL_STATES,
};

enum mf_call_event {
    MF_CALL_ON_SENT,      /* written to a callee that will not answer it (one-way) */
    MF_CALL_ON_ASKED,     /* written to a callee, an answer is due */
    MF_CALL_ON_WAIT,      /* put on a queue; of one that was sent: on that of those that are put off, if it is kept */
    MF_CALL_ON_FAULT,     /* cannot go on */
    MF_CALL_ON_RETRY,     /* what it waited for did not come, or nobody was there to execute it: choose again */
    MF_CALL_ON_MORE,      /* the caller sent further parts of its request */
    MF_CALL_ON_PART,      /* the peer sent parts of its answer, not the end */
    MF_CALL_ON_ANSWER,    /* the peer sent the end of its answer */
    MF_CALL_ON_TIMEOUT,
    MF_CALL_ON_UP_LOST,   /* its callee is gone */
    MF_CALL_ON_DOWN_LOST, /* its caller is gone */
    MF_CALL_EVENTS,
};

/* note.h; govern.h; copies.h: it is a copy itself */
enum mf_beside { MF_BESIDE_NOTE = 1, MF_BESIDE_GOVERNED = 2, MF_BESIDE_COPY = 4 };

struct mf_call {
    struct mf_list asked;     /* on its caller's calls */
    struct mf_list place;     /* where it stands: on a queue, on its callee's calls, or among the free slots */
    struct mf_calls *calls;
    void *inlet;              /* its caller's */
    struct mf_traffic *traffic;
    struct mf_caller *caller; /* NULL once the caller is gone, or was never needed */
    struct mf_callee *callee; /* SENT */
    struct mf_queue *queue;   /* QUEUED */
    uint64_t id;              /* ours: generation above, slot below */
    uint64_t caller_id;       /* the caller's */
    uint64_t begun;           /* loop time */
    uint64_t took;            /* until the end of its answer, ns: set before that is delivered */
    uint64_t deadline;
    uint64_t move_at;         /* QUEUED, and chosen by the table: when another peer is tried; 0: it stays */
    void *at_caller, *at_callee; /* theirs, where they keep something of each call */
    struct mf_timer timer;
    const struct mf_caller_ops *ops;
    struct mf_stat_shard *stat; /* NULL until routed */
    struct mf_block *frame;   /* QUEUED, or SENT and kept: the request, ready to send; its length is bytes_up */
    uint32_t bytes_up;
    uint8_t state;
    uint8_t kind;             /* the caller's protocol's own */
    bool two_way;
    uint16_t tries;           /* peers that were chosen; this and what follows is set to 0 in a few stores, lying together */
    bool by_table;            /* the peer was chosen by the table: choose again when it cannot be reached */
    bool asking;              /* the request's end is still to come */
    uint8_t beside;           /* enum mf_beside bits: what is kept of it beside this */
    bool answering;           /* parts of the answer were delivered, its end is still to come */
    bool marked;              /* the caller's protocol's own: of its request */
    bool timeless;            /* it may take as long as it likes, but not wait for a peer for ever */
    uint16_t topic;           /* asking: the caller's protocol's number of what is asked, a hash */
};

/* A worker's calls, found by id without hashing. Slots are never freed while the worker lives. */
struct mf_calls {
    struct mf_local *local;
    struct mf_call **_pages;
    uint32_t _n_pages;
    uint32_t _n_slots;
    uint32_t max;            /* maxCalls */
    uint16_t max_tries;      /* maxTries */
    uint32_t half, half_own; /* of maxCalls, of maxCallsPerConnection: above, shares are looked at */
    struct mf_list _free;
    uint32_t n_live;
    uint64_t kept; /* bytes of requests that were sent and are kept */
    const struct mf_governing *governing;
    struct mf_queue delayed; /* calls that policy has put off: a queue of no lane */
};

enum { MF_CALL_SLOT_BITS = 24 }; /* 16 million at once; the other 40 bits count the uses of the slot */

int mf_calls_init(struct mf_calls *calls, struct mf_local *local);
void mf_calls_dispose(struct mf_calls *calls);
/* The live call of that id, or NULL. */
struct mf_call *mf_calls_find(const struct mf_calls *calls, uint64_t id);
/* It will be looked for soon. */
void mf_calls_fetch(const struct mf_calls *calls, uint64_t id);

void mf_caller_init(struct mf_caller *caller, const struct mf_caller_ops *ops, void *inlet, struct mf_traffic *traffic);
void mf_callee_init(struct mf_callee *callee, const struct mf_callee_ops *ops);
void mf_queue_init(struct mf_queue *queue);

/* A call in state ROUTING, on `caller`'s list; NULL when maxCalls or memory is at its end (`*rc` says which). */
struct mf_call *mf_call_begin(struct mf_calls *calls, struct mf_caller *caller, uint64_t caller_id, uint8_t kind,
                              bool two_way, int *rc);
/* Sets the wait from `begun`; it is cut to what is left when set again. */
void mf_call_set_timeout(struct mf_call *call, uint64_t timeout_ms);

/* What an event may carry along. */
struct mf_call_input {
    struct mf_callee *callee;         /* ON_ASKED */
    struct mf_queue *queue;           /* ON_WAIT; ON_RETRY of one that was sent: of the peer it was sent to */
    struct mf_block *frame;           /* ON_WAIT, ON_ASKED of one that did not wait (or NULL): taken over */
    bool back;                        /* ON_RETRY: where there is no other peer, it waits on */
    bool failed;                      /* ON_RETRY: the peer could not be reached */
    const struct mf_fault *fault;     /* ON_FAULT, ON_UP_LOST */
    const struct mf_message *message; /* ON_MORE, ON_PART, ON_ANSWER: its data in the callee's input */
};

/* One step. After it the call may be gone. */
void mf_call_step(struct mf_call *call, enum mf_call_event event, const struct mf_call_input *input);

/* Whether its request of so many bytes may be kept once it is sent, to be sent elsewhere should nobody be there. */
bool mf_call_may_keep(const struct mf_call *call, uint32_t bytes);
/* It is not kept any longer. */
void mf_call_unkeep(struct mf_call *call);
/* The rule that routed it counts it from here on; an earlier one is done with it. */
void mf_call_set_stat(struct mf_call *call, struct mf_stat *stat, bool fallback);
/* The same where no rule counts it: what is counted in outlives the call. NULL: nothing. */
void mf_call_set_shard(struct mf_call *call, struct mf_stat_shard *shard);
/* The caller of a one-way call is gone: the call goes on without it. */
void mf_call_detach(struct mf_call *call);
/* A caller is gone: its two-way calls end, the others go on without it. */
void mf_caller_gone(struct mf_caller *caller);
/* A callee is gone: its calls end with `fault`. */
void mf_callee_gone(struct mf_callee *callee, const struct mf_fault *fault);

/* True where the table has a row: for the exhaustive test and the picture in the docs. */
bool mf_call_legal(enum mf_call_state state, enum mf_call_event event, enum mf_call_state *next);

/* inline */

static inline uint32_t mf_call_slot(const struct mf_call *call)
{
    return call->id & ((1u << MF_CALL_SLOT_BITS) - 1);
}

/* From the queue that it is on to another, as the last. */
static inline void mf_call_move(struct mf_call *call, struct mf_queue *to)
{
    struct mf_queue *from = call->queue;
    from->bytes -= call->bytes_up;
    from->n_calls--;
    to->bytes += call->bytes_up;
    to->n_calls++;
    call->queue = to;
    mf_list_remove(&call->place);
    mf_list_push(&to->calls, &call->place);
}

/* Keeps a note of it; NULL: none. */
static inline void mf_call_keep_note(struct mf_call *call, struct mf_note *note)
{
    if (!note)
        return;
    call->beside |= MF_BESIDE_NOTE;
    call->calls->local->notes->of_slots[mf_call_slot(call)] = note;
}

/* What is kept of it beside this, or NULL. */
static inline struct mf_note *mf_call_note(const struct mf_call *call)
{
    return call->beside & MF_BESIDE_NOTE ? call->calls->local->notes->of_slots[mf_call_slot(call)] : NULL;
}
