/* table: publish, replace, remove, reclaim, the label plan; out of memory at every allocation. */
#include "table/mesh.h"
#include "table/writer.h"

static void test_publish(void)
{
    struct mf_table *table;
    struct mf_cluster *a, *b;
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(make_cluster(table, "a", &BOX("10.0.0.1:1"), 1, &a), 0);
    CHECK_INT(make_cluster(table, "b", &BOX("10.0.0.2:1"), 1, &b), 0);
    CHECK_INT(mf_cluster_seal(table, a), 0);
    CHECK_INT(mf_cluster_seal(table, b), 0);
    CHECK_TEXT(goes_to(table, "s"), "MF_EROUTE_SERVICE");
    CHECK_INT(publish_all(table, "s", MF_SERVICE_EXACT, a), 0);
    CHECK_TEXT(goes_to(table, "s"), "10.0.0.1:1");
    CHECK_INT(mf_table_n_services(table), 1);
    CHECK_INT(publish_all(table, "s", MF_SERVICE_EXACT, b), 0);
    CHECK_INT(mf_table_n_services(table), 1);
    CHECK_TEXT(goes_to(table, "s"), "10.0.0.2:1");
    mf_cluster_give(table, a);
    mf_cluster_give(table, b);
    CHECK_INT(n_peers(table), 2);
    CHECK_INT(mf_table_reclaim(table), 0);
    CHECK_INT(n_peers(table), 1);
    CHECK_INT(n_stats_of(table), 2); /* the service's own, and b's */
    CHECK(stat_of(table, "s", "", "") && stat_of(table, "s", "b", ""));
    CHECK_INT(mf_table_remove(table, S("s"), MF_SERVICE_EXACT), 0);
    CHECK_INT(mf_table_remove(table, S("s"), MF_SERVICE_EXACT), MF_EROUTE_SERVICE);
    CHECK_TEXT(goes_to(table, "s"), "MF_EROUTE_SERVICE");
    CHECK_INT(mf_table_n_services(table), 0);
    mf_table_reclaim(table);
    CHECK_INT(n_peers(table), 0);
    CHECK_INT(n_stats_of(table), 0);
    mf_table_free(table);
}

/* What is freed while a reader looks: nothing; once it has been quiescent: all. */
static void test_reclaim_waits(void)
{
    struct mf_table *table;
    struct mf_cluster *a;
    CHECK_INT(mf_table_new(&table), 0);
    struct mf_epoch *epoch = mf_table_epoch(table);
    int reader = mf_epoch_join(epoch);
    CHECK_INT(make_cluster(table, "a", &BOX("10.0.0.1:1"), 1, &a), 0);
    CHECK_INT(mf_cluster_seal(table, a), 0);
    CHECK_INT(publish_all(table, "s", MF_SERVICE_EXACT, a), 0);
    mf_cluster_give(table, a);
    mf_epoch_online(epoch, reader);
    struct mf_query query = {.service = S("s"), .method = S("m")};
    struct mf_route route;
    CHECK_INT(mf_route_lookup(table, &query, &route), 0);
    CHECK_INT(mf_table_remove(table, S("s"), MF_SERVICE_EXACT), 0);
    CHECK(mf_table_reclaim(table) > 0);
    CHECK_TEXT(route.peer->text, "10.0.0.1:1"); /* ASan: still there */
    CHECK(mf_peer_listed(route.peer));
    mf_peer_take(route.peer); /* a pool keeps it */

    /* A call of it is still in flight: its stat stays. */
    struct mf_stat_shard *shard = mf_stat_shard(route.stat, reader);
    mf_count(&shard->begun, 1);
    mf_epoch_quiesce(epoch, reader);
    CHECK(mf_table_reclaim(table) > 0);
    mf_epoch_quiesce(epoch, reader);
    CHECK_INT(mf_table_reclaim(table), 1);
    CHECK_INT(n_peers(table), 1);
    CHECK(!mf_peer_listed(route.peer));
    CHECK(stat_of(table, "s", "a", "") == route.stat);
    mf_count(&shard->done, 1);
    mf_peer_give(table, route.peer);
    mf_epoch_quiesce(epoch, reader);
    mf_table_reclaim(table);
    mf_epoch_quiesce(epoch, reader);
    CHECK_INT(mf_table_reclaim(table), 0);
    CHECK_INT(n_peers(table), 0);
    CHECK_INT(n_stats_of(table), 0);
    mf_epoch_leave(epoch, reader);
    mf_table_free(table);
}

