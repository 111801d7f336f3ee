#pragma once
/* answers: what a rule does with a call in place of an instance, or before it: lets it wait, lets it fail, answers it, sends
 * it elsewhere. Parts of mf_actions. */
#include "codec/change.h"

/* Of a rule's answer, for whoever reads it: HTTP's, gRPC's, Dubbo's. */
struct mf_statuses {
    uint16_t http;
    uint8_t grpc, dubbo;
};

enum { MF_FAULT_ALL = 1000000 }; /* chances are out of so many */

struct mf_faults {
    uint32_t delay_chance, delay_ms;
    uint32_t abort_chance;
    struct mf_statuses statuses; /* of an abort */
    struct mf_slice text;        /* ended by a NUL */
};

struct mf_direct {
    struct mf_statuses statuses;
    struct mf_slice body; /* of HTTP; its length alone for HEAD */
    struct mf_slice text; /* what gRPC and Dubbo are told; ended by a NUL */
};

struct mf_redirect {
    struct mf_statuses statuses;
    struct mf_change_redirect to;
};
