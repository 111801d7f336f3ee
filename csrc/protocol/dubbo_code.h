#pragma once
/* dubbo_code: outcomes as Dubbo statuses, and back. Pure. */
#include "call/outcome.h"

#include <stdint.h>

/* The status of the local answer. */
uint8_t mf_dubbo_code(enum mf_outcome outcome);
/* What a peer's status is. */
enum mf_outcome mf_dubbo_code_outcome(uint8_t status);
/* By outcome: the mf_stat_status_index that it is counted under. */
extern const uint8_t mf_dubbo_code_stats[MF_OUTCOMES];
