#pragma once
/* h2_up: a connection to a provider, as its pool's link. */
#include "call/pool.h"

extern const struct mf_dialer_ops mf_h2_up_dialer;
