#pragma once
/* retry: whether what became of a try is a reason to try again, how long to wait before that, and whether all calls of one
 * service may yet have one. Pure. */
#include "table/retries.h"

/* What became of one try. */
enum mf_try_kind {
    MF_TRY_DUBBO,   /* answered, with `status` */
    MF_TRY_HTTP,    /* the same; of gRPC with `grpc` beside it */
    MF_TRY_RESET,   /* its stream was reset, or its connection lost, before an answer */
    MF_TRY_REFUSED, /* its stream was refused */
    MF_TRY_TIMEOUT, /* none in its time */
};

struct mf_try {
    uint8_t kind;
    bool dubbo;          /* RESET, TIMEOUT: of Dubbo2 */
    bool rate_limited;   /* the answer says so itself */
    int status;
    int grpc;            /* of an answer that is no more than its head; -1: none */
};

bool mf_retry_wanted(const struct mf_retries *retries, const struct mf_try *tried);

/* Before retry number `nth`, from 1: any wait below the least of base * 2^(nth-1) and 10 * base, ns. */
uint64_t mf_retry_backoff(uint32_t base_ms, uint32_t nth, uint64_t random);

/* Takes one, if there is. `calls`: so many have ended from `began` to `now`, retries not counted; `percent` of them and `rate`
 * a second, in thousandths. What is not used is over after a second, but for one. */
bool mf_retry_budget_take(struct mf_retry_budget *budget, uint64_t began, uint64_t now, uint64_t calls, uint64_t percent,
                          uint64_t rate);
