#pragma once
/* dubbo_request: a Dubbo2 request on its way: read, dispatched, stamped and written. */
#include "call/dispatch.h"
#include "protocol/dubbo_read.h"

/* Where requests come from; a caller's connection has one. */
struct mf_dubbo_source {
    struct mf_dubbo_share *share;
    struct mf_inlet *inlet;
    struct mf_conn *conn;
    struct mf_inlet_own own;
    struct mf_recent recent; /* what its requests were like */
};

/* A whole request that a call was begun for; ends in exactly one step of the call. */
void mf_dubbo_request_in(struct mf_dubbo_source *source, struct mf_call *call, const struct mf_dubbo_head *head,
                         struct mf_slice body);
/* The frame of a call whose peer could not be reached; without another it waits on `back` (NULL: it ends). */
void mf_dubbo_request_again(struct mf_dubbo_share *share, struct mf_call *call, struct mf_queue *back);
/* For mf_dialer_ops. */
int mf_dubbo_request_queued(struct mf_link *link, struct mf_call *call);
