/* bound, mirror: which of a rule's calls count against a rate limit, and whom copies of them go to. */
#include "table/bound.h"
#include "table/mirror.h"

#include "mesh.h"

#define SECOND UINT64_C(1000000000)

static struct mf_table *table;
static struct mf_cluster *cluster;

static const struct mf_bound_condition own[] = {
    {.match = 0, .field = MF_FIELD_METHOD, .op = MF_OP_EXACT, .value = {(const uint8_t *)"pay", 3}},
    {.match = 0, .field = MF_FIELD_HEADER, .op = MF_OP_PRESENT, .key = {(const uint8_t *)"uid", 3}},
    {.match = 1, .field = MF_FIELD_LABEL, .op = MF_OP_EXACT, .key = {(const uint8_t *)"env", 3},
     .value = {(const uint8_t *)"gray", 4}},
};

/* Publishes one rule, to all of the cluster, with what `add` makes of it. 0 or its error. */
static int publish(int (*add)(struct mf_service *service, struct mf_actions *actions, void *arg), void *arg)
{
    struct mf_service *service = NULL;
    struct mf_actions *actions = mf_actions_new();
    int rc = actions ? mf_service_new(table, S("a.Cart"), MF_SERVICE_EXACT, &service) : -ENOMEM;
    if (rc == 0)
        rc = mf_service_rule(service, 0);
    if (rc >= 0)
        rc = mf_service_target(table, service, 0, cluster, MF_TARGET_ALL, S(""), 1, MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET);
    if (rc >= 0)
        rc = add(service, actions, arg);
    if (rc >= 0)
        rc = mf_service_actions(service, 0, actions);
    if (rc >= 0)
        rc = mf_table_publish(table, service);
    if (rc < 0 && service)
        mf_service_free(table, service);
    mf_actions_give(actions);
    return rc;
}

static struct mf_actions *look(struct mf_query *query)
{
    struct mf_route route;
    query->service = S("a.Cart");
    CHECK_INT(mf_route_lookup(table, query, &route), 0);
    CHECK_TEXT(route.peer->text, "10.0.0.1:1"); /* whatever there is besides */
    return route.actions;
}

static int add_bounds(struct mf_service *service, struct mf_actions *actions, void *arg)
{
    struct mf_bucket **buckets = arg;
    int rc = mf_bound_add(table, service, actions, S("all"), buckets[0], 0, NULL, 0);
    return rc < 0 ? rc : mf_bound_add(table, service, actions, S("some"), buckets[1], 2, own, 3);
}

static void test_bounds(void)
{
    struct mf_bucket *buckets[] = {mf_bucket_new(3, SECOND, 3, 0), mf_bucket_new(1, SECOND, 1, 0)};
    CHECK_INT(publish(add_bounds, buckets), 0);
    struct mf_slice labels[16] = {0}, gray[16] = {0};
    for (int i = 0; i < 16; i++) { /* whichever number it has */
        labels[i] = S("");
        gray[i] = S("gray");
    }
    struct mf_pair uid = {S("uid"), S("1")};
    struct mf_query plain = {.method = S("pay"), .now = 1, .labels = labels};
    struct mf_query known = {.method = S("pay"), .now = 1, .labels = labels, .headers = &uid, .n_headers = 1};
    struct mf_query grey = {.method = S("hi"), .now = 1, .labels = gray};
    struct mf_actions *actions = look(&plain);
    look(&known);
    look(&grey);
    CHECK(mf_bound_counts(actions->bounds, &plain) && !mf_bound_counts(actions->bounds->next, &plain));
    CHECK(mf_bound_counts(actions->bounds->next, &known) && mf_bound_counts(actions->bounds->next, &grey));
    CHECK(!mf_bound_over(actions, &known));
    CHECK(mf_bound_over(actions, &grey) == actions->bounds->next); /* shared by all that count */
    CHECK_STR(mf_bound_over(actions, &grey)->name, "some");
    CHECK_INT(mf_bucket_left(buckets[0], 1), 2); /* what was refused further on has taken none here */
    CHECK(!mf_bound_over(actions, &plain) && !mf_bound_over(actions, &plain));
    CHECK_STR(mf_bound_over(actions, &plain)->name, "all");
    CHECK_STR(mf_bound_over(actions, &known)->name, "all"); /* the first, of two */
    CHECK_INT(mf_load_relaxed(&buckets[1]->meter->counts[MF_BUCKET_REFUSED]), 2);
    CHECK_INT(mf_load_relaxed(&buckets[0]->meter->counts[MF_BUCKET_PASSED]), 3);
    plain.now += SECOND;
    CHECK(!mf_bound_over(actions, &plain));
    CHECK_INT(mf_table_remove(table, S("a.Cart"), MF_SERVICE_EXACT), 0);
    mf_table_reclaim(table);
    CHECK(mf_bucket_allow(buckets[0], 100 * SECOND)); /* ours still */
    mf_bucket_give(buckets[0]);
    mf_bucket_give(buckets[1]);
}

