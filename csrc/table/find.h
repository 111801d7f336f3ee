#pragma once
/* find: the compiled service of a name: exact, else the longest pattern, else the one for any. Private. */
#include "table/published.h"

/* Acquires here pair with the releases in index.c and table.c: what is behind each pointer was written before. */

MF_ALWAYS_INLINE struct mf_compiled *find_pattern(const struct mf_table *table, struct mf_slice name)
{
    const struct mf_published *live = (const struct mf_published *)table;
    struct mf_patterns *patterns = mf_load_acquire(&live->patterns);
    for (uint32_t i = 0; i < patterns->n; i++) {
        struct mf_slot *slot = patterns->slots[i];
        if (slot->len > name.len)
            continue;
        const uint8_t *at = name.ptr;
        if (__builtin_expect(slot->suffix, 0)) {
            if (slot->len == name.len) /* it is for longer names */
                continue;
            at += name.len - slot->len;
        }
        if (!mf_slice_eq(mf_slice_of(slot->name, slot->len), mf_slice_of(at, slot->len)))
            continue;
        struct mf_compiled *service = mf_load_acquire(&slot->live);
        if (service)
            return service;
    }
    return mf_load_acquire(&live->any);
}

/* The next service under this hash, from the place `*at` on, which moves there; NULL: no more. Whether it is the one
 * that is looked for its name alone can tell. */
MF_ALWAYS_INLINE struct mf_compiled *find_hash(struct mf_index *index, uint64_t hash, uint64_t *at)
{
    for (;; ++*at) {
        struct mf_compiled *service = mf_load_acquire(&index->places[*at & index->mask].service);
        if (!service || mf_load_relaxed(&index->places[*at & index->mask].hash) == hash)
            return service;
    }
}

MF_ALWAYS_INLINE struct mf_compiled *find_exact(struct mf_index *index, struct mf_slice name, uint64_t hash)
{
    for (uint64_t at = hash;; at++) {
        struct mf_compiled *service = find_hash(index, hash, &at);
        if (!service || mf_slice_eq(mf_compiled_name(service), name))
            return service;
    }
}

MF_ALWAYS_INLINE struct mf_compiled *find_hashed(const struct mf_table *table, struct mf_slice name, uint64_t hash)
{
    const struct mf_published *live = (const struct mf_published *)table;
    for (;;) {
        /* Pairs with the release in changed (table.c): what was changed up to here is seen below. */
        uint64_t changes = mf_load_acquire(&live->changes);
        struct mf_compiled *service = find_exact(mf_load_acquire(&live->index), name, hash);
        if (service)
            return service;
        /* A second look at a table that may have changed since the first: a name that was published and a pattern that
         * was removed after it would both be missed. Every store of a place releases the count of the changes before it,
         * so who saw such a second change sees the first one's count here. */
        service = find_pattern(table, name);
        if (mf_load_relaxed(&live->changes) == changes)
            return service;
    }
}

MF_ALWAYS_INLINE struct mf_compiled *find(const struct mf_table *table, struct mf_slice name)
{
    return find_hashed(table, name, mf_hash(name, 0));
}
