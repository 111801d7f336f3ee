#include "call/tally.h"

#include "base/mem.h"
#include "table/hash.h"

#include <errno.h>
#include <string.h>

enum { KINDS = 2 };

int mf_tally_init(struct mf_tally *tally, uint64_t max, uint64_t each, uint64_t seed)
{
    *tally = (struct mf_tally){._max = (uint32_t)(max < MF_TALLY_MOST ? max : MF_TALLY_MOST), ._seed = seed,
                               ._each = (uint32_t)(each < MF_TALLY_MOST ? each : MF_TALLY_MOST)};
    uint32_t used = tally->_each ? 2 * tally->_max : tally->_max; /* a key may be its first name's only one */
    uint32_t size = 2;
    while (size < 2 * used)
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

struct key {
    uint64_t hash;
    struct mf_slice first, second;
    uint8_t kind;
    bool rest;
};

static struct key key_of(const struct mf_tally *tally, uint8_t kind, struct mf_slice first, struct mf_slice second, bool rest)
{
    uint64_t hash = mf_hash(second, mf_hash(first, tally->_seed + kind + (rest ? KINDS : 0)));
    return (struct key){hash, first, second, kind, rest};
}

static bool is(const struct mf_tallied *one, uint8_t kind, struct mf_slice first, struct mf_slice second, bool rest)
{
    return one->kind == kind && one->rest == rest && mf_slice_eq(mf_tallied_first(one), first) &&
           mf_slice_eq(mf_tallied_second(one), second);
}

/* Where it is, or would be. */
static _Atomic(struct mf_tallied *) *place_of(const struct mf_tally *tally, const struct key *key)
{
    uint32_t at = (uint32_t)key->hash & tally->_mask;
    const struct mf_tallied *one;
    while ((one = mf_load_relaxed(&tally->_places[at])) &&
           (one->_hash != key->hash || !is(one, key->kind, key->first, key->second, key->rest)))
        at = (at + 1) & tally->_mask;
    return &tally->_places[at];
}

static struct mf_tallied *add(_Atomic(struct mf_tallied *) *place, const struct key *key)
{
    struct mf_slice first = key->first, second = key->second;
    struct mf_tallied *made = mf_zalloc(sizeof *made + first.len + second.len);
    if (!made)
        return NULL;
    made->_hash = key->hash;
    made->kind = key->kind;
    made->rest = key->rest;
    made->first_len = (uint16_t)first.len;
    made->second_len = (uint16_t)second.len;
    if (first.len)
        memcpy(made->names, first.ptr, first.len);
    if (second.len)
        memcpy(made->names + first.len, second.ptr, second.len);
    mf_store_release(place, made); /* pairs with the acquire in mf_tally_next */
    return made;
}

static struct mf_stat_shard *others(struct mf_tally *tally, uint8_t kind, enum mf_tally_place *whose)
{
    _Atomic(struct mf_tallied *) *place = &tally->_places[tally->_mask + 1 + kind];
    struct mf_tallied *one = mf_load_relaxed(place);
    *whose = MF_TALLY_OTHERS;
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

/* The rest of a first name, which knows how many others it has. NULL: no memory. */
static struct mf_tallied *rest_of(struct mf_tally *tally, uint8_t kind, struct mf_slice first)
{
    struct key key = key_of(tally, kind, first, mf_slice_of(NULL, 0), true);
    _Atomic(struct mf_tallied *) *place = place_of(tally, &key);
    struct mf_tallied *one = mf_load_relaxed(place);
    if (one || tally->_n == tally->_max || tally->_n_rests == tally->_max)
        return one;
    one = add(place, &key);
    tally->_n_rests += one != NULL;
    return one;
}

struct mf_stat_shard *mf_tally_find(struct mf_tally *tally, uint8_t kind, struct mf_slice first, struct mf_slice second,
                                    enum mf_tally_place *whose)
{
    *whose = MF_TALLY_OWN;
    if (tally->_last && is(tally->_last, kind, first, second, false))
        return &tally->_last->counts;
    if (first.len > MF_TALLY_NAME || second.len > MF_TALLY_NAME)
        return others(tally, kind, whose);
    struct key key = key_of(tally, kind, first, second, false);
    struct mf_tallied *one = mf_load_relaxed(place_of(tally, &key));
    if (!one) {
        struct mf_tallied *rest = tally->_each ? rest_of(tally, kind, first) : NULL;
        if (rest && rest->_n == tally->_each) {
            *whose = MF_TALLY_REST;
            return &rest->counts;
        }
        if ((tally->_each && !rest) || tally->_n == tally->_max || !(one = add(place_of(tally, &key), &key)))
            return others(tally, kind, whose);
        tally->_n++;
        if (rest)
            rest->_n++;
    }
    tally->_last = one;
    return &one->counts;
}

const struct mf_tallied *mf_tally_next(const struct mf_tally *tally, uint32_t *at)
{
    while (tally->_places && *at <= tally->_mask + KINDS) {
        struct mf_tallied *one = mf_load_acquire(&tally->_places[(*at)++]); /* pairs with the releases above */
        if (one && (!one->rest || mf_load_relaxed(&one->counts.begun)))
            return one;
    }
    return NULL;
}
