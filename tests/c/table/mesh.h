#pragma once
/* mesh: short words for building tables in tests. A failed step returns its error, so that out-of-memory tests can
 * stop anywhere. */
#include "base/err.h"
#include "table/table.h"
#include "test.h"

#include <errno.h>

static inline struct mf_slice S(const char *text)
{
    return text ? mf_slice_str(text) : mf_slice_of(NULL, 0);
}

struct box { /* an instance, with at most two labels */
    const char *addr;
    uint32_t weight;
    const char *key, *value, *key2, *value2;
};
#define BOX(...) ((struct box){.addr = __VA_ARGS__})

__attribute__((unused)) static int make_cluster(struct mf_table *table, const char *host, const struct box *boxes,
                                                uint32_t n, struct mf_cluster **out)
{
    int rc = mf_cluster_new(table, S(host), out);
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        struct mf_pair labels[2] = {{S(boxes[i].key), S(boxes[i].value)}, {S(boxes[i].key2), S(boxes[i].value2)}};
        uint32_t n_labels = boxes[i].key2 ? 2 : boxes[i].key ? 1 : 0;
        rc = mf_cluster_add(table, *out, S(boxes[i].addr), labels, n_labels, boxes[i].weight ? boxes[i].weight : 1);
        if (rc != 0)
            mf_cluster_give(table, *out);
    }
    return rc;
}

/* A service with one rule whose only target is all of `cluster`. */
__attribute__((unused)) static int publish_all(struct mf_table *table, const char *name,
                                               enum mf_service_pattern pattern, struct mf_cluster *cluster)
{
    struct mf_service *service;
    int rc = mf_service_new(table, S(name), pattern, &service);
    if (rc != 0)
        return rc;
    rc = mf_service_rule(service, 0);
    if (rc >= 0)
        rc = mf_service_target(table, service, 0, cluster, MF_TARGET_ALL, S(""), 1, MF_FALLBACK_NO_AVAILABLE,
                               MF_NO_TARGET);
    if (rc >= 0)
        rc = mf_table_publish(table, service);
    if (rc < 0)
        mf_service_free(table, service);
    return rc;
}

/* Where a plain call of the service goes: the peer's address, or the error's name. */
__attribute__((unused)) static const char *goes_to(struct mf_table *table, const char *service)
{
    struct mf_query query = {.service = S(service), .method = S("m"), .random = 1};
    struct mf_route route;
    int rc = mf_route_lookup(table, &query, &route);
    return rc == 0 ? route.peer->text : mf_err_name(rc);
}

#define CHECK_TEXT(got, want) CHECK_STR(mf_slice_str(got), want)

__attribute__((unused)) static void count_peer(void *arg, struct mf_peer *peer)
{
    (void)peer;
    ++*(int *)arg;
}

__attribute__((unused)) static int n_peers(struct mf_table *table)
{
    int n = 0;
    mf_table_each_peer(table, count_peer, &n);
    return n;
}

__attribute__((unused)) static void count_stat(void *arg, struct mf_stat *stat)
{
    (void)stat;
    ++*(int *)arg;
}

__attribute__((unused)) static int n_stats_of(struct mf_table *table)
{
    int n = 0;
    mf_table_each_stat(table, count_stat, &n);
    return n;
}

struct stat_search {
    const char *service, *host, *subset;
    struct mf_stat *found;
};

__attribute__((unused)) static void match_stat(void *arg, struct mf_stat *stat)
{
    struct stat_search *search = arg;
    if (strcmp(stat->service, search->service) == 0 && strcmp(stat->host, search->host) == 0 &&
        strcmp(stat->subset, search->subset) == 0)
        search->found = stat;
}

__attribute__((unused)) static struct mf_stat *stat_of(struct mf_table *table, const char *service, const char *host,
                                                       const char *subset)
{
    struct stat_search search = {service, host, subset, NULL};
    mf_table_each_stat(table, match_stat, &search);
    return search.found;
}
