#include "engine/protocols.h"

#include "protocol/dubbo_up.h"

enum { DUBBO }; /* their dialers' numbers, up to MF_DIALERS */

int mf_protocols_init(struct mf_protocols *protocols, struct mf_local *local, struct mf_calls *calls)
{
    return mf_dubbo_share_init(&protocols->dubbo, &mf_dubbo_up_dialer, DUBBO, local, calls);
}

void mf_protocols_dispose(struct mf_protocols *protocols)
{
    mf_dubbo_share_dispose(&protocols->dubbo);
}
