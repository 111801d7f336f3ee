#include "base/err.h"
#include "table/level.h"
#include "table/plan.h"
#include "table/writer.h"

int mf_cluster_new(struct mf_table *table, struct mf_slice host, struct mf_cluster **out)
{
    (void)table;
    struct mf_cluster *cluster = mf_zalloc(sizeof *cluster);
    if (!cluster)
        return -ENOMEM;
    cluster->refs = 1;
    cluster->host = mf_copy(host.ptr, host.len);
    if (!cluster->host) {
        mf_free(cluster);
        return -ENOMEM;
    }
    *out = cluster;
    return 0;
}

static void free_plan(const struct mf_group *group)
{
    if (group->planned)
        mf_plan_free(*mf_group_plan_place(group));
}

static void free_group(struct mf_group *group)
{
    if (group) {
        free_plan(group);
        if (group->twin)
            free_plan(mf_group_http(group));
    }
    mf_slab_free(group);
}

static void free_by_label(struct mf_table *table, struct mf_by_label *by)
{
    mf_label_give(table, by->label);
    for (uint32_t i = by->n_subsets; by->groups && i < by->n_groups; i++)
        free_group(by->groups[i]);
    mf_free(by->groups);
    free_group(by->baseline);
    mf_slab_free(by);
}

/* Its peers, each once. */
static void give_peers(struct mf_table *table, const struct mf_instance *instance, bool listed)
{
    for (int f = 0; f < MF_FAMILIES; f++) {
        struct mf_peer *peer = instance->peers[f];
        if (!peer || (f > 0 && peer == instance->peers[0]))
            continue;
        if (listed)
            mf_peer_list(peer, -1);
        mf_peer_give(table, peer);
    }
}

void mf_cluster_give(struct mf_table *table, struct mf_cluster *cluster)
{
    if (--cluster->refs > 0)
        return;
    while (cluster->by_label) {
        struct mf_by_label *next = cluster->by_label->next;
        free_by_label(table, cluster->by_label);
        cluster->by_label = next;
    }
    for (uint32_t i = 0; i < cluster->n_instances; i++) {
        give_peers(table, &cluster->instances[i], true);
        mf_free(cluster->instances[i].labels);
    }
    for (uint32_t i = 0; i < cluster->n_subsets; i++) {
        mf_free(cluster->subsets[i].labels);
        mf_free(cluster->subsets[i].members);
        mf_free(cluster->subsets[i].name);
        mf_policy_free(cluster->subsets[i].policy);
        free_group(cluster->subsets[i].group);
    }
    mf_free(cluster->instances);
    mf_free(cluster->subsets);
    free_group(cluster->all);
    mf_policy_free(cluster->policy);
    mf_free(cluster->host);
    mf_free(cluster);
}

/* The pairs and their texts in one piece; at least one byte, so that NULL means no memory. */
static struct mf_pair *copy_pairs(const struct mf_pair *pairs, uint32_t n)
{
    size_t size = n * sizeof *pairs + 1;
    for (uint32_t i = 0; i < n; i++)
        size += pairs[i].key.len + pairs[i].value.len;
    struct mf_pair *copy = mf_alloc(size);
    if (!copy)
        return NULL;
    uint8_t *at = (uint8_t *)(copy + n);
    for (uint32_t i = 0; i < n; i++) {
        copy[i].key = mf_put_text(&at, pairs[i].key);
        copy[i].value = mf_put_text(&at, pairs[i].value);
    }
    return copy;
}

int mf_cluster_add(struct mf_table *table, struct mf_cluster *cluster, struct mf_slice addr,
                   const struct mf_pair *labels, uint32_t n_labels, uint32_t weight)
{
    const struct mf_slice same[] = {addr, addr};
    _Static_assert(sizeof same / sizeof *same == MF_FAMILIES, "one for each");
    return addr.len ? mf_cluster_add_apart(table, cluster, same, labels, n_labels, weight) : MF_EADDR;
}

/* 0 or -ENOMEM. Equal addresses have one peer, and one reference. */
static int take_peers(struct mf_table *table, struct mf_instance *instance, const struct mf_addr addrs[MF_FAMILIES])
{
    for (int f = 0; f < MF_FAMILIES; f++) {
        if (addrs[f].len == 0)
            continue;
        if (f > 0 && instance->peers[0] && mf_addr_eq(&addrs[f], &addrs[0])) {
            instance->peers[f] = instance->peers[0];
            continue;
        }
        instance->peers[f] = mf_peer_intern(table, &addrs[f]);
        if (!instance->peers[f]) {
            give_peers(table, instance, false);
            return -ENOMEM;
        }
    }
    for (int f = 0; f < MF_FAMILIES; f++)
        if (instance->peers[f] && !(f > 0 && instance->peers[f] == instance->peers[0]))
            mf_peer_list(instance->peers[f], 1);
    return 0;
}

