#pragma once
/* ends: the two ends of a call, the one that asks and the one that is asked: each a table of functions and a list of calls;
 * and the parts of messages that pass between them. */
#include "base/list.h"
#include "base/slice.h"
#include "call/lately.h"

struct mf_addr;
struct mf_call;
struct mf_fault;
struct mf_queue;
struct mf_sock;
struct mf_traffic;
struct mf_try;

enum mf_part { MF_PART_HEAD = 1, MF_PART_DATA = 2, MF_PART_TRAILERS = 4, MF_PART_END = 8, MF_PART_CUT = 16 };
enum { MF_PART_WHOLE = MF_PART_HEAD | MF_PART_DATA | MF_PART_END };

/* Some parts of a request or an answer, borrowed from whoever has just read them. */
struct mf_message {
    uint8_t parts;        /* enum mf_part bits */
    uint8_t outcome;      /* of an answer, with its END: OK or REMOTE_ERROR */
    uint8_t stat;         /* of an answer, with its END: what it is counted as (mf_stat_status_index) */
    uint32_t code;        /* of an answer, with its END: the status, as the protocol numbers it (verdict.h); CUT, an end that is
                             none: what the peer said */
    const void *head;     /* HEAD, TRAILERS: as the protocol parsed them */
    struct mf_slice data;
    struct mf_sock *source; /* in whose input the data lies */
};

/* The end that asks. */
struct mf_caller {
    const struct mf_caller_ops *ops;
    void *inlet; /* where its calls come in: its own to know what that is */
    struct mf_traffic *traffic; /* where they are counted */
    struct mf_list calls;
    uint32_t n_calls;
    bool ending; /* it asks no more: `idle` tells when its last call has ended */
    /* A callee of whom was lost while it had a call there: what it asks may be what that died of (`deadly`); or it has spent
     * what others need. Only compared. */
    const void *suspected_by;
    uint64_t suspected_until;
    bool deadly;
    bool rash; /* it takes back much of what it asks: that waits a moment before it is sent, apart */
    bool odd;  /* one of these, perhaps */
    struct mf_lately cuts; /* calls that were given up when they were with a callee */
    uint64_t kept;         /* bytes of its requests that are kept to be sent, or sent again */
    uint64_t held;         /* for whoever adds up what its calls hold of something */
};

struct mf_caller_ops {
    /* Parts of the answer; after END the call is over. NULL; or they were not taken, and what its caller is to be told. */
    const struct mf_fault *(*deliver)(struct mf_caller *caller, struct mf_call *call, const struct mf_message *message);
    /* A local answer, in place of the peer's; where parts of that were delivered (call->answering) it is cut off. */
    void (*answer)(struct mf_caller *caller, struct mf_call *call, const struct mf_fault *fault);
    /* Choose a peer again, in place of the one it waited for; ends in a step of the call. `back`: where there is no other,
     * it waits on. */
    void (*route_again)(struct mf_call *call, struct mf_queue *waited, bool back);
    void (*idle)(struct mf_caller *caller);    /* it is ending, and its last call has ended */
    /* Where a request comes part by part (else NULL): its head is with a callee, and what is kept of the rest follows, as
     * ON_MORE; the call may be over then. */
    void (*asked)(struct mf_caller *caller, struct mf_call *call);
    /* So much of its data has gone on, and so much may come before the next word. NULL with `asked`. */
    void (*took)(struct mf_caller *caller, struct mf_call *call, size_t len, size_t room);
    const uint8_t *stats;                      /* by outcome: the mf_stat_status_index of what the caller is told */
    /* The same of a rule's answer (reply.h). NULL where there can be none. */
    uint8_t (*stat_of)(const struct mf_call *call, const struct mf_fault *fault);
    /* The same end where a rule changes what it is told, or NULL. */
    const struct mf_caller_ops *changing;
};

/* The end that is asked. */
struct mf_callee {
    const struct mf_callee_ops *ops;
    const struct mf_addr *addr; /* where it is; may be NULL */
    struct mf_list calls; /* that await its answer */
    uint32_t n_calls;
    bool spared;          /* it ends by our doing: that says nothing of who is there */
    uint64_t n_asked;     /* ever */
};

struct mf_callee_ops {
    /* More parts of a request whose end has not been sent. NULL where requests are always whole. */
    void (*more)(struct mf_callee *callee, struct mf_call *call, const struct mf_message *message);
    /* A call that began at `since` got no answer in time: find out whether the peer is still there. */
    void (*doubt)(struct mf_callee *callee, uint64_t since);
    /* So much of the data of its answer has gone on, as above. What may come before the next word, beyond little. */
    size_t (*took)(struct mf_callee *callee, struct mf_call *call, size_t len, size_t room);
    /* What an answer's first parts say of a try; NULL: its connection was lost. */
    void (*became)(const struct mf_call *call, const struct mf_message *message, struct mf_try *out);
    /* A call leaves it, whether it has answered or not. NULL where nothing is to be done. */
    void (*left)(struct mf_callee *callee, struct mf_call *call);
    /* A call will leave it before its answer is whole, for its caller's sake. NULL as above. */
    void (*cut)(struct mf_callee *callee, struct mf_call *call);
};
