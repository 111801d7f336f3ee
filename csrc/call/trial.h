#pragma once
/* trial: which requests a peer has shown that it takes. A provider may end its connection over one that is too long for it,
 * or in a serialization it does not know, and every call on that connection would end with it: what is not proved yet goes
 * on a connection of its own. Pure. */
#include <stdbool.h>
#include <stdint.h>

struct mf_trial {
    uint32_t kinds; /* bits: proved, or the protocol says that every peer takes them */
    uint32_t len;   /* bytes: up to here */
};

enum { MF_TRIAL_KINDS = 32 };

/* Such a request has been answered, whatever the answer says: its connection outlived it. */
static inline void mf_trial_passed(struct mf_trial *trial, uint8_t kind, uint32_t len)
{
    trial->kinds |= UINT32_C(1) << (kind % MF_TRIAL_KINDS);
    if (len > trial->len)
        trial->len = len;
}

static inline bool mf_trial_proved(const struct mf_trial *trial, uint8_t kind, uint32_t len)
{
    return (trial->kinds >> (kind % MF_TRIAL_KINDS) & 1) && len <= trial->len;
}
