#pragma once
/* dubbo_change: a request's frame as a rule changes its attachments (codec/change.h). */
#include "codec/change.h"
#include "codec/dubbo.h"
#include "loop/loop.h"

struct mf_dubbo_changing {
    const struct mf_dubbo_head *head; /* as it came */
    uint64_t id;                      /* as it goes on */
    struct mf_slice body;
    const struct mf_dubbo_request *said;
    const struct mf_dubbo_limits *limits;
    const struct mf_pair *stamps;     /* which are put besides, first */
    uint32_t n_stamps;
};

/* The whole frame, `*len` bytes of the block, whose one reference is the caller's. NULL: `*rc`: -ENOMEM; MF_EDUBBO_STAMP: it
 * has no attachments that could be changed. */
struct mf_block *mf_dubbo_change(struct mf_loop *loop, const struct mf_dubbo_changing *from,
                                 const struct mf_change_list *change, size_t *len, int *rc);
