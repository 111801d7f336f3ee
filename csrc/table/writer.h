#pragma once
/* writer: what the writer's files share: the table itself, and the steps of build, publish, reclaim. Private. */
#include "base/mem.h"
#include "base/slab.h"
#include "table/published.h"
#include "table/policy.h"

#include <errno.h>

struct mf_peers { /* peers by address and by id */
    struct mf_peer **buckets, **by_id;
    uint32_t *free_ids; /* a stack, as roomy as by_id */
    uint32_t n_buckets, n, ids, ids_room, n_free;
};

struct mf_stats { /* stats by service, host and subset */
    struct mf_stat **buckets;
    struct mf_stat *dying;
    struct mf_stat_names *last; /* those of the one made last: mostly the next has the same */
    size_t n_buckets, n;
};

struct mf_name { /* of a label */
    struct mf_slice text;
    uint32_t refs; /* plans, services, groups by its values; 0: free */
    uint32_t id;
};

struct mf_table {
    struct mf_published live;
    char _pad[MF_CACHE_LINE]; /* what readers read is apart from what the writer writes */
    struct mf_epoch epoch;
    size_t n_services;
    size_t n_places;   /* of the index that are not free */
    size_t n_reserved; /* for services that are prepared */
    struct mf_peers peers;
    struct mf_stats stats;
    struct mf_plan *plans; /* that do not hold yet, the newest first */
    uint32_t n_held;       /* how often there were any to hold */
    struct mf_guard **guards; /* by host and subset; NULL: none was ever made */
    size_t n_guards, n_guard_buckets;
    struct mf_slab slab; /* of a large table's services, groups and peers */
    struct mf_name labels[MF_LABELS];
    uint32_t n_labels;  /* never fewer: readers clear as many */
    uint32_t label_ids; /* given so far */
    char _pad2[MF_CACHE_LINE];
    mf_atom64 health; /* changes of who may be chosen, so far. Counted by any thread */
    char _pad3[MF_CACHE_LINE];
    mf_atom64 dropped_peers; /* bit id % 64: some such peer has lost its last reference. Set by any thread */
};

struct mf_instance {
    struct mf_peer *peers[MF_FAMILIES]; /* NULL: it takes no such calls; mostly one for both */
    uint32_t weight, n_labels;
    struct mf_pair *labels; /* with their texts, one allocation */
};

struct mf_subset {
    struct mf_pair *labels; /* as in mf_instance */
    uint32_t n_labels, n_members;
    uint32_t *members; /* numbers of instances, whatever their labels; NULL: by labels */
    char *name;
    struct mf_policy *policy; /* its own, whole; or NULL */
    struct mf_group *group; /* made by seal */
};

struct mf_cluster {
    uint32_t refs;
    bool sealed;
    char *host;
    struct mf_policy *policy; /* NULL: none */
    struct mf_instance *instances;
    struct mf_subset *subsets;
    uint32_t n_instances, n_subsets, instances_room, subsets_room;
    struct mf_group *all;
    struct mf_by_label *by_label;
};

/* cluster.c */
struct mf_group *mf_cluster_find_subset(const struct mf_cluster *cluster, struct mf_slice name);
/* Made when first asked for; with a reference for the caller. NULL: no memory. */
struct mf_by_label *mf_cluster_by_label(struct mf_table *table, struct mf_cluster *cluster, uint32_t label);
void mf_cluster_drop_label(struct mf_table *table, struct mf_cluster *cluster, struct mf_by_label *by);

/* policy.c: with all that it points at. NULL: no memory */
struct mf_policy *mf_policy_copy(const struct mf_policy *policy);
void mf_policy_free(struct mf_policy *policy); /* NULL: nothing */

/* plan.c: `members` are the group's, in its order. NULL: no memory */
struct mf_plan *mf_plan_new(struct mf_table *table, const struct mf_cluster *cluster, const struct mf_policy *policy,
                            const struct mf_group *group, int family, const struct mf_instance *const *members);
void mf_plan_free(struct mf_plan *plan); /* NULL: nothing */
/* Something is published: what plans say of guards that they share with earlier ones holds from here on; of several that
 * wait, what the newest says. */
