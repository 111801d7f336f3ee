#include "engine/protocols.h"

#include "protocol/dubbo_up.h"
#include "protocol/h2_up.h"

enum { DUBBO, H2 }; /* their dialers' numbers, up to MF_DIALERS */

int mf_protocols_init(struct mf_protocols *protocols, struct mf_local *local, struct mf_calls *calls)
{
    int rc = mf_dubbo_share_init(&protocols->dubbo, &mf_dubbo_up_dialer, DUBBO, local, calls);
    return rc < 0 ? rc : mf_h2_share_init(&protocols->h2, &mf_h2_up_dialer, H2, local, calls);
}

int mf_protocols_mirror(struct mf_protocols *protocols, struct mf_copies *copies)
{
    int rc = mf_protocols_init(protocols, &copies->local, &copies->calls);
    copies->dialers[DUBBO] = &protocols->dubbo.dialer;
    copies->dialers[H2] = &protocols->h2.dialer;
    /* What fields were encoded to last is known by connection: no two of one worker may have one number. */
    protocols->h2.n_conns = UINT64_C(1) << 63;
    return rc;
}

void mf_protocols_dispose(struct mf_protocols *protocols)
{
    mf_h2_share_dispose(&protocols->h2);
    mf_dubbo_share_dispose(&protocols->dubbo);
}