int mf_cluster_add_apart(struct mf_table *table, struct mf_cluster *cluster, const struct mf_slice addrs[MF_FAMILIES],
                         const struct mf_pair *labels, uint32_t n_labels, uint32_t weight)
{
    struct mf_addr parsed[MF_FAMILIES] = {0};
    int rc = addrs[MF_FAMILY_DUBBO].len || addrs[MF_FAMILY_HTTP].len ? 0 : MF_EADDR;
    for (int f = 0; rc == 0 && f < MF_FAMILIES; f++)
        rc = addrs[f].len ? mf_addr_parse(addrs[f], &parsed[f]) : 0;
    if (rc != 0)
        return rc;
    if (cluster->sealed)
        return MF_ECLOSED;
    if (weight < 1 || weight > 65535)
        return MF_ELIMIT;
    rc = mf_grow((void **)&cluster->instances, cluster->n_instances, &cluster->instances_room,
                 sizeof *cluster->instances);
    if (rc != 0)
        return rc;
    struct mf_instance instance = {.weight = weight, .n_labels = n_labels, .labels = copy_pairs(labels, n_labels)};
    if (!instance.labels)
        return -ENOMEM;
    rc = take_peers(table, &instance, parsed);
    if (rc != 0) {
        mf_free(instance.labels);
        return rc;
    }
    cluster->instances[cluster->n_instances++] = instance;
    return 0;
}

static struct mf_subset *find_subset(const struct mf_cluster *cluster, struct mf_slice name)
{
    for (uint32_t i = 0; i < cluster->n_subsets; i++)
        if (mf_slice_eq(mf_slice_str(cluster->subsets[i].name), name))
            return &cluster->subsets[i];
    return NULL;
}

/* Adds one, of which all but the name is made. Takes that over, also where it returns an error. */
static int add_subset(struct mf_cluster *cluster, struct mf_slice name, struct mf_subset *made)
{
    int rc = cluster->sealed ? MF_ECLOSED : find_subset(cluster, name) ? -EEXIST : 0;
    if (rc == 0)
        rc = mf_grow((void **)&cluster->subsets, cluster->n_subsets, &cluster->subsets_room, sizeof *cluster->subsets);
    if (rc == 0 && (made->labels || made->members))
        made->name = mf_copy(name.ptr, name.len);
    if (rc == 0 && !made->name)
        rc = -ENOMEM;
    if (rc == 0) {
        cluster->subsets[cluster->n_subsets++] = *made;
        return 0;
    }
    mf_free(made->labels);
    mf_free(made->members);
    return rc;
}

int mf_cluster_subset(struct mf_table *table, struct mf_cluster *cluster, struct mf_slice name,
                      const struct mf_pair *labels, uint32_t n_labels)
{
    (void)table;
    return add_subset(cluster, name, &(struct mf_subset){.labels = copy_pairs(labels, n_labels), .n_labels = n_labels});
}

int mf_cluster_subset_of(struct mf_table *table, struct mf_cluster *cluster, struct mf_slice name,
                         const uint32_t *members, uint32_t n_members)
{
    (void)table;
    for (uint32_t i = 0; i < n_members; i++)
        if (members[i] >= cluster->n_instances || (i && members[i] <= members[i - 1]))
            return MF_ELIMIT;
    struct mf_subset made = {.members = mf_alloc((n_members + 1) * sizeof *members), .n_members = n_members};
    if (made.members && n_members)
        memcpy(made.members, members, n_members * sizeof *members);
    return add_subset(cluster, name, &made);
}

/* It has places for more instances than there are, or fewer. */
static bool misplaced(const struct mf_cluster *cluster, const struct mf_policy *policy)
{
    return policy && policy->locality && policy->locality->n != cluster->n_instances;
}

int mf_cluster_policy(struct mf_table *table, struct mf_cluster *cluster, struct mf_slice subset,
                      const struct mf_policy *policy)
{
    (void)table;
    if (cluster->sealed)
        return MF_ECLOSED;
    struct mf_subset *found = subset.len ? find_subset(cluster, subset) : NULL;
    if (subset.len && !found)
        return -ENOENT;
    if (misplaced(cluster, policy))
        return MF_ELIMIT;
    struct mf_policy *copy = mf_policy_copy(policy);
    if (!copy)
        return -ENOMEM;
    struct mf_policy **place = found ? &found->policy : &cluster->policy;
    mf_policy_free(*place);
    *place = copy;
    return 0;
}

