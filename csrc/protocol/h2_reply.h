#pragma once
/* h2_reply: answers of ours on a caller's stream: what became of a call that no provider answered, and what a rule says. */
#include "call/reply.h"
#include "protocol/h2_conn.h"

/* What is still to be put of a rule's answer: it waits here, not on the connection, as it may be long. */
struct mf_h2_reply {
    struct mf_actions *actions; /* whose `body` is; NULL: nothing is left */
    struct mf_slice body;
};

struct mf_h2_told {
    uint8_t kind;     /* enum mf_h2_reads */
    bool no_content;  /* the request was HEAD */
    bool ended;       /* all of the request has come */
    const char *nobody; /* a field to say that nobody was there, or NULL */
};

enum mf_h2_reply_state {
    MF_H2_REPLY_OVER,  /* all has gone, or the connection has: the stream may be gone */
    MF_H2_REPLY_PUT,   /* its end was put, and the stream is there */
    MF_H2_REPLY_WAITS, /* some of it waits, here or on the connection: to be asked for when that has gone */
};

/* Puts the whole of it, or as much as goes at once. */
enum mf_h2_reply_state mf_h2_reply_put(struct mf_h2_stream *h2, const struct mf_fault *fault, const struct mf_h2_told *told,
                                       struct mf_h2_reply *rest);
/* What was put of it has gone: more. */
enum mf_h2_reply_state mf_h2_reply_more(struct mf_h2_stream *h2, bool ended, struct mf_h2_reply *rest);
void mf_h2_reply_drop(struct mf_h2_reply *rest);
/* HTTP's status of such an answer, and the place in statistics that it has. */
uint16_t mf_h2_reply_status(uint8_t kind, const struct mf_fault *fault);
uint8_t mf_h2_reply_stat(uint8_t kind, const struct mf_fault *fault);
