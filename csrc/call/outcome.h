#pragma once
/* outcome: how a call may end, whatever its protocol. Pure.
 *
 * Statistics count outcomes; each protocol says at its edge which of its own codes an outcome is. */
#include <stdint.h>

enum mf_outcome {
    MF_OUTCOME_OK,           /* the peer answered, or nothing was to be answered */
    MF_OUTCOME_REMOTE_ERROR, /* the peer answered that it failed */
    MF_OUTCOME_NO_ROUTE,     /* no such service, no rule for the request, or no way to tell */
    MF_OUTCOME_NO_PEER,      /* the rule names no instance */
    MF_OUTCOME_NONE_UP,      /* none of its instances is available */
    MF_OUTCOME_TIMEOUT,
    MF_OUTCOME_LOST,         /* its connection ended before the answer */
    MF_OUTCOME_BAD_REQUEST,
    MF_OUTCOME_TOO_LONG,     /* the request is over a limit */
    MF_OUTCOME_BAD_ANSWER,   /* the answer is over a limit */
    MF_OUTCOME_OVERLOAD,     /* a limit of ours, or our memory */
    MF_OUTCOME_CANCELLED,    /* its caller went away */
    MF_OUTCOME_BUSY,         /* as much is under way there as policy allows */
    MF_OUTCOME_RULE,         /* a rule answered it: reply.h */
    MF_OUTCOME_LIMITED,      /* a rate limit of policy */
    MF_OUTCOMES,
};

/* How the text begins when nobody is there who could have executed the call: another proxy may send it elsewhere. */
#define MF_OUTCOME_NOBODY "meshfast: nobody here: "

/* Why a call cannot go on, as its caller is told. */
struct mf_fault {
    enum mf_outcome outcome;
    const char *text; /* what happened; may be a buffer of the caller's */
};

/* What an error of ours or of the kernel means for the call that met it; the text is the error's own. */
struct mf_fault mf_outcome_of(int rc);
/* "no_route": as metrics name it. */
const char *mf_outcome_name(enum mf_outcome outcome);
