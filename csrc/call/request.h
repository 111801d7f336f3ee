#pragma once
/* request: a request while it is dispatched, as every protocol hands it to policy, and how its protocol writes it. */
#include "call/inlet.h"
#include "call/labels.h"

struct mf_change;
struct mf_request;

enum { MF_REQUEST_REFUSED = 5 };

/* How a request's protocol writes it. */
struct mf_request_ops {
    /* Sends it on a link: 0, and call->bytes_up says how much; or an error (nothing was sent). */
    int (*send)(struct mf_request *request, struct mf_call *call, struct mf_link *link);
    /* The same as a block that can be sent later: its first call->bytes_up bytes. NULL: `*rc`. */
    struct mf_block *(*freeze)(struct mf_request *request, struct mf_call *call, int *rc);
    /* Another name that the request has for its service, where the one it goes by is not listed; empty: none. May be
     * NULL. */
    struct mf_slice (*alias)(const struct mf_request *request);
    /* As mf_query.argument. May be NULL. */
    bool (*argument)(struct mf_request *request, uint32_t index, struct mf_slice *out);
    /* From here on it is sent as its call's change (mf_governed_of) says, wherever it goes. 0; or an error: it cannot be sent
     * so. May be called again. */
    int (*change)(struct mf_request *request, const struct mf_change *change);
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
    bool keeps;             /* it is kept until it is answered */
    bool busy, patient;     /* dispatch's: a peer that takes no more calls now was passed over; it would wait for one */
    uint8_t n_refused;
    const struct mf_peer *refused[MF_REQUEST_REFUSED]; /* tried again: who did not take it, or was tried before, and is asked
                                                          again only for want of another */
    bool readable;          /* the headers are all there */
    bool stampable;         /* labels can be added to it */
    uint32_t n_stamps;
    struct mf_pair stamps[MF_LABELS_SAID]; /* what must be added when it is written */
    char left[12];          /* the text of one of them */
};

/* inline */

/* As mf_query.argument, of a request. */
static inline bool mf_request_argument(void *of, uint32_t index, struct mf_slice *out)
{
    struct mf_request *request = of;
    return request->ops->argument && request->ops->argument(request, index, out);
}

/* Puts its call on a queue, frozen. Its one step. */
static inline void mf_request_wait(struct mf_call *call, struct mf_queue *queue, struct mf_block *frame)
{
    struct mf_local *local = call->calls->local;
    if (call->timeless) /* of now */
        mf_call_set_timeout(call, (mf_local_now(local) - call->begun) / 1000000 + local->limits->call_timeout);
    mf_call_step(call, MF_CALL_ON_WAIT, &(struct mf_call_input){.queue = queue, .frame = frame});
}
