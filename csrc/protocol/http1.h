#pragma once
/* http1: an HTTP/1 connection, relayed as one: it goes where policy sends its first request, and all that follows goes
 * there too, byte for byte. */
#include "call/fault.h"
#include "call/note.h"
#include "call/relay.h"
#include "table/guard.h"
#include "table/peer.h"

struct mf_http1 {
    struct mf_relay relay; /* first: what it becomes */
    const struct mf_inlet *inlet;
    struct mf_peer *peer;  /* that is being dialled; NULL: none, or an address that is no peer's */
    size_t seen;           /* of the head, so many bytes have been looked at */
    uint32_t tries;        /* peers dialled so far */
    int failed;            /* why the last one could not be */
    struct mf_stat_shard *stat; /* where it is counted; NULL: no service was found */
    struct mf_note *note;  /* for the access log; NULL */
    struct mf_guard *guard; /* it is one of the connections that are bounded there; NULL */
    uint64_t begun;
    bool whole;            /* `seen` is the head's length */
    bool waiting;          /* for a peer: counted as a call in flight */
    bool bare;             /* answers to it have no content: HEAD */
    bool changes;          /* its other half is there, and `head` goes there first */
    uint64_t due;          /* until then a rule lets it wait; 0: it does not */
    struct mf_fault_state fault;
    uint8_t *head;         /* as a rule changes it; NULL: as it came */
    size_t head_len;
};

/* `conn` has the room of an mf_http1. What it has said so far is shown to its on_read next. */
void mf_http1_start(struct mf_conn *conn, const struct mf_inlet *inlet);
/* Where HTTP/2 alone is spoken: says so, and ends the connection. `view`: what it has said. */
void mf_http1_refuse(struct mf_conn *conn, const struct mf_inlet *inlet, struct mf_slice view);
