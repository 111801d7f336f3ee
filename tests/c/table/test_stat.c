/* stat: shards, sums, statuses, buckets; without memory counts are lost, calls are not. */
#include "table/mesh.h"

#include <limits.h>

static struct mf_stat *new_stat(struct mf_table *table)
{
    struct mf_cluster *cluster;
    CHECK_INT(make_cluster(table, "app", &BOX("10.0.0.1:1"), 1, &cluster), 0);
    CHECK_INT(mf_cluster_seal(table, cluster), 0);
    CHECK_INT(publish_all(table, "s", MF_SERVICE_EXACT, cluster), 0);
    mf_cluster_give(table, cluster);
    return stat_of(table, "s", "app", "");
}

static void test_shards(void)
{
    struct mf_table *table;
    CHECK_INT(mf_table_new(&table), 0);
    struct mf_stat *stat = new_stat(table);
    struct mf_stat_shard sum;
    memset(&sum, 0, sizeof sum);
    mf_stat_sum(stat, &sum);
    CHECK_INT(sum.begun, 0);
    struct mf_stat_shard *a = mf_stat_shard(stat, 0), *b = mf_stat_shard(stat, MF_EPOCH_READERS - 1);
    CHECK(a && b && a != b && mf_stat_shard(stat, 0) == a);
    mf_count(&a->begun, 2);
    mf_count(&b->begun, 3);
    mf_count(&a->status[0], 1);
    mf_count(&b->latency[MF_STAT_BUCKETS - 1], 4);
    mf_count(&b->latency_sum_ns, 5);
    mf_stat_sum(stat, &sum);
    mf_stat_sum(stat, &sum); /* adds */
    CHECK_INT(sum.begun, 10);
    CHECK_INT(sum.status[0], 2);
    CHECK_INT(sum.latency[MF_STAT_BUCKETS - 1], 8);
    CHECK_INT(sum.latency_sum_ns, 10);
    mf_table_free(table);
}

static void test_no_memory(void)
{
    for (int at = 1; at <= 2; at++) {
        struct mf_table *table;
        CHECK_INT(mf_table_new(&table), 0);
        struct mf_stat *stat = new_stat(table);
        fail_at(at);
        struct mf_stat_shard *spill = mf_stat_shard(stat, 1);
        fail_at(0);
        CHECK(spill != NULL);
        mf_count(&spill->begun, 1);
        struct mf_stat_shard *own = mf_stat_shard(stat, 1);
        CHECK(own != spill);
        CHECK_INT(own->begun, 0);
        /* A call may still end here: the stat is kept though its shards look done. */
        CHECK_INT(mf_table_remove(table, S("s"), MF_SERVICE_EXACT), 0);
        CHECK_INT(mf_table_reclaim(table), 1);
        CHECK(stat_of(table, "s", "app", "") == stat);
        mf_table_free(table);
    }
}

static void test_revived(void)
{
    struct mf_table *table;
    CHECK_INT(mf_table_new(&table), 0);
    struct mf_stat *stat = new_stat(table);
    struct mf_stat_shard *shard = mf_stat_shard(stat, 0);
    mf_count(&shard->begun, 1);
    CHECK_INT(mf_table_remove(table, S("s"), MF_SERVICE_EXACT), 0);
    CHECK_INT(mf_table_reclaim(table), 1);
    CHECK(new_stat(table) == stat); /* the same name again: the same counts */
    mf_count(&shard->done, 1);
    CHECK_INT(mf_table_reclaim(table), 0);
    CHECK(stat_of(table, "s", "app", "") == stat);
    CHECK_INT(mf_table_remove(table, S("s"), MF_SERVICE_EXACT), 0);
    CHECK_INT(mf_table_reclaim(table), 0);
    CHECK(!stat_of(table, "s", "app", ""));
    mf_table_free(table);
}

/* Names with a NUL inside are told apart up to it, and found again when they go. */
static void test_odd_names(void)
{
    struct mf_table *table;
    struct mf_cluster *cluster;
    struct mf_service *service;
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(make_cluster(table, "app", &BOX("10.0.0.1:1"), 1, &cluster), 0);
    CHECK_INT(mf_cluster_seal(table, cluster), 0);
    CHECK_INT(mf_service_new(table, mf_slice_of("a\0b", 3), MF_SERVICE_EXACT, &service), 0);
    CHECK_INT(mf_service_rule(service, 0), 0);
    CHECK_INT(mf_service_target(table, service, 0, cluster, MF_TARGET_SUBSET, mf_slice_of("\0", 1), 1, 0,
                                MF_NO_TARGET), 0);
    CHECK_INT(mf_table_publish(table, service), 0);
    CHECK_INT(mf_table_remove(table, mf_slice_of("a\0b", 3), MF_SERVICE_EXACT), 0);
    CHECK_INT(mf_table_reclaim(table), 0);
    CHECK_INT(n_stats_of(table), 0);
    mf_cluster_give(table, cluster);
    mf_table_free(table);
}

