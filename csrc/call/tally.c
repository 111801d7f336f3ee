#include "call/tally.h"

#include "base/mem.h"
#include "table/hash.h"

#include <errno.h>
#include <string.h>

enum { KINDS = 2 };

int mf_tally_init(struct mf_tally *tally, uint64_t max, uint64_t seed)
{
    *tally = (struct mf_tally){._max = (uint32_t)(max < MF_TALLY_MOST ? max : MF_TALLY_MOST), ._seed = seed};
    uint32_t size = 2;
    while (size < 2 * tally->_max)
        size *= 2;
    tally->_mask = size - 1;
    tally->_places = mf_zalloc((size + KINDS) * sizeof *tally->_places);
    return tally->_places ? 0 : -ENOMEM;
}

void mf_tally_dispose(struct mf_tally *tally)
{
    for (uint32_t i = 0; tally->_places && i <= tally->_mask + KINDS; i++)
        mf_free(mf_load_relaxed(&tally->_places[i]));
    mf_free(tally->_places);
    tally->_places = NULL;
}

static bool is(const struct mf_tallied *one, uint8_t kind, struct mf_slice first, struct mf_slice second)
{
    return one->kind == kind && mf_slice_eq(mf_tallied_first(one), first) && mf_slice_eq(mf_tallied_second(one), second);
}

static struct mf_tallied *add(_Atomic(struct mf_tallied *) *place, uint64_t hash, uint8_t kind, struct mf_slice first,
                              struct mf_slice second)
{
    struct mf_tallied *made = mf_zalloc(sizeof *made + first.len + second.len);
    if (!made)
        return NULL;
    made->_hash = hash;
    made->kind = kind;
    made->first_len = (uint16_t)first.len;
    made->second_len = (uint16_t)second.len;
    if (first.len)
        memcpy(made->names, first.ptr, first.len);
    if (second.len)
        memcpy(made->names + first.len, second.ptr, second.len);
    mf_store_release(place, made); /* pairs with the acquire in mf_tally_next */
    return made;
}

static struct mf_stat_shard *others(struct mf_tally *tally, uint8_t kind, bool *over)
{
    _Atomic(struct mf_tallied *) *place = &tally->_places[tally->_mask + 1 + kind];
    struct mf_tallied *one = mf_load_relaxed(place);
    *over = true;
    if (!one) {
        one = mf_zalloc(sizeof *one);
        if (!one)
            return NULL;
        one->kind = kind;
        one->other = true;
        mf_store_release(place, one); /* pairs with the acquire in mf_tally_next */
    }
    return &one->counts;
}

struct mf_stat_shard *mf_tally_find(struct mf_tally *tally, uint8_t kind, struct mf_slice first, struct mf_slice second,
                                    bool *over)
{
    *over = false;
    if (tally->_last && is(tally->_last, kind, first, second))
        return &tally->_last->counts;
    if (first.len > MF_TALLY_NAME || second.len > MF_TALLY_NAME)
        return others(tally, kind, over);
    uint64_t hash = mf_hash(second, mf_hash(first, tally->_seed + kind));
    uint32_t at = (uint32_t)hash & tally->_mask;
    struct mf_tallied *one;
    while ((one = mf_load_relaxed(&tally->_places[at]))) {
        if (one->_hash == hash && is(one, kind, first, second)) {
            tally->_last = one;
            return &one->counts;
        }
        at = (at + 1) & tally->_mask;
    }
    if (tally->_n == tally->_max || !(one = add(&tally->_places[at], hash, kind, first, second)))
        return others(tally, kind, over);
    tally->_n++;
    tally->_last = one;
    return &one->counts;
}

const struct mf_tallied *mf_tally_next(const struct mf_tally *tally, uint32_t *at)
{
    while (tally->_places && *at <= tally->_mask + KINDS) {
        struct mf_tallied *one = mf_load_acquire(&tally->_places[(*at)++]); /* pairs with the releases above */
        if (one)
            return one;
    }
    return NULL;
}