static void test_prepare(void)
{
    struct mf_table *table;
    struct mf_cluster *a;
    struct mf_service *service;
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(make_cluster(table, "a", &BOX("10.0.0.1:1"), 1, &a), 0);
    CHECK_INT(mf_cluster_seal(table, a), 0);
    for (int pattern = 0; pattern <= MF_SERVICE_ANY; pattern++) { /* MF_SERVICE_SUFFIX: test_index.c */
        CHECK_INT(mf_service_new(table, S("s."), pattern, &service), 0);
        CHECK_INT(mf_service_rule(service, 7), 0);
        CHECK_INT(mf_service_target(table, service, 0, a, MF_TARGET_ALL, S(""), 1, 0, MF_NO_TARGET), 0);
        CHECK_INT(mf_table_prepare(table, service), 0);
        CHECK_TEXT(goes_to(table, "s."), "MF_EROUTE_SERVICE");
        CHECK_INT(mf_service_rule(service, 0), MF_ECLOSED);
        CHECK_INT(mf_service_match(service, 0), MF_ECLOSED);
        CHECK_INT(mf_service_target(table, service, 0, a, MF_TARGET_ALL, S(""), 1, 0, MF_NO_TARGET), MF_ECLOSED);
        fail_at(1);
        CHECK_INT(mf_table_publish(table, service), 0); /* cannot fail any more */
        fail_at(0);
        CHECK_TEXT(goes_to(table, "s."), "10.0.0.1:1");
        CHECK_INT(mf_table_remove(table, S("s."), pattern), 0);
    }
    /* Prepared, then dropped. */
    CHECK_INT(mf_service_new(table, S("s."), MF_SERVICE_PREFIX, &service), 0);
    CHECK_INT(mf_table_prepare(table, service), 0);
    mf_service_free(table, service);
    CHECK_TEXT(goes_to(table, "s.x"), "MF_EROUTE_SERVICE");
    mf_cluster_give(table, a);
    mf_table_free(table);
}

static void test_labels(void)
{
    struct mf_table *table;
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(mf_table_labels(table)->n_labels, 0);
    int env = mf_label_intern(table, S("env"));
    char key[] = "x-env";
    struct mf_labels plan = {.n_labels = 1, .n_traces = 1};
    plan.labels[0] = (struct mf_label){.name = S("env"), .index = (uint32_t)env, .n_sources = 1};
    plan.labels[0].sources[0] = (struct mf_label_source){MF_LABEL_HEADER, 0, S(key)};
    plan.traces[0].text = S(key);
    CHECK_INT(mf_table_publish_labels(table, &plan), 0);
    memset(key, '?', sizeof key - 1);
    CHECK_STR(mf_table_labels(table)->labels[0].sources[0].text, "x-env");
    CHECK_STR(mf_table_labels(table)->traces[0].text, "x-env");
    CHECK_INT(mf_table_publish_labels(table, &plan), 0); /* retires the first */
    CHECK_INT((int)mf_table_labels(table)->labels[0].index, env);
    plan.n_labels = MF_PLAN_LABELS + 1;
    CHECK_INT(mf_table_publish_labels(table, &plan), MF_ELIMIT);
    plan.n_labels = 0;
    fail_at(1);
    CHECK_INT(mf_table_publish_labels(table, &plan), -ENOMEM);
    fail_at(0);
    CHECK_INT(mf_table_labels(table)->n_labels, 1);
    mf_table_free(table);
}