/* A service "s" whose rule asks for the label env and whose instances are those of `cluster`; where "red" is counted. */
static struct mf_stat *red_of(struct mf_table *table, struct mf_cluster *cluster)
{
    struct mf_service *service;
    struct mf_slice labels[MF_LABELS] = {{NULL, 0}};
    struct mf_query query = {.service = S("s"), .labels = labels};
    struct mf_route route;
    labels[mf_label_intern(table, S("env"))] = S("red");
    CHECK_INT(mf_service_new(table, S("s"), MF_SERVICE_EXACT, &service), 0);
    CHECK_INT(mf_service_rule(service, 0), 0);
    CHECK_INT(mf_service_target(table, service, 0, cluster, MF_TARGET_LABEL, S("env"), 1, 0, MF_NO_TARGET), 0);
    CHECK_INT(mf_table_publish(table, service), 0);
    CHECK_INT(mf_table_reclaim(table), 0);
    CHECK_INT(mf_route_lookup(table, &query, &route), 0);
    return route.stat;
}

/* A service that replaces another counts by the same stats, but where its instances are others. */
static void test_replaced(void)
{
    const struct box few[] = {BOX("10.0.0.1:1", .key = "env", .value = "red"),
                              BOX("10.0.0.2:1", .key = "env", .value = "blue")};
    const struct box more[] = {BOX("10.0.0.2:1", .key = "env", .value = "blue"),
                               BOX("10.0.0.3:1", .key = "env", .value = "green"),
                               BOX("10.0.0.1:1", .key = "env", .value = "red")};
    struct mf_table *table;
    struct mf_cluster *first, *second;
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(make_cluster(table, "app", few, 2, &first), 0);
    CHECK_INT(make_cluster(table, "app", more, 3, &second), 0);
    CHECK_INT(mf_cluster_seal(table, first), 0);
    CHECK_INT(mf_cluster_seal(table, second), 0);
    struct mf_stat *red = red_of(table, first);
    CHECK_TEXT(red->subset, "red");
    CHECK(red_of(table, first) == red);
    CHECK(red_of(table, second) == red);
    CHECK_INT(n_stats_of(table), 4); /* with the service's own */
    CHECK(red_of(table, second) == red);
    CHECK(red_of(table, first) == red);
    CHECK_INT(n_stats_of(table), 3); /* green is gone */
    CHECK_INT(mf_table_remove(table, S("s"), MF_SERVICE_EXACT), 0);
    CHECK_INT(mf_table_reclaim(table), 0);
    CHECK_INT(n_stats_of(table), 0);
    mf_cluster_give(table, first);
    mf_cluster_give(table, second);
    mf_table_free(table);
}

/* Of nobody's service: it lives while it is held and until its calls are done. */
static void test_held(void)
{
    struct mf_table *table;
    CHECK_INT(mf_table_new(&table), 0);
    struct mf_stat *stat = mf_table_stat(table, S("in"), S(""), S("m"));
    CHECK(stat == mf_table_stat(table, S("in"), S(""), S("m")));
    CHECK(!mf_stat_used(stat));
    mf_stat_shard(stat, 3);
    CHECK(mf_stat_used(stat));
    mf_table_stat_give(table, stat);
    CHECK_INT(mf_table_reclaim(table), 0);
    CHECK(stat_of(table, "in", "", "m") == stat);
    mf_count(&mf_stat_shard(stat, 3)->begun, 1);
    mf_count(&mf_stat_shard(stat, 3)->outcome[MF_STAT_OUTCOMES - 1], 7);
    struct mf_stat_shard sum;
    memset(&sum, 0, sizeof sum);
    mf_stat_sum(stat, &sum);
    CHECK_INT(sum.outcome[MF_STAT_OUTCOMES - 1], 7);
    mf_table_stat_give(table, stat);
    CHECK_INT(mf_table_reclaim(table), 1);
    mf_count(&mf_stat_shard(stat, 3)->done, 1);
    CHECK_INT(mf_table_reclaim(table), 0);
    CHECK_INT(n_stats_of(table), 0);
    fail_at(1);
    CHECK(!mf_table_stat(table, S("in"), S(""), S("m")));
    fail_at(0);
    mf_table_free(table);
}

enum { STAYING = 3000 };
static uint8_t told[STAYING];
static size_t piece;

static void tell(void *arg, struct mf_stat *stat)
{
    (void)arg;
    if (stat->service[0] == 's')
        told[atoi(stat->service + 1)]++;
    piece++;
}

