/* spare: lookups pass over those who are out, of that group alone; with too few that are healthy nobody is. */
#include "table/spare.h"
#include "table/guard.h"
#include "table/mesh.h"
#include "table/plan.h"

#define SECOND UINT64_C(1000000000)

static const struct mf_policy ejecting = {
    .guarded = true,
    .ejects = true,
    .outlier = {.errors = 1, .max_percent = 100, .interval = SECOND, .base = SECOND, .longest = SECOND},
};

static struct mf_cluster *cluster_of(struct mf_table *table, const char *host, const struct mf_policy *policy)
{
    struct mf_cluster *cluster;
    const struct box boxes[] = {BOX("10.0.0.1:1"), BOX("10.0.0.2:1", 3), BOX("10.0.0.3:1")};
    CHECK_INT(make_cluster(table, host, boxes, 3, &cluster), 0);
    if (policy)
        CHECK_INT(mf_cluster_policy(table, cluster, S(""), policy), 0);
    CHECK_INT(mf_cluster_seal(table, cluster), 0);
    return cluster;
}

static void publish(struct mf_table *table, const char *service, const char *host, const struct mf_policy *policy)
{
    struct mf_cluster *cluster = cluster_of(table, host, policy);
    CHECK_INT(publish_all(table, service, MF_SERVICE_EXACT, cluster), 0);
    mf_cluster_give(table, cluster);
}

static int look_up(struct mf_table *table, const char *service, uint64_t random, uint64_t now, struct mf_route *route)
{
    struct mf_query query = {.service = S(service), .method = S("m"), .random = random, .now = now};
    return mf_route_lookup(table, &query, route);
}

/* Which of the three instances are chosen, as bits. */
static int chosen(struct mf_table *table, const char *service, uint64_t now)
{
    int found = 0;
    for (uint64_t i = 1; i < 200; i++) {
        struct mf_route route;
        if (look_up(table, service, i * MF_HASH_A, now, &route) == 0)
            found |= 1 << (route.peer->text[7] - '1');
    }
    return found;
}

/* Answers an error from that one. */
static void fails(struct mf_table *table, const char *service, int number, uint64_t now)
{
    struct mf_route route;
    for (uint64_t i = 1; i < 1000; i++) {
        CHECK_INT(look_up(table, service, i * MF_HASH_A, now, &route), 0);
        if (route.peer->text[7] - '1' != number)
            continue;
        mf_outlier_count(route.plan->outlier, route.peer, 500, false, now);
        return;
    }
    CHECK(false);
}

static void test_passed_over(void)
{
    struct mf_table *table;
    CHECK_INT(mf_table_new(&table), 0);
    publish(table, "a", "one", &ejecting);
    publish(table, "b", "two", &ejecting);
    publish(table, "c", "three", NULL);
    uint64_t now = 10 * SECOND;
    CHECK_INT(chosen(table, "a", now), 7);
    fails(table, "a", 1, now);
    CHECK_INT(chosen(table, "a", now), 5);
    CHECK_INT(chosen(table, "b", now), 7); /* others have the same instances */
    CHECK_INT(chosen(table, "c", now), 7);
    fails(table, "a", 0, now);
    CHECK_INT(chosen(table, "a", now), 4);
    fails(table, "a", 2, now);
    struct mf_route route;
    CHECK_INT(look_up(table, "a", 1, now, &route), MF_EROUTE_DOWN);
    CHECK_INT(chosen(table, "a", now + SECOND), 7);

    /* Who asks for no calls is better than nobody; who is out is not. */
    fails(table, "b", 0, now);
    fails(table, "b", 1, now);
    CHECK_INT(look_up(table, "c", 1, now, &route), 0);
    for (uint64_t i = 1; i < 100 && route.peer->text[7] != '3'; i++)
        look_up(table, "c", i * MF_HASH_A, now, &route);
    mf_peer_set_down(route.peer, now + SECOND);
    CHECK_INT(look_up(table, "b", 1, now, &route), MF_EROUTE_DOWN);
    mf_table_free(table);
}

