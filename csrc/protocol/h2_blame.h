#pragma once
/* h2_blame: whose content has used up the window of a connection to a provider, which does not read it. */
#include "protocol/h2_ask.h"

/* As mf_dialer_ops.blame. */
void mf_h2_blame(struct mf_link *link, const struct mf_caller *caller);
