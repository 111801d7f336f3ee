#pragma once
/* h2_memo: blocks of fields that come again byte for byte while the table of fields is as it was: what they said is
 * recalled. A block is kept when it was missed twice, so that those that differ each time cost a hash. */
#include "protocol/h2_conn.h"

enum { MF_H2_MEMOS = 4, MF_H2_MEMO_FIELDS = 64, MF_H2_MEMO_BYTES = 4096 };

struct mf_h2_memo {
    void *note;                 /* the role's own */
    bool trailers;
    struct mf_h2_head_in head;  /* `ended` is of its last use; all that it points to lies behind, in static storage or in the table of fields */
};

struct mf_h2_memos {
    struct mf_h2_memo *of[MF_H2_MEMOS];
    uint64_t missed[MF_H2_MEMOS];
    uint32_t next;
};

/* `trailers`: it is read as such. NULL: not known. */
struct mf_h2_memo *mf_h2_memo_find(const struct mf_h2_memos *memos, struct mf_slice block, uint64_t generation,
                                   bool trailers);
/* True when this very block was missed before. */
bool mf_h2_memo_worth(struct mf_h2_memos *memos, struct mf_slice block, uint64_t generation);
/* Keeps what was read, in place of another, which is let go of. `scratch`: where the decoder may have put texts. NULL: too
 * long, or no memory. */
struct mf_h2_memo *mf_h2_memo_keep(struct mf_h2_conn *h2, struct mf_h2_memos *memos, const struct mf_h2_head_in *head,
                                   struct mf_slice scratch);
/* The table of fields moves, or goes. */
void mf_h2_memo_drop(struct mf_h2_conn *h2, struct mf_h2_memos *memos);