static void test_avoided_as_well(void)
{
    struct mf_table *table;
    CHECK_INT(mf_table_new(&table), 0);
    publish(table, "a", "one", &ejecting);
    fails(table, "a", 0, SECOND);
    struct mf_route route, other;
    CHECK_INT(look_up(table, "a", 7, SECOND, &route), 0);
    const struct mf_peer *avoid[] = {route.peer};
    for (uint64_t i = 1; i < 100; i++) {
        struct mf_query query = {.service = S("a"), .method = S("m"), .random = i * MF_HASH_A, .now = SECOND,
                                 .avoid = avoid, .n_avoid = 1};
        CHECK_INT(mf_route_lookup(table, &query, &other), 0);
        CHECK(other.peer != route.peer && other.peer->text[7] != '1');
        CHECK_INT(query.n_avoid, 1);
    }
    mf_table_free(table);
}

static void test_few_are_healthy(void)
{
    struct mf_table *table;
    struct mf_policy policy = ejecting;
    policy.outlier.least_percent = 50;
    CHECK_INT(mf_table_new(&table), 0);
    publish(table, "a", "one", &policy);
    uint64_t now = 10 * SECOND;
    fails(table, "a", 0, now);
    CHECK_INT(chosen(table, "a", now), 6); /* 66 % */
    fails(table, "a", 1, now);
    CHECK_INT(chosen(table, "a", now), 7); /* 33 % */
    CHECK_INT(chosen(table, "a", now + 1000), 7);
    CHECK_INT(chosen(table, "a", now + SECOND), 7); /* all are back */
    fails(table, "a", 2, now + SECOND);
    CHECK_INT(chosen(table, "a", now + SECOND), 3);
    mf_table_free(table);
}

/* What it says holds from its publish on; what is given up never did. */
static void test_given_up(void)
{
    struct mf_table *table;
    struct mf_policy other = ejecting;
    other.outlier.errors = 0;
    other.breaks = true;
    other.breaker.most[MF_BREAKER_REQUESTS] = 7;
    CHECK_INT(mf_table_new(&table), 0);
    publish(table, "a", "one", &ejecting);
    struct mf_route route;
    CHECK_INT(look_up(table, "a", 1, SECOND, &route), 0);
    struct mf_guard *guard = route.plan->guard;
    mf_cluster_give(table, cluster_of(table, "one", &other));
    mf_table_reclaim(table);
    struct mf_guard_told told;
    mf_guard_tell(guard, &told);
    CHECK(told.ejects && told.most[MF_BREAKER_REQUESTS] == 0);
    fails(table, "a", 0, SECOND);
    CHECK_INT(chosen(table, "a", SECOND), 6);
    mf_guard_tell(guard, &told);
    CHECK_INT(told.ejections[MF_OUTLIER_ERRORS], 1);

    publish(table, "a", "one", &other);
    CHECK_INT(look_up(table, "a", 1, SECOND, &route), 0);
    CHECK(route.plan->guard == guard);
    mf_guard_tell(guard, &told);
    CHECK(told.ejects && told.most[MF_BREAKER_REQUESTS] == 7);
    CHECK_INT(chosen(table, "a", SECOND), 6); /* who is out stays out */
    fails(table, "a", 1, SECOND);
    CHECK_INT(chosen(table, "a", SECOND), 6); /* 0: none do */
    mf_table_reclaim(table);

    publish(table, "a", "one", NULL);
    CHECK_INT(chosen(table, "a", SECOND), 7);
    mf_table_reclaim(table);
    mf_table_reclaim(table);
    mf_table_free(table);
}

static void test_no_memory(void)
{
    for (long n = 1;; n++) {
        struct mf_table *table;
        struct mf_cluster *cluster = NULL;
        CHECK_INT(mf_table_new(&table), 0);
        const struct box boxes[] = {BOX("10.0.0.1:1"), BOX("10.0.0.2:1")};
        CHECK_INT(make_cluster(table, "one", boxes, 2, &cluster), 0);
        fail_at(n);
        int rc = mf_cluster_policy(table, cluster, S(""), &ejecting);
        if (rc == 0)
            rc = mf_cluster_seal(table, cluster);
        bool failed = fail_failed > 0;
        fail_at(0);
        CHECK_INT(rc, failed ? -ENOMEM : 0);
        mf_cluster_give(table, cluster);
        mf_table_reclaim(table);
        mf_table_free(table);
        if (!failed)
            break;
    }
}

int main(void)
{
    test_passed_over();
    test_avoided_as_well();
    test_few_are_healthy();
    test_given_up();
    test_no_memory();
    return test_end("table/spare");
}
