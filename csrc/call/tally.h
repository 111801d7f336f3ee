#pragma once
/* tally: what one worker counts by names that requests bring: a bounded table, one place for all that is over it, and where
 * a first name has too many second ones, one for the rest of its own.
 *
 * The worker counts, any thread reads. What was found stays as long as the table. */
#include "base/slice.h"
#include "table/stat.h"

struct mf_tallied {
    struct mf_stat_shard counts;
    uint64_t _hash;
    uint8_t kind;              /* 0 or 1, the user's own: a part of the key */
    bool other;                /* all of its kind that found no place of their own */
    bool rest;                 /* those of its first name */
    uint32_t _n;               /* rest: of the first name there are so many that have one */
    uint16_t first_len, second_len;
    char names[];              /* both, one behind the other */
};

struct mf_tally {
    _Atomic(struct mf_tallied *) *_places; /* twice as many as may be used, and one of each kind for the others */
    uint32_t _mask, _max, _each, _n, _n_rests;
    uint64_t _seed;
    struct mf_tallied *_last;
};

enum { MF_TALLY_MOST = 65536, MF_TALLY_NAME = 255 };

/* Room for `max` keys, at most MF_TALLY_MOST, and `each` of one first name (0: any). 0 or -ENOMEM. */
int mf_tally_init(struct mf_tally *tally, uint64_t max, uint64_t each, uint64_t seed);
void mf_tally_dispose(struct mf_tally *tally);
/* Whose place it is: the key's own; its first name's rest, as that has `each`; others', as there are too many, a name is too
 * long, or for want of memory. */
enum mf_tally_place { MF_TALLY_OWN, MF_TALLY_REST, MF_TALLY_OTHERS };
/* Where a key is counted. NULL: not even a place for the others. */
struct mf_stat_shard *mf_tally_find(struct mf_tally *tally, uint8_t kind, struct mf_slice first, struct mf_slice second,
                                    enum mf_tally_place *place);
/* The next that was counted from `*at` on (at first 0), or NULL. Any thread. */
const struct mf_tallied *mf_tally_next(const struct mf_tally *tally, uint32_t *at);

/* inline */

static inline struct mf_slice mf_tallied_first(const struct mf_tallied *one)
{
    return mf_slice_of(one->names, one->first_len);
}

static inline struct mf_slice mf_tallied_second(const struct mf_tallied *one)
{
    return mf_slice_of(one->names + one->first_len, one->second_len);
}