static const struct mf_slice *label_of(const struct mf_instance *instance, struct mf_slice key)
{
    for (uint32_t i = 0; i < instance->n_labels; i++)
        if (mf_slice_eq(instance->labels[i].key, key))
            return &instance->labels[i].value;
    return NULL;
}

static bool carries(const struct mf_instance *instance, const struct mf_pair *labels, uint32_t n_labels)
{
    for (uint32_t i = 0; i < n_labels; i++) {
        const struct mf_slice *value = label_of(instance, labels[i].key);
        if (!value || !mf_slice_eq(*value, labels[i].value))
            return false;
    }
    return true;
}

/* Whether the cluster's instance `i` is in a subset (NULL: all are), asked for one after the other. `next`: 0 at first. */
static bool belongs(const struct mf_cluster *cluster, const struct mf_subset *subset, uint32_t i, uint32_t *next)
{
    if (!subset)
        return true;
    if (!subset->members)
        return carries(&cluster->instances[i], subset->labels, subset->n_labels);
    bool is = *next < subset->n_members && subset->members[*next] == i;
    *next += is;
    return is;
}

/* Those of a group: how many take calls of each family, and whether not all take both at one address. */
struct members {
    uint32_t n[MF_FAMILIES];
    bool apart;
};

static void count_member(struct members *members, const struct mf_instance *instance)
{
    for (int f = 0; f < MF_FAMILIES; f++)
        members->n[f] += instance->peers[f] != NULL;
    members->apart |= instance->peers[MF_FAMILY_DUBBO] != instance->peers[MF_FAMILY_HTTP];
}

static size_t size_of_group(struct mf_slice name, uint32_t n, bool planned)
{
    size_t size = sizeof(struct mf_group) + n * (sizeof(struct mf_peer *) + sizeof(uint64_t)) +
                  planned * sizeof(struct mf_plan *) + name.len;
    return (size + MF_CACHE_LINE - 1) & ~(size_t)(MF_CACHE_LINE - 1);
}

static void begin_group(struct mf_group *group, struct mf_slice name, uint32_t n, bool planned)
{
    group->n = n;
    group->name_len = name.len & 0x1fffffff;
    group->planned = planned;
    if (name.len)
        memcpy((void *)(uintptr_t)mf_group_name(group).ptr, name.ptr, name.len);
}

/* For these members, which are put next. */
static struct mf_group *new_group(struct mf_table *table, struct mf_slice name, const struct members *members,
                                  const struct mf_policy *policy)
{
    size_t own = size_of_group(name, members->n[MF_FAMILY_DUBBO], policy != NULL);
    size_t other = members->apart ? size_of_group(name, members->n[MF_FAMILY_HTTP], policy != NULL) : 0;
    if (own > UINT32_MAX)
        return NULL;
    struct mf_group *group = mf_table_zalloc(table, table->peers.n, own + other);
    if (!group)
        return NULL;
    begin_group(group, name, members->n[MF_FAMILY_DUBBO], policy != NULL);
    if (other) {
        struct mf_group *twin = (struct mf_group *)((uintptr_t)group + own);
        begin_group(twin, name, members->n[MF_FAMILY_HTTP], policy != NULL);
        group->twin = twin->twin = (uint32_t)own;
    }
    return group;
}

static void put_peer(struct mf_group *group, uint32_t *n, struct mf_peer *peer, uint32_t weight)
{
    group->each = *n == 0 || group->each == weight ? weight : 0;
    group->peers[*n] = peer;
    mf_group_sums(group)[*n] = weight + (*n ? mf_group_sums(group)[*n - 1] : 0);
    ++*n;
}

static void put_member(struct mf_group *group, struct members *put, const struct mf_instance *instance)
{
    for (int f = 0; f < (group->twin ? MF_FAMILIES : 1); f++)
        if (instance->peers[f])
            put_peer(f == MF_FAMILY_DUBBO ? group : (struct mf_group *)(uintptr_t)mf_group_http(group), &put->n[f],
                     instance->peers[f], instance->weight);
}

