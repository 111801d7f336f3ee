#include "base/list.h"
#include "table/writer.h"

enum { FIRST_PLACES = 64 };

static struct mf_index *new_index(uint64_t places)
{
    struct mf_index *index = mf_zalloc_line(sizeof *index + places * sizeof *index->places);
    if (index)
        index->mask = places - 1;
    return index;
}

struct mf_compiled mf_index_gone = {.name_len = UINT32_MAX};

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
    struct mf_patterns *patterns = mf_load_relaxed(&table->live.patterns);
    for (uint32_t i = 0; patterns && i < patterns->n; i++)
        mf_free(patterns->slots[i]);
    mf_free(patterns);
    mf_free_line(mf_load_relaxed(&table->live.index));
}

static bool is_named(const struct mf_slot *slot, struct mf_slice name, bool suffix)
{
    return slot->suffix == suffix && mf_slice_eq(mf_slice_of(slot->name, slot->len), name);
}

static bool is_dead(struct mf_slot *slot)
{
    return slot->pins == 0 && !mf_load_relaxed(&slot->live);
}

static struct mf_slot *new_slot(struct mf_slice name, bool suffix)
{
    struct mf_slot *slot = mf_zalloc(sizeof *slot + name.len);
    if (!slot)
        return NULL;
    slot->len = (uint32_t)name.len;
    slot->suffix = suffix;
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
    mf_free_line(MF_CONTAINER(entry, struct mf_index, entry));
}

static void free_patterns(struct mf_epoch_entry *entry)
{
    mf_free(MF_CONTAINER(entry, struct mf_patterns, entry));
}

/* Relaxed loads in this file: the writer's own stores. */

enum { NOWHERE = -1 };

/* Where `name` is, or NOWHERE; then `*room` is a place for it: one of a removed service on the way, or the free end. */
static int64_t place_of(struct mf_index *index, struct mf_slice name, uint64_t hash, uint64_t *room)
{
    bool found_room = false;
    for (uint64_t at = hash & index->mask;; at = (at + 1) & index->mask) {
        struct mf_compiled *service = mf_load_relaxed(&index->places[at].service);
        if ((!service || service == &mf_index_gone) && !found_room) {
            found_room = true;
            *room = at;
        }
        if (!service)
            return NOWHERE;
        if (mf_slice_eq(mf_compiled_name(service), name))
            return (int64_t)at;
    }
}

static void put(struct mf_index *index, uint64_t at, uint64_t hash, struct mf_compiled *service)
{
    /* Where a removed one was, a reader may see its hash with the new service or the other way round: either way it
     * passes on or compares names, and the removed one is nobody's. */
    mf_store_relaxed(&index->places[at].hash, hash);
    /* Pairs with the acquire in find_exact (find.h): who sees the service sees all that was compiled. */
    mf_store_release(&index->places[at].service, service);
}

/* A new index without the removed, at most a quarter full, so that it is not rebuilt again soon. */
static int rebuild(struct mf_table *table)
{
    struct mf_index *old = mf_load_relaxed(&table->live.index);
    uint64_t alive = 0, places = FIRST_PLACES;
    for (uint64_t i = 0; i <= old->mask; i++) {
        struct mf_compiled *service = mf_load_relaxed(&old->places[i].service);
        alive += service && service != &mf_index_gone;
    }
    while (places < (alive + table->n_reserved + 1) * 4)
        places *= 2;
    struct mf_index *index = new_index(places);
    if (!index)
        return -ENOMEM;
    for (uint64_t i = 0; i <= old->mask; i++) {
        struct mf_compiled *service = mf_load_relaxed(&old->places[i].service);
        if (!service || service == &mf_index_gone)
            continue;
        uint64_t hash = mf_load_relaxed(&old->places[i].hash), at = hash & index->mask;
        while (mf_load_relaxed(&index->places[at].service))
            at = (at + 1) & index->mask;
        put(index, at, hash, service);
    }
    table->n_places = alive;
    /* Pairs with the acquire in find_exact (find.h). */
    mf_store_release(&table->live.index, index);
    mf_epoch_retire(&table->epoch, &old->entry, free_index);
    return 0;
}

