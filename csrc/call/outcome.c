#include "call/outcome.h"

#include "base/err.h"

#include <errno.h>

static enum mf_outcome outcome_of(int rc)
{
    switch (rc) {
    case MF_EROUTE_SERVICE:
    case MF_EROUTE_RULE:
    case MF_EDUBBO_OPAQUE:
        return MF_OUTCOME_NO_ROUTE;
    case MF_EROUTE_PEER:
        return MF_OUTCOME_NO_PEER;
    case MF_EROUTE_DOWN:
        return MF_OUTCOME_NONE_UP;
    case MF_EROUTE_BUSY:
        return MF_OUTCOME_BUSY;
    case -ETIMEDOUT:
        return MF_OUTCOME_TIMEOUT;
    case MF_EDUBBO_SIZE:
    case MF_EH2_LIST:
        return MF_OUTCOME_TOO_LONG;
    case -ECONNRESET:
    case -EPIPE:
    case -ESHUTDOWN:
        return MF_OUTCOME_LOST;
    case -ENOMEM:
    case MF_ELIMIT:
    case MF_ECLOSED:
    case MF_EROUTE_FULL:
        return MF_OUTCOME_OVERLOAD;
    }
    return mf_err_kind(rc) == MF_KIND_system ? MF_OUTCOME_LOST : MF_OUTCOME_BAD_REQUEST;
}

struct mf_fault mf_outcome_of(int rc)
{
    return (struct mf_fault){.outcome = outcome_of(rc), .text = mf_err_text(rc)};
}

const char *mf_outcome_name(enum mf_outcome outcome)
{
    static const char *const names[MF_OUTCOMES] = {
        "ok",   "remote_error", "no_route",   "no_peer", "none_up",  "timeout",
        "lost", "bad_request",  "too_long", "bad_answer", "overload", "cancelled", "busy", "rule", "limited",
    };
    return outcome < MF_OUTCOMES ? names[outcome] : "other";
}
