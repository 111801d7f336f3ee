#pragma once
/* out: text put together in room of a fixed size. What does not fit is counted but not written, so that one look at the
 * end tells whether all of it is there. */
#include "base/err.h"
#include "base/slice.h"

struct mf_out {
    uint8_t *to;
    size_t room, len;
};

/* inline */

static inline void mf_out_put(struct mf_out *out, struct mf_slice text)
{
    if (text.len && out->len + text.len <= out->room)
        memcpy(out->to + out->len, text.ptr, text.len);
    out->len += text.len;
}

/* How much there is, or MF_ELIMIT. */
static inline long mf_out_end(const struct mf_out *out)
{
    return out->len <= out->room ? (long)out->len : MF_ELIMIT;
}
