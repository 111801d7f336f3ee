#include "base/list.h"
#include "table/writer.h"

enum { FIRST_PLACES = 64 };

static struct mf_index *new_index(uint64_t places)
{
    struct mf_index *index = mf_zalloc(sizeof *index + places * sizeof *index->places);
    if (index)
        index->mask = places - 1;
    return index;
}

int mf_index_init(struct mf_table *table)
{
    struct mf_index *index = new_index(FIRST_PLACES);
    struct mf_patterns *patterns = mf_zalloc(sizeof *patterns);
    /* Relaxed: the table is handed to the readers later. */
    mf_store_relaxed(&table->live.index, index);
    mf_store_relaxed(&table->live.patterns, patterns);
    return index && patterns ? 0 : -ENOMEM;
}

void mf_index_dispose(struct mf_table *table)
{
    /* Relaxed: no reader is left. */
    struct mf_index *index = mf_load_relaxed(&table->live.index);
    for (uint64_t i = 0; index && i <= index->mask; i++)
        mf_free(mf_load_relaxed(&index->places[i].slot));
    struct mf_patterns *patterns = mf_load_relaxed(&table->live.patterns);
    for (uint32_t i = 0; patterns && i < patterns->n; i++)
        mf_free(patterns->slots[i]);
    mf_free(index);
    mf_free(patterns);
}

static bool is_named(const struct mf_slot *slot, struct mf_slice name)
{
    return mf_slice_eq(mf_slice_of(slot->name, slot->len), name);
}

static bool is_dead(struct mf_slot *slot)
{
    return slot->pins == 0 && !mf_load_relaxed(&slot->live);
}

static struct mf_slot *new_slot(struct mf_slice name)
{
    struct mf_slot *slot = mf_zalloc(sizeof *slot + name.len);
    if (!slot)
        return NULL;
    slot->len = (uint32_t)name.len;
    if (name.len)
        memcpy(slot->name, name.ptr, name.len);
    return slot;
}

static void free_slot(struct mf_epoch_entry *entry)
{
    mf_free(MF_CONTAINER(entry, struct mf_slot, entry));
}

static void free_index(struct mf_epoch_entry *entry)
{
    mf_free(MF_CONTAINER(entry, struct mf_index, entry));
}

static void free_patterns(struct mf_epoch_entry *entry)
{
    mf_free(MF_CONTAINER(entry, struct mf_patterns, entry));
}

/* Relaxed loads in this file: the writer's own stores. */

static uint64_t place_of(struct mf_index *index, struct mf_slice name, uint64_t hash)
{
    uint64_t at = hash & index->mask;
    for (;; at = (at + 1) & index->mask) {
        struct mf_slot *slot = mf_load_relaxed(&index->places[at].slot);
        if (!slot || (mf_load_relaxed(&index->places[at].hash) == hash && is_named(slot, name)))
            return at;
    }
}

static void put(struct mf_index *index, uint64_t at, uint64_t hash, struct mf_slot *slot)
{
    mf_store_relaxed(&index->places[at].hash, hash);
    /* Pairs with the acquire in find (route.c): who sees the slot sees its name and this place's hash. */
    mf_store_release(&index->places[at].slot, slot);
}

