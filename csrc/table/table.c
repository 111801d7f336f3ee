#include "base/err.h"
#include "table/dfa.h"
#include "table/guard.h"
#include "table/service.h"

_Static_assert(offsetof(struct mf_table, live) == 0, "readers find their part at the front");

static struct mf_labels no_labels; /* the plan before the first one; never written, never retired */

int mf_table_new(struct mf_table **out)
{
    struct mf_table *table = mf_zalloc(sizeof *table);
    if (!table)
        return -ENOMEM;
    mf_epoch_init(&table->epoch);
    mf_slab_init(&table->slab);
    /* Relaxed: the table is handed to the readers later. */
    mf_store_relaxed(&table->live.labels, &no_labels);
    if (mf_index_init(table) != 0 || mf_peers_init(&table->peers) != 0 || mf_stats_init(&table->stats) != 0) {
        mf_table_free(table);
        return -ENOMEM;
    }
    *out = table;
    return 0;
}

/* After each change of a place: see find_hashed (find.h). */
static void changed(struct mf_table *table)
{
    mf_store_release(&table->live.changes, mf_load_relaxed(&table->live.changes) + 1); /* our own store */
}

static void retire(struct mf_table *table, struct mf_compiled *old)
{
    mf_epoch_retire(&table->epoch, &old->entry, mf_compiled_retired);
}

static void free_labels(struct mf_epoch_entry *entry)
{
    struct mf_labels *plan = (struct mf_labels *)entry; /* its first field */
    for (uint32_t i = 0; i < plan->n_labels; i++)
        mf_label_give(plan->_table, plan->labels[i].index);
    mf_free(plan);
}

void mf_table_free(struct mf_table *table)
{
    /* Relaxed: no reader is left. */
    struct mf_index *index = mf_load_relaxed(&table->live.index);
    for (uint64_t i = 0; index && i <= index->mask; i++) {
        struct mf_compiled *old = mf_load_relaxed(&index->places[i].service);
        if (old && old != &mf_index_gone)
            retire(table, old);
    }
    struct mf_patterns *patterns = mf_load_relaxed(&table->live.patterns);
    for (uint32_t i = 0; patterns && i < patterns->n; i++) {
        struct mf_compiled *old = mf_load_relaxed(&patterns->slots[i]->live);
        if (old)
            retire(table, old);
    }
    struct mf_compiled *any = mf_load_relaxed(&table->live.any);
    if (any)
        retire(table, any);
    mf_epoch_dispose(&table->epoch);
    mf_index_dispose(table);
    mf_stats_dispose(&table->stats);
    mf_guards_dispose(table);
    mf_peers_dispose(&table->peers);
    struct mf_labels *labels = mf_load_relaxed(&table->live.labels);
    if (labels != &no_labels)
        mf_free(labels);
    for (uint32_t i = 0; i < table->n_labels; i++)
        mf_free((void *)table->labels[i].text.ptr);
    mf_free(table);
}

struct mf_epoch *mf_table_epoch(struct mf_table *table)
{
    return &table->epoch;
}

static int reserve(struct mf_table *table, struct mf_service *service)
{
    bool suffix = service->pattern == MF_SERVICE_SUFFIX;
    if ((suffix || service->pattern == MF_SERVICE_PREFIX) && !service->slot)
        return mf_index_reserve_slot(table, service->name, suffix, &service->slot);
    if (service->pattern == MF_SERVICE_EXACT && !service->reserved) {
        int rc = mf_index_reserve(table);
        service->reserved = rc == 0;
        return rc;
    }
    return 0;
}

/* The place of a pattern; NULL when there is none. */
static _Atomic(struct mf_compiled *) *pattern_place(struct mf_table *table, struct mf_slot *slot,
                                                    enum mf_service_pattern pattern)
{
    if (pattern == MF_SERVICE_ANY)
        return &table->live.any;
    return slot ? &slot->live : NULL;
}

/* The one that `service` will replace, or NULL. */
static const struct mf_compiled *published(struct mf_table *table, const struct mf_service *service)
{
    if (service->pattern == MF_SERVICE_EXACT)
        return mf_index_find(table, service->name);
    return mf_load_relaxed(pattern_place(table, service->slot, service->pattern)); /* our own store */
}

int mf_table_prepare(struct mf_table *table, struct mf_service *service)
{
    if (service->compiled)
        return 0;
    int rc = mf_compile_check(service);
    if (rc == 0)
        rc = reserve(table, service);
    if (rc != 0)
        return rc;
    service->compiled = mf_compile(table, service, published(table, service));
    if (!service->compiled)
        return -ENOMEM;
    mf_service_drop_rules(table, service);
    return 0;
}

