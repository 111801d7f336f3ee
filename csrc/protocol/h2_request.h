#pragma once
/* h2_request: an HTTP/2 request on its way: viewed, dispatched, stamped, put on a connection to a provider. */
#include "call/dispatch.h"
#include "protocol/h2_conn.h"

/* Where requests come from: a caller's connection. */
struct mf_h2_source {
    struct mf_h2_share *share;
    struct mf_inlet *inlet;
    struct mf_conn *conn;
    struct mf_inlet_own own;
    const struct mf_caller_ops *ops[2]; /* by what its caller reads: HTTP, gRPC */
};

/* A field of answers that say that nobody was there to execute the call: another sidecar may send it elsewhere. */
#define MF_H2_NOBODY "x-meshfast-nobody"

/* What a call's kind is: how its caller reads answers, of gRPC's kinds the number of their content type. */
enum mf_h2_reads { MF_H2_READS_HTTP, MF_H2_READS_GRPC };

/* Ends in one step of the call. */
void mf_h2_request_in(struct mf_h2_source *source, struct mf_call *call, const struct mf_h2_head_in *head);
/* The same for one whose peer could not be reached, or has not looked at it. */
void mf_h2_request_again(struct mf_h2_source *source, struct mf_call *call, struct mf_queue *waited, bool back);
/* Sends a call's frame, as a pool wants it. */
int mf_h2_request_queued(struct mf_link *link, struct mf_call *call);
/* Which kind of call it is. */
uint8_t mf_h2_request_kind(const struct mf_h2_head_in *head);
/* Of what was kept at `note` of a head. */
void mf_h2_request_forget(void *note);
