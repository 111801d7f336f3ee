#include "call/retry.h"

#include "table/hash.h"

enum { LONGEST = 10, MOST_PERCENT = 1000, MOST = 10000000 }; /* of all calls; a second */
#define SECOND_NS UINT64_C(1000000000)
#define ONE SECOND_NS /* retry */
#define MS_NS UINT64_C(1000000)

/* As an answer of HTTP would be. */
enum { GATEWAY = MF_RETRY_5XX | MF_RETRY_GATEWAY, LOST = GATEWAY | MF_RETRY_RESET };

static uint32_t of_http(int status)
{
    if (status == 502 || status == 503 || status == 504)
        return GATEWAY;
    if (status >= 500 && status < 600)
        return MF_RETRY_5XX;
    return status == 409 ? MF_RETRY_4XX : 0;
}

static uint32_t of_grpc(int status)
{
    switch (status) {
    case 1:
        return MF_RETRY_CANCELLED;
    case 4:
        return MF_RETRY_DEADLINE;
    case 8:
        return MF_RETRY_EXHAUSTED;
    case 13:
        return MF_RETRY_INTERNAL;
    case 14:
        return MF_RETRY_UNAVAILABLE;
    }
    return 0;
}

static uint32_t of_dubbo(int status)
{
    switch (status) {
    case 30:
    case 31:
        return GATEWAY | MF_RETRY_DEADLINE;
    case 35:
        return LOST | MF_RETRY_UNAVAILABLE;
    case 60:
        return MF_RETRY_5XX | MF_RETRY_UNAVAILABLE;
    case 70:
    case 80:
        return MF_RETRY_5XX;
    case 100:
        return GATEWAY | MF_RETRY_EXHAUSTED;
    }
    return 0;
}

static uint32_t reasons(const struct mf_try *tried)
{
    switch (tried->kind) {
    case MF_TRY_DUBBO:
        return of_dubbo(tried->status);
    case MF_TRY_HTTP:
        return of_http(tried->status) | of_grpc(tried->grpc);
    case MF_TRY_REFUSED:
        return LOST | MF_RETRY_REFUSED;
    case MF_TRY_TIMEOUT:
        return LOST | (tried->dubbo ? MF_RETRY_DEADLINE : 0);
    default:
        return LOST;
    }
}

bool mf_retry_wanted(const struct mf_retries *retries, const struct mf_try *tried)
{
    if (tried->rate_limited) /* to ask again is what it asks not to do */
        return retries->on & MF_RETRY_LIMITED;
    if (retries->on & reasons(tried))
        return true;
    bool answered = tried->kind == MF_TRY_DUBBO || tried->kind == MF_TRY_HTTP;
    bool dubbos = tried->status < MF_RETRY_DUBBO_END;
    return answered && (retries->on & MF_RETRY_CODES) && tried->status >= 0 && dubbos == (tried->kind == MF_TRY_DUBBO) &&
           mf_retries_code(retries, (uint32_t)tried->status);
}

uint64_t mf_retry_backoff(uint32_t base_ms, uint32_t nth, uint64_t random)
{
    uint64_t most = base_ms * MS_NS;
    most = nth <= 4 ? most << (nth - 1) : most * LONGEST;
    return most ? mf_hash_below(random, most) : 0;
}

bool mf_retry_budget_take(struct mf_retry_budget *budget, uint64_t began, uint64_t now, uint64_t calls, uint64_t percent,
                          uint64_t rate)
{
    uint64_t passed = now - (budget->at ? budget->at : began), added = calls - budget->calls;
    if (passed > SECOND_NS) { /* of those of the last second, as if they had come evenly */
        added = (uint64_t)((__uint128_t)added * SECOND_NS / passed);
        passed = SECOND_NS;
    }
    added = added < MOST ? added : MOST;
    percent = percent < MOST_PERCENT ? percent : MOST_PERCENT;
    rate = rate < UINT64_C(1000) * MOST ? rate : UINT64_C(1000) * MOST;
    uint64_t left = budget->left;
    if (left > ONE)
        left = ONE + (uint64_t)((__uint128_t)(left - ONE) * (SECOND_NS - passed) / SECOND_NS);
    left += added * percent * (ONE / 100) + passed * rate / 1000;
    budget->at = now;
    budget->calls = calls;
    budget->left = left < ONE ? left : left - ONE;
    return left >= ONE;
}
