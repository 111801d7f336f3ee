#pragma once
/* retries: what a rule says of trying a call again: after what, how often, how long for each try. Immutable. */
#include <stdbool.h>
#include <stdint.h>

/* After what: bits, by the names that Istio has for them. Where a call could not be executed it is tried again whatever
 * these say: connect-failure, refused-stream and reset-before-request add nothing, and have no bit or are never alone. */
enum mf_retry_on {
    MF_RETRY_5XX = 1,
    MF_RETRY_GATEWAY = 2,      /* gateway-error */
    MF_RETRY_RESET = 4,
    MF_RETRY_REFUSED = 8,      /* refused-stream */
    MF_RETRY_4XX = 16,         /* retriable-4xx: 409 */
    MF_RETRY_CODES = 32,       /* those of `codes` */
    MF_RETRY_LIMITED = 64,     /* envoy-ratelimited */
    MF_RETRY_CANCELLED = 128,
    MF_RETRY_DEADLINE = 256,   /* deadline-exceeded */
    MF_RETRY_EXHAUSTED = 512,  /* resource-exhausted */
    MF_RETRY_INTERNAL = 1024,
    MF_RETRY_UNAVAILABLE = 2048,
};

enum { MF_RETRY_CODES_END = 640, MF_RETRY_DUBBO_END = 101 }; /* of Dubbo below that, else of HTTP */

struct mf_retries {
    uint32_t on;          /* enum mf_retry_on */
    uint16_t attempts;    /* tries beside the first */
    uint8_t levels_every; /* after so many tries the localities of those are left out; 0: never */
    bool other_peers;     /* who was tried is tried again only for want of another */
    uint32_t try_ms;      /* of each try; 0: no more than of the call */
    uint32_t backoff_ms;  /* before the first, at most; it doubles, up to ten times as much */
    uint64_t codes[MF_RETRY_CODES_END / 64];
};

/* Of one worker: a share of the calls of late, and a few each second. Zeroed: it was never looked at. */
struct mf_retry_budget {
    uint64_t left, at, calls; /* in 1e-9 of a retry; when it was looked at last, and how many calls there had been */
};

/* inline */

static inline bool mf_retries_code(const struct mf_retries *retries, uint32_t code)
{
    return code < MF_RETRY_CODES_END && (retries->codes[code / 64] >> code % 64 & 1);
}