/* In pieces, while others come by the thousand, so that the table widens, and go. */
static void test_pieces(void)
{
    static struct mf_stat *others[20000];
    struct mf_table *table;
    char name[16];
    uint64_t cursor = 0;
    int n = 0, gone = 0, wrong = 0, pieces = 0;
    CHECK_INT(mf_table_new(&table), 0);
    CHECK(!mf_table_next_stats(table, &cursor, tell, NULL, 1000)); /* empty */
    CHECK(cursor == 0 && piece == 0);
    for (int i = 0; i < STAYING; i++) {
        snprintf(name, sizeof name, "s%d", i);
        CHECK(mf_table_stat(table, S(name), S(""), S("")) != NULL);
    }
    for (bool more = true; more; pieces++) {
        piece = 0;
        more = mf_table_next_stats(table, &cursor, tell, NULL, 100);
        CHECK(piece < 120); /* it ends with a bucket */
        for (int i = 0; i < 300 && n < 20000; i++, n++) {
            snprintf(name, sizeof name, "o%d", n);
            others[n] = mf_table_stat(table, S(name), S(""), S(""));
        }
        for (; gone < n - 500; gone++)
            mf_table_stat_give(table, others[gone]);
        mf_table_reclaim(table);
        CHECK(pieces < 10000);
    }
    for (int i = 0; i < STAYING; i++)
        wrong += told[i] != 1;
    CHECK_INT(wrong, 0);
    CHECK(pieces > 10);
    mf_table_free(table);
}

static void test_numbers(void)
{
    const int statuses[] = {20, 25, 30, 31, 35, 40, 50, 60, 70, 80, 90, 100};
    for (int i = 0; i < 12; i++) {
        char text[8];
        snprintf(text, sizeof text, "%d", statuses[i]);
        CHECK_INT(mf_stat_status_index(statuses[i]), i);
        CHECK_TEXT(mf_stat_status_name(i), text);
    }
    CHECK_INT(mf_stat_status_index(21), MF_STAT_OTHER);
    CHECK_INT(mf_stat_status_index(-1), MF_STAT_OTHER);
    CHECK_INT(mf_stat_status_index(276), MF_STAT_OTHER); /* 20 + 256 */
    CHECK_TEXT(mf_stat_status_name(MF_STAT_LOST), "lost");
    CHECK_TEXT(mf_stat_status_name(MF_STAT_OTHER), "other");
    CHECK_TEXT(mf_stat_status_name(MF_STAT_STATUS), "");
    CHECK_TEXT(mf_stat_status_name(-1), "");
    CHECK_INT(mf_stat_bucket(0), 0);
    for (int i = 0; i < MF_STAT_BUCKETS - 1; i++) {
        CHECK_INT(mf_stat_bucket(mf_stat_bucket_bound(i)), i);
        CHECK_INT(mf_stat_bucket(mf_stat_bucket_bound(i) + 1), i + 1);
        CHECK(mf_stat_bucket_bound(i) < mf_stat_bucket_bound(i + 1));
    }
    CHECK(mf_stat_bucket_bound(0) == 50000 && mf_stat_bucket_bound(MF_STAT_BUCKETS - 2) == 60000000000);
    CHECK(mf_stat_bucket(UINT64_MAX) == MF_STAT_BUCKETS - 1);
    CHECK(mf_stat_bucket_bound(MF_STAT_BUCKETS - 1) == UINT64_MAX);
}

static void test_other_protocols(void)
{
    for (int i = 0; i <= 16; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        CHECK_INT(mf_stat_grpc_index(i), MF_STAT_GRPC + i);
        CHECK_TEXT(mf_stat_status_name(MF_STAT_GRPC + i), text);
    }
    CHECK_INT(mf_stat_grpc_index(17), MF_STAT_GRPC_OTHER);
    CHECK_INT(mf_stat_grpc_index(-1), MF_STAT_GRPC_OTHER);
    CHECK_INT(mf_stat_grpc_index(INT_MAX), MF_STAT_GRPC_OTHER);
    CHECK_TEXT(mf_stat_status_name(MF_STAT_GRPC_OTHER), "other");
    CHECK_TEXT(mf_stat_status_name(mf_stat_http_index(103)), "1xx");
    CHECK_TEXT(mf_stat_status_name(mf_stat_http_index(200)), "2xx");
    CHECK_TEXT(mf_stat_status_name(mf_stat_http_index(404)), "4xx");
    CHECK_TEXT(mf_stat_status_name(mf_stat_http_index(599)), "5xx");
    const int none[] = {0, 99, 600, 999, -200, INT_MAX};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        CHECK_TEXT(mf_stat_status_name(mf_stat_http_index(none[i])), "5xx");
    CHECK_INT(mf_stat_http_index(599), MF_STAT_STATUS - 1);
    int n = 0;
    for (int i = 0; i < MF_STAT_STATUS; i++) {
        const char *name = mf_stat_protocol_name(i), *want = i < MF_STAT_GRPC ? "dubbo" : i < MF_STAT_HTTP ? "grpc" : "http";
        CHECK_TEXT(name, i == MF_STAT_LOST ? "" : want);
        for (int j = 0; j < i; j++) /* a pair of names is of one index */
            n += strcmp(name, mf_stat_protocol_name(j)) == 0 && strcmp(mf_stat_status_name(i), mf_stat_status_name(j)) == 0;
    }
    CHECK_INT(n, 0);
    CHECK_TEXT(mf_stat_protocol_name(-1), "");
    CHECK_TEXT(mf_stat_protocol_name(MF_STAT_STATUS), "");
}

int main(void)
{
    test_shards();
    test_no_memory();
    test_revived();
    test_odd_names();
    test_replaced();
    test_held();
    test_pieces();
    test_numbers();
    test_other_protocols();
    return test_end("table/stat");
}
