#pragma once
/* dubbo_up: the provider's end of Dubbo2: its answers go to the calls that their ids name; heartbeats, READONLY. */
#include "protocol/dubbo_share.h"

/* A worker's Dubbo2: what mf_dubbo_share_init takes. */
extern const struct mf_dialer_ops mf_dubbo_up_dialer;