static int add_wrong(struct mf_service *service, struct mf_actions *actions, void *arg)
{
    const struct mf_bound_condition *condition = arg;
    struct mf_bucket *bucket = mf_bucket_new(1, 1, 1, 0);
    int rc = mf_bound_add(table, service, actions, S("x"), bucket, 1, condition, 1);
    mf_bucket_give(bucket);
    return rc;
}

static void test_wrong(void)
{
    static struct mf_bound_condition wrong[] = {
        {.match = 1}, {.field = MF_FIELDS}, {.op = MF_OP_ABSENT + 1}, {.field = MF_FIELD_HEADER, .op = MF_OP_REGEX}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(publish(add_wrong, &wrong[i]) < 0);
    CHECK_TEXT(goes_to(table, "a.Cart"), "MF_EROUTE_SERVICE");
}

/* The second target is nobody's but the mirror's. */
static int add_mirror(struct mf_service *service, struct mf_actions *actions, void *arg)
{
    const char *text = arg;
    bool label = strcmp(text, "env") == 0;
    struct mf_meter *meter = mf_meter_new();
    if (!meter)
        return -ENOMEM;
    int t = mf_service_target(table, service, 0, cluster, label ? MF_TARGET_LABEL : MF_TARGET_SUBSET, S(text), 0,
                              MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET);
    int rc = t < 0 ? t : mf_mirror_add(service, 0, (uint16_t)t, actions, 250000, meter);
    CHECK(rc < 0 || mf_mirror_add(service, 0, 9, actions, 1, meter) == MF_ELIMIT);
    mf_meter_give(meter);
    return rc;
}

static const char *copy_to(struct mf_query *query)
{
    struct mf_peer *peer = mf_mirror_pick(look(query)->mirrors, query);
    return peer ? peer->text : "nobody";
}

static void test_mirror(void)
{
    struct mf_query query = {.now = 1};
    CHECK_INT(publish(add_mirror, (void *)(uintptr_t)"v2"), 0);
    CHECK_TEXT(copy_to(&query), "10.0.0.2:1");
    uint32_t drawn = 0;
    struct mf_mirror *mirror = look(&query)->mirrors;
    for (uint64_t i = 0; i < 300; i++)
        drawn += mf_mirror_drawn(mirror, i * (UINT64_MAX / 300));
    CHECK(drawn == 75 || drawn == 76);
    mf_peer_set_down(mf_mirror_pick(mirror, &query), 2);
    CHECK_TEXT(copy_to(&query), "nobody");
    query.now = 3;
    CHECK_TEXT(copy_to(&query), "10.0.0.2:1");

    CHECK_INT(publish(add_mirror, (void *)(uintptr_t)"none"), 0); /* a subset that is not declared */
    CHECK_TEXT(copy_to(&query), "nobody");

    CHECK_INT(publish(add_mirror, (void *)(uintptr_t)"env"), 0);
    struct mf_slice gray[16], other[16];
    for (int i = 0; i < 16; i++) {
        gray[i] = S("gray");
        other[i] = S("other");
    }
    CHECK_TEXT(copy_to(&query), "nobody");
    query.labels = other;
    CHECK_TEXT(copy_to(&query), "nobody"); /* not the baseline */
    query.labels = gray;
    CHECK_TEXT(copy_to(&query), "10.0.0.2:1");
    CHECK_INT(mf_table_remove(table, S("a.Cart"), MF_SERVICE_EXACT), 0);
    mf_table_reclaim(table);
}

static void test_no_memory(void)
{
    struct mf_bucket *buckets[] = {mf_bucket_new(1, 1, 1, 0), mf_bucket_new(1, 1, 1, 0)};
    fail_at(0);
    for (int way = 0; way < 2; way++) {
        for (long at = 1;; at++) {
            fail_at(at);
            int rc = way ? publish(add_mirror, (void *)(uintptr_t)"env") : publish(add_bounds, buckets);
            fail_at(0);
            if (rc == 0)
                break;
            CHECK_INT(rc, -ENOMEM);
        }
        CHECK_INT(mf_table_remove(table, S("a.Cart"), MF_SERVICE_EXACT), 0);
        mf_table_reclaim(table);
    }
    mf_bucket_give(buckets[0]);
    mf_bucket_give(buckets[1]);
}

int main(void)
{
    const struct mf_pair v2 = {S("v"), S("2")};
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(mf_cluster_new(table, S("cart"), &cluster), 0);
    const struct mf_pair labels[] = {{S("v"), S("2")}, {S("env"), S("gray")}};
    CHECK_INT(mf_cluster_add(table, cluster, S("10.0.0.1:1"), NULL, 0, 65535), 0);
    CHECK_INT(mf_cluster_add(table, cluster, S("10.0.0.2:1"), labels, 2, 1), 0);
    CHECK_INT(mf_cluster_subset(table, cluster, S("v2"), &v2, 1), 0);
    CHECK_INT(mf_cluster_seal(table, cluster), 0);
    test_bounds();
    test_wrong();
    test_mirror();
    test_no_memory();
    mf_cluster_give(table, cluster);
    mf_table_free(table);
    return test_end("table/bound");
}
