#pragma once
/* policy: what an error means: whose fault, how far it reaches, whether to try again, and what the caller is told.
 *
 * Pure decisions, no sockets. */
#include "proxy/limits.h"

#include <stdbool.h>
#include <stdint.h>

enum mf_side { MF_SIDE_DOWNSTREAM, MF_SIDE_UPSTREAM, MF_SIDE_OURS };
enum mf_scope { MF_SCOPE_CALL, MF_SCOPE_CONNECTION };

struct mf_fault {
    int rc;
    uint8_t side, scope;
    uint8_t status;   /* the Dubbo status of the local answer */
    bool retry;       /* another peer may be tried: not a byte of the request was sent */
    const char *text; /* what happened; may be a buffer of the caller's */
};

/* The fault for an error code on a side. `text` is the core's own. */
struct mf_fault mf_fault_of(int rc, enum mf_side side);

/* How long to wait for an answer, ms: the least of what the caller's attachment (-1: none) and the rule (0: none)
 * say, else the limit. */
uint64_t mf_policy_timeout(int64_t attachment_ms, uint32_t rule_ms, const struct mf_limits *limits);
/* How long a peer rests after its n-th failed connect in a row (n from 1), ns. */
uint64_t mf_policy_backoff(uint32_t failures, const struct mf_limits *limits);
/* How long a frame of `body_len` bytes may take to arrive, ns: the limit plus its length at 64 KiB a second. */
uint64_t mf_policy_frame_wait(uint64_t body_len, const struct mf_limits *limits);
