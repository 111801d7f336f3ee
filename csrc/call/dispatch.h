#pragma once
/* dispatch: a request, as policy sees it, to a peer. The one room that decides where a call goes and whether it is tried
 * again. */
#include "call/inlet.h"
#include "call/labels.h"

struct mf_request;

/* How a request's protocol writes it. */
struct mf_request_ops {
    /* Sends it on a link: 0, and call->bytes_up says how much; or an error (nothing was sent). */
    int (*send)(struct mf_request *request, struct mf_call *call, struct mf_link *link);
    /* The same as a block that can be sent later: its first call->bytes_up bytes. NULL: `*rc`. */
    struct mf_block *(*freeze)(struct mf_request *request, struct mf_call *call, int *rc);
    /* Another name that the request has for its service, where the one it goes by is not listed; empty: none. May be
     * NULL. */
    struct mf_slice (*alias)(const struct mf_request *request);
};

/* A request while it is dispatched: begins its protocol's own struct. Borrows everything. */
struct mf_request {
    const struct mf_request_ops *ops;
    struct mf_inlet *inlet;
    struct mf_dialer *dialer;
    struct mf_conn *from;   /* the caller's connection; NULL when it is tried again */
    struct mf_inlet_own *own; /* and what that keeps */
    struct mf_query query;  /* service, method and headers, as far as they could be read */
    const struct mf_query *said; /* where its labels are looked for, as far as headers go: `query`, or beside it */
    int64_t timeout_ms;     /* the caller's; -1: none */
    uint32_t length;        /* as it came, bytes */
    bool flows;             /* it comes part by part: its content waits where there is room, so that nobody is paused for it,
                               it is kept until it is answered, and it may take as long as its caller likes */
    bool busy, patient;     /* dispatch's: a peer that takes no more calls now was passed over; it would wait for one */
    const struct mf_peer *refused; /* tried again: who did not take it, and is asked again only for want of another */
    bool readable;          /* the headers are all there */
    bool stampable;         /* labels can be added to it */
    uint32_t n_stamps;
    struct mf_pair stamps[MF_LABELS_SAID]; /* what must be added when it is written */
};

/* Ends in exactly one step of the call. */
void mf_dispatch(struct mf_call *call, struct mf_request *request);
/* The same for a call whose peer could not be reached: the request is stamped already. Where there is no other peer it
 * waits on `back` (NULL: it ends). */
void mf_dispatch_again(struct mf_call *call, struct mf_request *request, struct mf_queue *back);
/* For one that cannot be read: ends the call with `fault`. */
void mf_dispatch_refuse(struct mf_call *call, struct mf_request *request, const struct mf_fault *fault);
/* For one that no call was begun for: counts it, as what its caller is told (`http`: the status of HTTP, or 0). */
void mf_dispatch_turn_away(struct mf_inlet *inlet, struct mf_conn *from, uint64_t request_id, bool two_way,
                           const struct mf_fault *fault, uint8_t stat, uint16_t http);
/* Ends the call with what an error means; `text` (may be NULL) instead of the error's own. */
void mf_dispatch_fail(struct mf_call *call, int rc, const char *text);

/* inline */

/* How long to wait for an answer, ms: the least of what the caller (-1: none; maxCallTimeout at most) and the rule
 * (0: none) say, else callTimeout. */
static inline uint64_t mf_dispatch_timeout(int64_t caller_ms, uint32_t rule_ms, const struct mf_limits *limits)
{
    uint64_t least = 0;
    if (caller_ms > 0)
        least = (uint64_t)caller_ms < limits->max_call_timeout ? (uint64_t)caller_ms : limits->max_call_timeout;
    if (rule_ms && (!least || rule_ms < least))
        least = rule_ms;
    return least ? least : limits->call_timeout;
}