/* Everything once; the first error ends it. */
static int build(struct mf_table *table)
{
    struct mf_cluster *cluster = NULL;
    struct mf_service *service = NULL;
    struct box boxes[] = {BOX("10.0.0.1:1", 1, "env", "red"), BOX("10.0.0.2:1", 1, "env", "blue"), BOX("10.0.0.3:1"),
                          BOX("10.0.0.4:1", 3, "env", "red", "zone", "z")};
    struct mf_pair red = {S("env"), S("red")};
    int rc = make_cluster(table, "app", boxes, 4, &cluster);
    if (rc != 0)
        return rc;
    rc = mf_cluster_subset(table, cluster, S("canary"), &red, 1);
    if (rc == 0)
        rc = mf_cluster_subset_of(table, cluster, S("some"), &(uint32_t){2}, 1);
    if (rc == 0)
        rc = mf_cluster_seal(table, cluster);
    if (rc == 0)
        rc = mf_service_new(table, S("com.acme."), MF_SERVICE_PREFIX, &service);
    if (rc == 0 && (rc = mf_service_rule(service, 0)) >= 0 && (rc = mf_service_match(service, 0)) >= 0 &&
        (rc = mf_service_condition(table, service, 0, 0, MF_FIELD_LABEL, S("zone"), MF_OP_EXACT, S("z"))) >= 0 &&
        (rc = mf_service_condition(table, service, 0, 0, MF_FIELD_HEADER, S("k"), MF_OP_PREFIX, S("v"))) >= 0 &&
        (rc = mf_service_target(table, service, 0, cluster, MF_TARGET_LABEL, S("env"), 1, 0, 1)) >= 0 &&
        (rc = mf_service_target(table, service, 0, cluster, MF_TARGET_SUBSET, S("canary"), 0, 0, 2)) >= 0 &&
        (rc = mf_service_target(table, service, 0, cluster, MF_TARGET_BASELINE, S("env"), 0, 0, MF_NO_TARGET)) >= 0)
        rc = mf_table_publish(table, service);
    if (rc < 0 && service)
        mf_service_free(table, service);
    for (int i = 0; rc >= 0 && i < 40; i++) { /* enough for the index to grow */
        char name[16];
        snprintf(name, sizeof name, "s%d", i);
        rc = publish_all(table, name, i == 7 ? MF_SERVICE_ANY : MF_SERVICE_EXACT, cluster);
    }
    mf_cluster_give(table, cluster);
    return rc;
}

static void test_no_memory(void)
{
    struct mf_table *table;
    long n;
    fail_at(0);
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(build(table), 0);
    mf_table_free(table);
    n = fail_seen;
    CHECK(n > 100);
    for (long i = 1; i <= n; i++) {
        fail_at(i);
        int rc = mf_table_new(&table);
        if (rc != 0) {
            CHECK_INT(rc, -ENOMEM);
            continue;
        }
        /* 0 is possible: tables that could not be widened work on. */
        rc = build(table);
        CHECK(rc == -ENOMEM || rc == 0);
        fail_at(0);
        CHECK_INT(build(table), 0); /* usable after the failure */
        CHECK_TEXT(goes_to(table, "s39") + 8, ":1");
        mf_table_reclaim(table);
        CHECK_INT(n_peers(table), 4);
        mf_table_free(table);
    }
}

enum { LARGE = 3 * MF_TABLE_MANY };

static void publish_numbered(struct mf_table *table, uint32_t i, uint32_t port)
{
    struct mf_cluster *cluster;
    char name[16], addr[32];
    snprintf(name, sizeof name, "s%u", i);
    snprintf(addr, sizeof addr, "10.0.%u.%u:%u", i / 256, i % 256, port);
    CHECK_INT(make_cluster(table, "a", &BOX(addr), 1, &cluster), 0);
    CHECK_INT(mf_cluster_seal(table, cluster), 0);
    CHECK_INT(publish_all(table, name, MF_SERVICE_EXACT, cluster), 0);
    mf_cluster_give(table, cluster);
}

static void check_numbered(struct mf_table *table, uint32_t i, uint32_t port)
{
    char name[16], addr[32];
    snprintf(name, sizeof name, "s%u", i);
    snprintf(addr, sizeof addr, "10.0.%u.%u:%u", i / 256, i % 256, port);
    CHECK_TEXT(goes_to(table, name), port ? addr : "MF_EROUTE_SERVICE");
}

/* So many that they come from regions: every third replaced, every third removed, all found as they should be. */
static void test_large(void)
{
    struct mf_table *table;
    CHECK_INT(mf_table_new(&table), 0);
    for (uint32_t i = 0; i < LARGE; i++)
        publish_numbered(table, i, 1);
    for (uint32_t i = 0; i < LARGE; i += 3) {
        char name[16];
        publish_numbered(table, i, 2);
        snprintf(name, sizeof name, "s%u", i + 1);
        CHECK_INT(mf_table_remove(table, S(name), MF_SERVICE_EXACT), 0);
        mf_table_reclaim(table);
    }
    for (uint32_t i = 0; i < LARGE; i++)
        check_numbered(table, i, i % 3 == 0 ? 2 : i % 3 == 1 ? 0 : 1);
    CHECK_INT(n_peers(table), LARGE / 3 * 2);
    mf_table_free(table);
}

int main(void)
{
    test_publish();
    test_reclaim_waits();
    test_prepare();
    test_labels();
    test_no_memory();
    test_large();
    return test_end("table/table");
}