void mf_plans_hold(struct mf_table *table);

/* label.c: a set of numbers, as bits, with a reference for each */
void mf_label_take_all(struct mf_table *table, uint64_t labels);
void mf_label_give_all(struct mf_table *table, uint64_t labels);

/* compile.c */
void mf_compiled_retired(struct mf_epoch_entry *entry); /* the last reader is gone */

/* index.c */
int mf_index_init(struct mf_table *table);
void mf_index_dispose(struct mf_table *table);
/* Room for one more exact name, so that one put cannot fail. Ends with mf_index_put or mf_index_unreserve. */
int mf_index_reserve(struct mf_table *table);
void mf_index_unreserve(struct mf_table *table);
struct mf_compiled *mf_index_find(struct mf_table *table, struct mf_slice name); /* of an exact name, or NULL */
/* Publishes a service under its exact name. Returns the one that was there, or NULL. */
struct mf_compiled *mf_index_put(struct mf_table *table, struct mf_compiled *service);
/* Takes it out and returns it, or NULL. */
struct mf_compiled *mf_index_take(struct mf_table *table, struct mf_slice name);
/* The slot of a prefix or a suffix, made when missing; pinned. 0 or -ENOMEM. */
int mf_index_reserve_slot(struct mf_table *table, struct mf_slice name, bool suffix, struct mf_slot **out);
struct mf_slot *mf_index_find_slot(struct mf_table *table, struct mf_slice name, bool suffix); /* or NULL */

/* peer.c, stat.c */
int mf_peers_init(struct mf_peers *peers);
void mf_peers_dispose(struct mf_peers *peers);
void mf_peer_list(struct mf_peer *peer, int by); /* one cluster more or less lists it */
void mf_peers_reclaim(struct mf_table *table); /* retires those that nobody holds */
int mf_stats_init(struct mf_stats *stats);
void mf_stats_dispose(struct mf_stats *stats);
/* Finds or makes, with a reference. NULL: no memory. */
struct mf_stat *mf_stat_intern(struct mf_table *table, struct mf_slice service, struct mf_slice host,
                               struct mf_slice subset);
struct mf_stat *mf_stat_take(struct mf_stat *stat); /* one more reference to one that has some; returns it */
void mf_stat_give(struct mf_stat *stat);
/* Retires those whose calls are all done. Returns how many still wait for calls. */
size_t mf_stats_reclaim(struct mf_table *table);

/* inline */

enum { MF_TABLE_MANY = 4096 };

/* A piece that readers look at, one of `n`; freed by mf_slab_free. Only many are worth huge pages of their own. */
static inline void *mf_table_zalloc(struct mf_table *table, size_t n, size_t size)
{
    return n < MF_TABLE_MANY ? mf_zalloc_line(size) : mf_slab_zalloc(&table->slab, size);
}

/* Copies a text to `*at`, which moves behind it. */
static inline struct mf_slice mf_put_text(uint8_t **at, struct mf_slice text)
{
    uint8_t *start = *at;
    if (text.len)
        memcpy(start, text.ptr, text.len);
    *at += text.len;
    return mf_slice_of(start, text.len);
}

/* The same, ended by a NUL. */
static inline const char *mf_put_string(uint8_t **at, struct mf_slice text)
{
    const uint8_t *start = mf_put_text(at, text).ptr;
    *(*at)++ = 0;
    return (const char *)start;
}

static inline void mf_cluster_give_label(struct mf_table *table, struct mf_cluster *cluster, struct mf_by_label *by)
{
    if (by && --by->refs == 0)
        mf_cluster_drop_label(table, cluster, by);
}

/* Room for one more in a growing array; doubles. 0 or -ENOMEM. */
static inline int mf_grow(void **array, uint32_t n, uint32_t *room, size_t size)
{
    if (n < *room)
        return 0;
    uint32_t more = *room ? *room * 2 : 4;
    void *bigger = mf_resize(*array, more * size);
    if (!bigger)
        return -ENOMEM;
    *array = bigger;
    *room = more;
    return 0;
}
