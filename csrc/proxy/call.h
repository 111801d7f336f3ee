#pragma once
/* call: the life of one request, from the frame that brought it to its one answer.
 *
 * A call knows no protocol: its frames are handed on by the connections (dubbo_conn.h). Its states are the table in
 * call.c; DESIGN.md has the same table as a picture.
 *
 * Invariants: a two-way call gets exactly one answer, ours or the peer's, unless its caller is gone. An answer is
 * delivered only when its id names a live call that was sent on the very connection it came from. */
#include "base/block.h"
#include "base/list.h"
#include "loop/timer.h"
#include "base/slice.h"
#include "proxy/policy.h"
#include "table/stat.h"

struct mf_conn;
struct mf_door;
struct mf_pool;
struct mf_protocol_ops;
struct mf_worker;

enum mf_call_state {
    MF_CALL_FREE,
    MF_CALL_ROUTING, /* on the stack of its frame's reader, or between two tries */
    MF_CALL_QUEUED,  /* a peer was chosen, its connection is being made; `frame` holds the request */
    MF_CALL_SENT,    /* on a connection, an answer is due */
    MF_CALL_STATES,
};

enum mf_call_event {
    MF_CALL_ON_SENT,      /* written to a connection that expects no answer for it (one-way) */
    MF_CALL_ON_ASKED,     /* written to a connection, an answer is due */
    MF_CALL_ON_WAIT,      /* put behind a connection that is being made */
    MF_CALL_ON_FAULT,     /* cannot be forwarded */
    MF_CALL_ON_RETRY,     /* its connection could not be made: choose again */
    MF_CALL_ON_ANSWER,    /* the peer answered */
    MF_CALL_ON_TIMEOUT,
    MF_CALL_ON_UP_LOST,   /* the connection it was sent on is gone */
    MF_CALL_ON_DOWN_LOST, /* its caller is gone */
    MF_CALL_EVENTS,
};

struct mf_call {
    struct mf_list down_node; /* on its caller's calls */
    struct mf_list up_node;   /* on its connection's calls, or its pool's queue */
    struct mf_worker *worker;
    struct mf_door *door;     /* where it came in */
    struct mf_conn *down;     /* NULL once the caller is gone, or was never needed */
    struct mf_conn *up;
    struct mf_pool *pool;
    uint64_t id;              /* ours: generation above, slot below */
    uint64_t down_id;         /* the caller's */
    uint64_t begun;           /* loop time */
    uint64_t deadline;
    struct mf_timer timer;
    struct mf_stat_shard *stat; /* NULL until routed */
    const struct mf_protocol_ops *ops; /* of the caller's connection */
    struct mf_block *frame;   /* QUEUED: the request, ready to send; its length is bytes_up */
    uint32_t bytes_up;
    uint8_t state;
    uint8_t serialization;
    uint8_t tries;
    bool two_way;
    bool by_table;            /* the peer was chosen by the table: choose again when it cannot be reached */
};

/* A worker's calls, found by id without hashing. Slots are never freed while the worker lives. */
struct mf_calls {
    struct mf_call **_pages;
    uint32_t _n_pages;
    uint32_t _n_slots, _max;
    struct mf_list _free;
    uint32_t n_live;
};

enum { MF_CALL_SLOT_BITS = 24 }; /* 16 million at once; the other 40 bits count the uses of the slot */

int mf_calls_init(struct mf_calls *calls, uint64_t max);
void mf_calls_dispose(struct mf_calls *calls);
/* The live call of that id, or NULL. */
struct mf_call *mf_calls_find(const struct mf_calls *calls, uint64_t id);
/* It will be looked for soon. */
void mf_calls_fetch(const struct mf_calls *calls, uint64_t id);

/* A call in state ROUTING, on `down`'s list; NULL when maxCalls or memory is at its end (`*rc` says which). */
struct mf_call *mf_call_begin(struct mf_worker *worker, struct mf_conn *down, uint64_t down_id, uint8_t serialization,
                              bool two_way, int *rc);
/* Sets the wait from `begun`; it is cut to what is left when set again. */
void mf_call_set_timeout(struct mf_call *call, uint64_t timeout_ms);

/* What an event may carry along. */
struct mf_call_input {
    struct mf_conn *up;           /* ON_SENT, ON_ASKED */
    struct mf_pool *pool;         /* ON_WAIT */
    struct mf_block *frame;       /* ON_WAIT: taken over */
    const struct mf_fault *fault; /* ON_FAULT, ON_UP_LOST */
    const void *head;             /* ON_ANSWER: the peer's head, as its protocol parsed it */
    struct mf_slice body;         /* ON_ANSWER: in `up`'s input */
    uint8_t status;               /* ON_ANSWER: what to count it as, a Dubbo status */
};

/* One step. After it the call may be gone. */
void mf_call_step(struct mf_call *call, enum mf_call_event event, const struct mf_call_input *input);

/* The rule that routed it counts it from here on; an earlier one is done with it. */
void mf_call_set_stat(struct mf_call *call, struct mf_stat *stat, bool fallback);
/* The caller of a one-way call is gone: the call goes on without it. */
void mf_call_detach(struct mf_call *call);

/* True where the table has a row: for the exhaustive test and the picture in the docs. */
bool mf_call_legal(enum mf_call_state state, enum mf_call_event event, enum mf_call_state *next);