int mf_table_publish(struct mf_table *table, struct mf_service *service)
{
    struct mf_compiled *old;
    int rc = mf_table_prepare(table, service);
    if (rc != 0)
        return rc;
    if (service->pattern == MF_SERVICE_EXACT) {
        old = mf_index_put(table, service->compiled);
    } else {
        _Atomic(struct mf_compiled *) *place = pattern_place(table, service->slot, service->pattern);
        old = mf_load_relaxed(place); /* our own store */
        /* Pairs with the acquire in find_pattern (find.h). */
        mf_store_release(place, service->compiled);
    }
    changed(table);
    mf_plans_hold(table);
    service->compiled = NULL;
    if (old)
        retire(table, old);
    else
        table->n_services++;
    mf_service_free(table, service);
    return 0;
}

static struct mf_compiled *take_pattern(struct mf_table *table, struct mf_slice name, enum mf_service_pattern pattern)
{
    struct mf_slot *slot = mf_index_find_slot(table, name, pattern == MF_SERVICE_SUFFIX);
    _Atomic(struct mf_compiled *) *place = pattern_place(table, slot, pattern);
    struct mf_compiled *old = place ? mf_load_relaxed(place) : NULL; /* our own store */
    if (old)
        /* Pairs with the acquire in find_pattern (find.h): who sees it gone sees the changes before. */
        mf_store_release(place, NULL);
    return old;
}

int mf_table_remove(struct mf_table *table, struct mf_slice name, enum mf_service_pattern pattern)
{
    struct mf_compiled *old =
        pattern == MF_SERVICE_EXACT ? mf_index_take(table, name) : take_pattern(table, name, pattern);
    if (!old)
        return MF_EROUTE_SERVICE;
    changed(table);
    retire(table, old);
    table->n_services--;
    return 0;
}

static size_t texts_of(const struct mf_label_source *sources, uint32_t n)
{
    size_t size = 0;
    for (uint32_t i = 0; i < n; i++)
        size += sources[i].text.len;
    return size;
}

int mf_table_publish_labels(struct mf_table *table, const struct mf_labels *plan)
{
    if (plan->n_labels > MF_PLAN_LABELS || plan->n_traces > MF_LABEL_SOURCES)
        return MF_ELIMIT;
    size_t size = sizeof *plan + texts_of(plan->traces, plan->n_traces);
    for (uint32_t i = 0; i < plan->n_labels; i++) {
        const struct mf_label *label = &plan->labels[i];
        if (label->n_sources > MF_LABEL_SOURCES || label->name.len > MF_LABEL_TEXT)
            return MF_ELIMIT;
        for (uint32_t j = 0; j < label->n_sources; j++)
            if (label->sources[j].kind != MF_LABEL_CONTEXT && label->sources[j].text.len > MF_LABEL_TEXT)
                return MF_ELIMIT;
        if (label->hosts.len && mf_dfa_check(label->hosts) < 0)
            return MF_ELIMIT;
        size += label->name.len + label->hosts.len + texts_of(label->sources, label->n_sources);
    }
    struct mf_labels *copy = mf_alloc(size);
    if (!copy)
        return -ENOMEM;
    *copy = *plan;
    copy->_table = table;
    uint8_t *at = (uint8_t *)(copy + 1);
    for (uint32_t i = 0; i < plan->n_labels; i++) {
        struct mf_label *label = &copy->labels[i];
        int index = mf_label_intern(table, label->name);
        if (index < 0) {
            copy->n_labels = i;
            free_labels(&copy->_entry);
            return index;
        }
        label->index = (uint32_t)index;
        label->id = table->labels[index].id;
        label->name = mf_put_text(&at, label->name);
        label->hosts = mf_put_text(&at, label->hosts);
        label->own_first = label->n_sources && label->sources[0].kind == MF_LABEL_HEADER &&
                           mf_slice_eq(label->sources[0].text, label->name);
        for (uint32_t j = 0; j < label->n_sources; j++)
            label->sources[j].text = mf_put_text(&at, label->sources[j].text);
    }
    for (uint32_t j = 0; j < plan->n_traces; j++)
        copy->traces[j].text = mf_put_text(&at, copy->traces[j].text);
    copy->n_names = table->n_labels;
    struct mf_labels *old = mf_load_relaxed(&table->live.labels); /* our own store */
    /* Pairs with the acquire in mf_table_labels. */
    mf_store_release(&table->live.labels, copy);
    if (old != &no_labels)
        mf_epoch_retire(&table->epoch, &old->_entry, free_labels);
    return 0;
}

const struct mf_labels *mf_table_labels(const struct mf_table *table)
{
    /* Pairs with the release in mf_table_publish_labels. */
    return mf_load_acquire(&table->live.labels);
}

size_t mf_table_reclaim(struct mf_table *table)
{
    mf_epoch_reclaim(&table->epoch);
    mf_peers_reclaim(table);
    size_t busy = mf_stats_reclaim(table);
    mf_guards_reclaim(table);
    /* Once more: with no reader online, what was just let go is free at once. */
    return busy + mf_epoch_reclaim(&table->epoch);
}

size_t mf_table_n_services(const struct mf_table *table)
{
    return table->n_services;
}
