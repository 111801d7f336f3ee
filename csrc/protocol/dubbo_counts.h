#pragma once
/* dubbo_counts: what is known of every call from its head alone, by serialization id. Read by other threads. */
#include "base/atom.h"

enum { MF_SERIALIZATIONS = 32 };

struct mf_serialization_counters {
    mf_atom64 calls, answers, bytes_up, bytes_down, ok, errors, latency_sum_ns;
};