/* A new index without the dead, at most a quarter full, so that it is not rebuilt again soon. */
static int rebuild(struct mf_table *table)
{
    struct mf_index *old = mf_load_relaxed(&table->live.index);
    uint64_t alive = 0, places = FIRST_PLACES;
    for (uint64_t i = 0; i <= old->mask; i++) {
        struct mf_slot *slot = mf_load_relaxed(&old->places[i].slot);
        alive += slot && !is_dead(slot);
    }
    while (places < alive * 4)
        places *= 2;
    struct mf_index *index = new_index(places);
    if (!index)
        return -ENOMEM;
    for (uint64_t i = 0; i <= old->mask; i++) {
        struct mf_slot *slot = mf_load_relaxed(&old->places[i].slot);
        if (!slot || is_dead(slot))
            continue;
        uint64_t hash = mf_load_relaxed(&old->places[i].hash);
        put(index, place_of(index, mf_slice_of(slot->name, slot->len), hash), hash, slot);
    }
    /* Pairs with the acquire in find (route.c). */
    mf_store_release(&table->live.index, index);
    for (uint64_t i = 0; i <= old->mask; i++) {
        struct mf_slot *slot = mf_load_relaxed(&old->places[i].slot);
        if (slot && is_dead(slot))
            mf_epoch_retire(&table->epoch, &slot->entry, free_slot);
    }
    mf_epoch_retire(&table->epoch, &old->entry, free_index);
    table->n_slots = alive;
    return 0;
}

static int reserve_exact(struct mf_table *table, struct mf_slice name, struct mf_slot **out)
{
    uint64_t hash = mf_hash(name, 0);
    struct mf_index *index = mf_load_relaxed(&table->live.index);
    uint64_t at = place_of(index, name, hash);
    *out = mf_load_relaxed(&index->places[at].slot);
    if (*out)
        return 0;
    if ((table->n_slots + 1) * 2 > index->mask) {
        if (rebuild(table) != 0)
            return -ENOMEM;
        index = mf_load_relaxed(&table->live.index);
        at = place_of(index, name, hash);
    }
    *out = new_slot(name);
    if (!*out)
        return -ENOMEM;
    put(index, at, hash, *out);
    table->n_slots++;
    return 0;
}

static int reserve_prefix(struct mf_table *table, struct mf_slice name, struct mf_slot **out)
{
    struct mf_patterns *old = mf_load_relaxed(&table->live.patterns);
    for (uint32_t i = 0; i < old->n; i++) {
        if (is_named(old->slots[i], name)) {
            *out = old->slots[i];
            return 0;
        }
    }
    struct mf_patterns *patterns = mf_zalloc(sizeof *patterns + (old->n + 1) * sizeof *patterns->slots);
    struct mf_slot *slot = patterns ? new_slot(name) : NULL;
    if (!slot) {
        mf_free(patterns);
        return -ENOMEM;
    }
    uint32_t from = 0;
    for (; from < old->n && old->slots[from]->len >= slot->len; from++)
        if (!is_dead(old->slots[from]))
            patterns->slots[patterns->n++] = old->slots[from];
    patterns->slots[patterns->n++] = slot;
    for (; from < old->n; from++)
        if (!is_dead(old->slots[from]))
            patterns->slots[patterns->n++] = old->slots[from];
    /* Pairs with the acquire in find (route.c). */
    mf_store_release(&table->live.patterns, patterns);
    for (uint32_t i = 0; i < old->n; i++)
        if (is_dead(old->slots[i]))
            mf_epoch_retire(&table->epoch, &old->slots[i]->entry, free_slot);
    mf_epoch_retire(&table->epoch, &old->entry, free_patterns);
    *out = slot;
    return 0;
}

int mf_index_reserve(struct mf_table *table, struct mf_slice name, bool prefix, struct mf_slot **out)
{
    int rc = prefix ? reserve_prefix(table, name, out) : reserve_exact(table, name, out);
    if (rc == 0)
        (*out)->pins++;
    return rc;
}

struct mf_slot *mf_index_find(struct mf_table *table, struct mf_slice name, bool prefix)
{
    if (!prefix) {
        struct mf_index *index = mf_load_relaxed(&table->live.index);
        return mf_load_relaxed(&index->places[place_of(index, name, mf_hash(name, 0))].slot);
    }
    struct mf_patterns *patterns = mf_load_relaxed(&table->live.patterns);
    for (uint32_t i = 0; i < patterns->n; i++)
        if (is_named(patterns->slots[i], name))
            return patterns->slots[i];
    return NULL;
}
