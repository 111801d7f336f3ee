#pragma once
/* h2_ask: a call's head goes to a provider: as a stream of a connection to it. */
#include "protocol/h2_conn.h"

/* A connection to a provider. The rest of it is h2_up's. */
struct mf_h2_up {
    struct mf_h2_conn h2; /* first */
    struct mf_link link;
    uint64_t ping_at;  /* when the last PING was sent */
    uint64_t probe_at; /* the same, while nothing has come since; 0 */
    uint64_t ping_in;  /* bytes that had come by then */
    uint64_t heard_at; /* when an answer, or a part of one, came last */
    uint64_t blamed_at; /* when callers were looked at last for what they had spent */
    struct mf_lately cuts; /* streams that were reset */
};

struct mf_h2_asked {
    struct mf_h2_stream h2; /* first */
    struct mf_call *call;   /* NULL: nobody waits for it any more */
    uint16_t status;        /* HTTP's */
    uint32_t interims;      /* that came */
    bool answered;          /* the end of the answer has come */
    bool fed;               /* it was sent content */
    bool sized;             /* its request says how much that is to be */
    uint8_t prefixed;       /* bytes that have come of what its first message begins with */
    uint32_t first;         /* what is missing of that message, once those are there */
};

/* What is kept at the note of an answer's fields that come again: their number, of the worker's, never given twice; from 1
 * on. Callers' ends know by it what they have encoded before. */
struct mf_h2_numbered {
    uint64_t number;
};

/* 0, or an error (nothing was sent). `again`: as mf_h2_stream_open. */
int mf_h2_ask(struct mf_link *link, struct mf_call *call, const struct mf_pair *fields, const struct mf_h2_mark *marks,
              uint32_t n, struct mf_h2_again *again);
