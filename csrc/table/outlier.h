#pragma once
/* outlier: which instances of a group rest because they answered errors, as Envoy's outlier detection has it.
 *
 * What is counted belongs to one group, not to the peer: an instance that two clusters list rests for the callers of the
 * one that ejected it. All workers count in the same words. Nothing is timed: an instance comes back at the first multiple
 * of `interval` after its time, and who asks compares. */
#include "base/atom.h"
#include "table/epoch.h"

#include <stdbool.h>

struct mf_peer;
struct mf_table;

enum { MF_OUTLIER_LEAST_CODE = 100, MF_OUTLIER_CODES = 500, MF_OUTLIER_CODE_WORDS = 8 };

struct mf_outlier_rules {
    uint32_t errors, gateway, local;      /* so many in a row eject; 0: none do */
    uint32_t max_percent;                 /* of the instances that may be out at once */
    uint32_t least_percent;               /* with fewer of them healthy all are used; 0: never */
    bool split;                           /* what failed on our side is counted apart, in `local` */
    bool own_codes;                       /* `codes` are the errors, and no others */
    uint64_t interval, base, longest;     /* ns, at least 1 each */
    uint64_t codes[MF_OUTLIER_CODE_WORDS]; /* bits, from MF_OUTLIER_LEAST_CODE on */
};

enum mf_outlier_reason { MF_OUTLIER_ERRORS, MF_OUTLIER_GATEWAY, MF_OUTLIER_LOCAL, MF_OUTLIER_REASONS };

/* An instance of the group. */
struct mf_ward {
    _Alignas(MF_CACHE_LINE) _Atomic(const struct mf_peer *) peer; /* NULL: it is no instance any more */
    mf_atom32 in_a_row[MF_OUTLIER_REASONS];
    mf_atom32 times;    /* it was ejected, less those that are forgiven */
    mf_atom64 until;    /* it is out before that; 0: it never was */
    mf_atom64 noticed;  /* the `until` whose end was seen */
    mf_atom64 ejections;
    uint32_t refs;      /* writer only: lists of members that have it */
    struct mf_epoch_entry entry;
};

struct mf_outlier_kept;
struct mf_wards;

struct mf_outlier {
    mf_atom64 latest; /* nobody is out from then on */
    _Atomic(const struct mf_outlier_rules *) rules; /* NULL: nothing is counted, and nobody is out */
    _Atomic(struct mf_wards *) wards;
    mf_atom64 panic;  /* spare.c's: when it looked, and as lowest bit what it found; 0: look again */
    mf_atom32 _busy;
    uint32_t _periods; /* writer only: how often rules came where there were none */
    mf_atom64 ejections[MF_OUTLIER_REASONS], overflows; /* overflows: max_percent forbade it */
};

/* What came of an answer. */
enum mf_outlier_news { MF_OUTLIER_NOTHING, MF_OUTLIER_EJECTED, MF_OUTLIER_OVERFLOW, MF_OUTLIER_BACK };
struct mf_outlier_word {
    enum mf_outlier_news news;
    enum mf_outlier_reason reason; /* EJECTED, OVERFLOW */
    uint64_t until;                /* EJECTED */
};

/* --- writer; begins zeroed */

/* A copy to be used later, or given back by mf_free. NULL: no memory. */
struct mf_outlier_kept *mf_outlier_keep(const struct mf_outlier_rules *rules);
/* They hold from here on, and are taken over: of what was counted by those before. NULL: none do, all are in, and who is told
 * some later begins anew. */
void mf_outlier_use(struct mf_table *table, struct mf_outlier *outlier, struct mf_outlier_kept *rules);
/* These are members, beside those that are, until they are dismissed. 0 or -ENOMEM. */
int mf_outlier_enlist(struct mf_table *table, struct mf_outlier *outlier, struct mf_peer *const *peers, uint32_t n);
void mf_outlier_dismiss(struct mf_outlier *outlier, struct mf_peer *const *peers, uint32_t n);
/* An instance as it is now; times are those of lookups. */
struct mf_ward_told {
    const struct mf_peer *peer;
    uint64_t until, ejections;
    uint32_t in_a_row[MF_OUTLIER_REASONS];
};
void mf_ward_tell(const struct mf_ward *ward, struct mf_ward_told *out);
/* No reader is left. */
void mf_outlier_dispose(struct mf_outlier *outlier);
void mf_outlier_each(const struct mf_outlier *outlier, void (*fn)(void *arg, const struct mf_ward *ward), void *arg);

/* --- any thread */

/* How a call to `peer` went, as HTTP's status has it; 0: nothing that is counted. `local`: on our side, the peer did not
 * say so. */
struct mf_outlier_word mf_outlier_count(struct mf_outlier *outlier, const struct mf_peer *peer, uint32_t code, bool local,
                                        uint64_t now);
/* How many of these are out, and whether one of them is. */
uint32_t mf_outlier_n_out(const struct mf_outlier *outlier, struct mf_peer *const *peers, uint32_t n, uint64_t now);
bool mf_outlier_out(const struct mf_outlier *outlier, const struct mf_peer *peer, uint64_t now);
/* Until when it is out; 0: it is not. */
uint64_t mf_outlier_until(const struct mf_outlier *outlier, const struct mf_peer *peer, uint64_t now);
/* So few of `n` are healthy that all are used. */
bool mf_outlier_panics(const struct mf_outlier *outlier, uint32_t healthy, uint32_t n);

/* inline */

/* Somebody may be out: what is asked first, for it is nearly always false. */
static inline bool mf_outlier_any(const struct mf_outlier *outlier, uint64_t now)
{
    return mf_load_relaxed(&outlier->latest) > now;
}

static inline void mf_outlier_set_code(struct mf_outlier_rules *rules, uint32_t code)
{
    uint32_t bit = code - MF_OUTLIER_LEAST_CODE;
    if (bit < MF_OUTLIER_CODES)
        rules->codes[bit / 64] |= UINT64_C(1) << (bit % 64);
}