/* Of one group, whose members are put: they lie in the order of their instances. */
static int plan_one(struct mf_table *table, const struct mf_cluster *cluster, const struct mf_policy *policy,
                    struct mf_group *group, int family)
{
    const struct mf_instance **members = mf_zalloc((group->n + 1) * sizeof *members);
    if (!members)
        return -ENOMEM;
    for (uint32_t m = 0, i = 0; m < group->n; m++, i++) {
        while (cluster->instances[i].peers[family] != group->peers[m])
            i++;
        members[m] = &cluster->instances[i];
    }
    struct mf_plan *plan = *mf_group_plan_place(group) = mf_plan_new(table, cluster, policy, group, family, members);
    mf_free(members);
    group->quick = plan ? mf_plan_quick(plan, group->each != 0) & 3 : MF_QUICK_NOT;
    return plan ? 0 : -ENOMEM;
}

/* Gives a group its plan, where `policy` is not NULL. 0 or -ENOMEM. */
static int plan_group(struct mf_table *table, const struct mf_cluster *cluster, const struct mf_policy *policy,
                      struct mf_group *group)
{
    if (!policy)
        return 0;
    int rc = plan_one(table, cluster, policy, group, MF_FAMILY_DUBBO);
    if (rc == 0 && group->twin)
        rc = plan_one(table, cluster, policy, (struct mf_group *)(uintptr_t)mf_group_http(group), MF_FAMILY_HTTP);
    return rc;
}

/* Of a declared subset, or of all instances (NULL). */
static struct mf_group *group_of(struct mf_table *table, const struct mf_cluster *cluster, const struct mf_subset *subset)
{
    struct members members = {0}, put = {0};
    const struct mf_policy *policy = subset && subset->policy ? subset->policy : cluster->policy;
    uint32_t next = 0;
    for (uint32_t i = 0; i < cluster->n_instances; i++)
        if (belongs(cluster, subset, i, &next))
            count_member(&members, &cluster->instances[i]);
    struct mf_group *group = new_group(table, mf_slice_str(subset ? subset->name : ""), &members, policy);
    next = 0;
    for (uint32_t i = 0; group && i < cluster->n_instances; i++)
        if (belongs(cluster, subset, i, &next))
            put_member(group, &put, &cluster->instances[i]);
    if (group && plan_group(table, cluster, policy, group) != 0) {
        free_group(group);
        group = NULL;
    }
    return group;
}

uint32_t mf_cluster_levels(const struct mf_cluster *cluster, struct mf_slice subset, enum mf_family family, uint64_t now,
                           struct mf_level_told *out, uint32_t room)
{
    const struct mf_group *group = subset.len ? mf_cluster_find_subset(cluster, subset) : cluster->all;
    if (group && family == MF_FAMILY_HTTP)
        group = mf_group_http(group);
    if (!group || !group->planned || !mf_group_plan(group)->levels)
        return 0;
    return mf_levels_tell(mf_group_plan(group)->levels, now, out, room);
}

int mf_cluster_seal(struct mf_table *table, struct mf_cluster *cluster)
{
    if (cluster->sealed)
        return 0;
    bool bad = misplaced(cluster, cluster->policy);
    for (uint32_t i = 0; i < cluster->n_subsets; i++)
        bad |= misplaced(cluster, cluster->subsets[i].policy);
    if (bad) /* some came later */
        return MF_ELIMIT;
    if (!cluster->all)
        cluster->all = group_of(table, cluster, NULL);
    if (!cluster->all)
        return -ENOMEM;
    for (uint32_t i = 0; i < cluster->n_subsets; i++) {
        struct mf_subset *subset = &cluster->subsets[i];
        if (!subset->group)
            subset->group = group_of(table, cluster, subset);
        if (!subset->group)
            return -ENOMEM;
    }
    cluster->sealed = true;
    return 0;
}

struct mf_group *mf_cluster_find_subset(const struct mf_cluster *cluster, struct mf_slice name)
{
    struct mf_subset *subset = find_subset(cluster, name);
    return subset ? subset->group : NULL;
}

/* While groups are made: one value, the instances that have it, and those of them that are put. */
struct entry {
    struct mf_slice name;
    struct mf_group *declared; /* its group, where it is a subset's name; or NULL */
    struct members members, put;
};

static const struct mf_group taken; /* marks a place while its group is not yet made */

/* The place of `name`, with `name`'s index or free. */
static struct mf_value *place_of(struct mf_by_label *by, const struct entry *entries, struct mf_slice name)
{
    uint32_t at = (uint32_t)mf_hash(name, 0) & by->mask;
    while (by->places[at].group && !mf_slice_eq(entries[by->places[at].index].name, name))
        at = (at + 1) & by->mask;
    return &by->places[at];
}

