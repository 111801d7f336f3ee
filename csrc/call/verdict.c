#include "call/verdict.h"

#include "table/stat.h"

/* What was its caller's doing is nothing. A status 20 may hold an exception, which is the service's own business. */
static struct mf_verdict of_dubbo(uint32_t status)
{
    switch (status) {
    case 20:
        return (struct mf_verdict){200, false};
    case 30:
    case 31:
        return (struct mf_verdict){504, false};
    case 35:
        return (struct mf_verdict){503, true};
    case 60:
    case 70:
    case 80:
        return (struct mf_verdict){500, false};
    case 100:
        return (struct mf_verdict){503, false};
    }
    return (struct mf_verdict){0};
}

/* Of grpc-status 0 to 16, as Envoy has it. */
static const uint16_t of_grpc[] = {200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401};

struct mf_verdict mf_verdict_of_answer(int stat, uint32_t code)
{
    if (stat == MF_STAT_LOST)
        return (struct mf_verdict){503, true};
    if (stat < MF_STAT_GRPC)
        return of_dubbo(code);
    if (stat >= MF_STAT_HTTP || code >= 100) /* a grpc-status of three digits is none */
        return (struct mf_verdict){code >= 100 && code < 600 ? (uint16_t)code : 500, false};
    return (struct mf_verdict){code < sizeof of_grpc / sizeof *of_grpc ? of_grpc[code] : 500, false};
}

struct mf_verdict mf_verdict_of_outcome(enum mf_outcome outcome, bool asked)
{
    switch (outcome) {
    case MF_OUTCOME_TIMEOUT: /* or no connection was made in time */
        return (struct mf_verdict){asked ? 504 : 503, true};
    case MF_OUTCOME_LOST:
        return (struct mf_verdict){503, true};
    default:
        return (struct mf_verdict){0};
    }
}

struct mf_verdict mf_verdict_of_try(const struct mf_try *tried)
{
    switch ((enum mf_try_kind)tried->kind) {
    case MF_TRY_DUBBO:
        return of_dubbo((uint32_t)tried->status);
    case MF_TRY_HTTP:
        return tried->grpc >= 0 ? mf_verdict_of_answer(MF_STAT_GRPC, (uint32_t)tried->grpc)
                                : mf_verdict_of_answer(MF_STAT_HTTP, (uint32_t)tried->status);
    case MF_TRY_TIMEOUT:
        return mf_verdict_of_outcome(MF_OUTCOME_TIMEOUT, true);
    case MF_TRY_RESET:
    case MF_TRY_REFUSED:
        break;
    }
    return mf_verdict_of_outcome(MF_OUTCOME_LOST, true);
}
