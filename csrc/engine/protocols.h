#pragma once
/* protocols: the protocols that a worker speaks to providers, and what each of them shares. */
#include "call/copies.h"
#include "protocol/dubbo_share.h"
#include "protocol/h2_share.h"

struct mf_protocols {
    struct mf_dubbo_share dubbo;
    struct mf_h2_share h2;
};

/* 0 or -ENOMEM. */
int mf_protocols_init(struct mf_protocols *protocols, struct mf_local *local, struct mf_calls *calls);
/* For copies of calls that the worker mirrors, beside those for the calls themselves. 0 or -ENOMEM. */
int mf_protocols_mirror(struct mf_protocols *protocols, struct mf_copies *copies);
void mf_protocols_dispose(struct mf_protocols *protocols);