static void name_value(struct mf_by_label *by, struct entry *entries, struct mf_slice name)
{
    struct mf_value *place = place_of(by, entries, name);
    if (place->group)
        return;
    entries[by->n_groups].name = name;
    *place = (struct mf_value){(uint32_t)mf_hash(name, 0), by->n_groups++, &taken};
}

/* Names every value, the declared subsets first; counts the instances of each, and those without the label. */
static struct members count_values(const struct mf_cluster *cluster, struct mf_slice key, struct mf_by_label *by,
                                   struct entry *entries)
{
    struct members without = {0};
    for (uint32_t i = 0; i < cluster->n_subsets; i++) {
        if (cluster->subsets[i].members)
            continue;
        entries[by->n_groups].declared = cluster->subsets[i].group;
        name_value(by, entries, mf_slice_str(cluster->subsets[i].name));
    }
    by->n_subsets = by->n_groups;
    for (uint32_t i = 0; i < cluster->n_instances; i++) {
        const struct mf_slice *value = label_of(&cluster->instances[i], key);
        if (!value) {
            count_member(&without, &cluster->instances[i]);
            continue;
        }
        name_value(by, entries, *value);
        count_member(&entries[place_of(by, entries, *value)->index].members, &cluster->instances[i]);
    }
    return without;
}

static int fill_groups(struct mf_table *table, const struct mf_cluster *cluster, struct mf_slice key, struct mf_by_label *by,
                       struct entry *entries, const struct members *without)
{
    struct members put = {0};
    for (uint32_t i = 0; i < by->n_groups; i++) {
        by->groups[i] = i < by->n_subsets ? entries[i].declared
                                          : new_group(table, entries[i].name, &entries[i].members, cluster->policy);
        if (!by->groups[i])
            return -ENOMEM;
        place_of(by, entries, entries[i].name)->group = by->groups[i];
    }
    by->baseline = new_group(table, MF_SLICE("baseline"), without, cluster->policy);
    if (!by->baseline)
        return -ENOMEM;
    for (uint32_t i = 0; i < cluster->n_instances; i++) {
        const struct mf_slice *value = label_of(&cluster->instances[i], key);
        uint32_t index = value ? place_of(by, entries, *value)->index : 0;
        if (!value)
            put_member(by->baseline, &put, &cluster->instances[i]);
        else if (index >= by->n_subsets)
            put_member(by->groups[index], &entries[index].put, &cluster->instances[i]);
    }
    int rc = plan_group(table, cluster, cluster->policy, by->baseline);
    for (uint32_t i = by->n_subsets; rc == 0 && i < by->n_groups; i++)
        rc = plan_group(table, cluster, cluster->policy, by->groups[i]);
    return rc;
}

struct mf_by_label *mf_cluster_by_label(struct mf_table *table, struct mf_cluster *cluster, uint32_t label)
{
    for (struct mf_by_label *by = cluster->by_label; by; by = by->next) {
        if (by->label == label) {
            by->refs++;
            return by;
        }
    }
    size_t most = (size_t)cluster->n_instances + cluster->n_subsets, places = 4;
    while (places < most * 2)
        places *= 2;
    struct mf_by_label *by = mf_table_zalloc(table, table->peers.n, sizeof *by + places * sizeof *by->places);
    struct entry *entries = mf_zalloc((most + 1) * sizeof *entries);
    if (!by || !entries)
        goto no_memory;
    by->label = label;
    by->refs = 1;
    mf_label_take_all(table, UINT64_C(1) << label);
    by->mask = (uint32_t)places - 1;
    struct mf_slice key = mf_label_name(table, label);
    struct members without = count_values(cluster, key, by, entries);
    by->groups = mf_zalloc((by->n_groups + 1) * sizeof *by->groups);
    if (!by->groups || fill_groups(table, cluster, key, by, entries, &without) != 0)
        goto no_memory;
    mf_free(entries);
    by->next = cluster->by_label;
    cluster->by_label = by;
    return by;

no_memory:
    if (by && by->refs)
        free_by_label(table, by);
    else if (by)
        mf_slab_free(by);
    mf_free(entries);
    return NULL;
}

void mf_cluster_drop_label(struct mf_table *table, struct mf_cluster *cluster, struct mf_by_label *by)
{
    struct mf_by_label **at = &cluster->by_label;
    while (*at != by)
        at = &(*at)->next;
    *at = by->next;
    free_by_label(table, by);
}