int mf_index_reserve(struct mf_table *table)
{
    struct mf_index *index = mf_load_relaxed(&table->live.index);
    /* At most half full, so that a search for what is not there ends soon. */
    if ((table->n_places + table->n_reserved + 1) * 2 > index->mask && rebuild(table) != 0)
        return -ENOMEM;
    table->n_reserved++;
    return 0;
}

void mf_index_unreserve(struct mf_table *table)
{
    table->n_reserved--;
}

struct mf_compiled *mf_index_find(struct mf_table *table, struct mf_slice name)
{
    struct mf_index *index = mf_load_relaxed(&table->live.index);
    uint64_t room;
    int64_t at = place_of(index, name, mf_hash(name, 0), &room);
    return at == NOWHERE ? NULL : mf_load_relaxed(&index->places[at].service);
}

struct mf_compiled *mf_index_put(struct mf_table *table, struct mf_compiled *service)
{
    struct mf_index *index = mf_load_relaxed(&table->live.index);
    struct mf_slice name = mf_compiled_name(service);
    uint64_t hash = mf_hash(name, 0), room = 0;
    int64_t at = place_of(index, name, hash, &room);
    struct mf_compiled *old = at == NOWHERE ? NULL : mf_load_relaxed(&index->places[at].service);
    if (at == NOWHERE) {
        table->n_places += !mf_load_relaxed(&index->places[room].service);
        at = (int64_t)room;
    }
    put(index, (uint64_t)at, hash, service);
    return old;
}

struct mf_compiled *mf_index_take(struct mf_table *table, struct mf_slice name)
{
    struct mf_index *index = mf_load_relaxed(&table->live.index);
    uint64_t room;
    int64_t at = place_of(index, name, mf_hash(name, 0), &room);
    if (at == NOWHERE)
        return NULL;
    struct mf_compiled *old = mf_load_relaxed(&index->places[at].service);
    /* Pairs with the acquire in find_exact (find.h): who sees it gone sees the changes before. */
    mf_store_release(&index->places[at].service, &mf_index_gone);
    return old;
}

/* Whether the one comes before the other. */
static bool precedes(const struct mf_slot *slot, const struct mf_slot *other)
{
    return slot->len > other->len || (slot->len == other->len && slot->suffix <= other->suffix);
}

static int reserve_slot(struct mf_table *table, struct mf_slice name, bool suffix, struct mf_slot **out)
{
    struct mf_patterns *old = mf_load_relaxed(&table->live.patterns);
    for (uint32_t i = 0; i < old->n; i++) {
        if (is_named(old->slots[i], name, suffix)) {
            *out = old->slots[i];
            return 0;
        }
    }
    struct mf_patterns *patterns = mf_zalloc(sizeof *patterns + (old->n + 1) * sizeof *patterns->slots);
    struct mf_slot *slot = patterns ? new_slot(name, suffix) : NULL;
    if (!slot) {
        mf_free(patterns);
        return -ENOMEM;
    }
    uint32_t from = 0;
    for (; from < old->n && precedes(old->slots[from], slot); from++)
        if (!is_dead(old->slots[from]))
            patterns->slots[patterns->n++] = old->slots[from];
    patterns->slots[patterns->n++] = slot;
    for (; from < old->n; from++)
        if (!is_dead(old->slots[from]))
            patterns->slots[patterns->n++] = old->slots[from];
    /* Pairs with the acquire in find_pattern (find.h). */
    mf_store_release(&table->live.patterns, patterns);
    for (uint32_t i = 0; i < old->n; i++)
        if (is_dead(old->slots[i]))
            mf_epoch_retire(&table->epoch, &old->slots[i]->entry, free_slot);
    mf_epoch_retire(&table->epoch, &old->entry, free_patterns);
    *out = slot;
    return 0;
}

int mf_index_reserve_slot(struct mf_table *table, struct mf_slice name, bool suffix, struct mf_slot **out)
{
    int rc = reserve_slot(table, name, suffix, out);
    if (rc == 0)
        (*out)->pins++;
    return rc;
}

struct mf_slot *mf_index_find_slot(struct mf_table *table, struct mf_slice name, bool suffix)
{
    struct mf_patterns *patterns = mf_load_relaxed(&table->live.patterns);
    for (uint32_t i = 0; i < patterns->n; i++)
        if (is_named(patterns->slots[i], name, suffix))
            return patterns->slots[i];
    return NULL;
}
