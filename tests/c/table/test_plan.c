/* plan, guard, actions: which groups have a plan, whose policy it is, and that all of it is freed when nobody needs it. */
#include "table/plan.h"

#include "table/guard.h"
#include "table/mesh.h"
#include "table/writer.h"

static const struct mf_policy watched = {.guarded = true};

static void count_guard(void *arg, struct mf_guard *guard)
{
    (void)guard;
    ++*(int *)arg;
}

static int n_guards(struct mf_table *table)
{
    int n = 0;
    mf_table_each_guard(table, count_guard, &n);
    return n;
}

static int look_up(struct mf_table *table, const char *service, struct mf_route *route)
{
    struct mf_query query = {.service = S(service), .method = S("m"), .random = 1};
    return mf_route_lookup(table, &query, route);
}

/* Adds a rule with one target to a service that is published. */
static int publish(struct mf_table *table, const char *name, struct mf_cluster *cluster, enum mf_target_kind kind,
                   const char *text, struct mf_actions *actions)
{
    struct mf_service *service;
    int rc = mf_service_new(table, S(name), MF_SERVICE_EXACT, &service);
    if (rc != 0)
        return rc;
    rc = mf_service_rule(service, 0);
    if (rc >= 0 && actions)
        rc = mf_service_actions(service, 0, actions);
    if (rc >= 0)
        rc = mf_service_target(table, service, 0, cluster, kind, S(text), 1, MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET);
    if (rc >= 0)
        rc = mf_table_publish(table, service);
    if (rc < 0)
        mf_service_free(table, service);
    return rc;
}

/* A cluster with a policy of its own, and a subset that has another. 0 or an error. */
static int build(struct mf_table *table, const struct mf_policy *own, const struct mf_policy *of_subset,
                 struct mf_cluster **out)
{
    struct box boxes[] = {BOX("10.0.0.1:1", 1, "env", "red"), BOX("10.0.0.2:1", 1, "env", "blue"), BOX("10.0.0.3:1")};
    struct mf_pair red[] = {{S("env"), S("red")}};
    int rc = make_cluster(table, "app", boxes, 3, out);
    if (rc != 0)
        return rc;
    rc = mf_cluster_subset(table, *out, S("v1"), red, 1);
    if (rc == 0 && own)
        rc = mf_cluster_policy(table, *out, S(""), own);
    if (rc == 0 && of_subset)
        rc = mf_cluster_policy(table, *out, S("v1"), of_subset);
    if (rc == 0)
        rc = mf_cluster_seal(table, *out);
    if (rc != 0)
        mf_cluster_give(table, *out);
    return rc;
}

static void test_whose_plan(void)
{
    struct mf_table *table;
    struct mf_cluster *cluster;
    struct mf_route route;
    struct mf_policy none = {0};
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(build(table, &watched, &none, &cluster), 0);
    CHECK_INT(mf_cluster_policy(table, cluster, S(""), &none), MF_ECLOSED);
    CHECK_INT(publish(table, "all", cluster, MF_TARGET_ALL, "", NULL), 0);
    CHECK_INT(publish(table, "v1", cluster, MF_TARGET_SUBSET, "v1", NULL), 0);
    CHECK_INT(publish(table, "base", cluster, MF_TARGET_BASELINE, "env", NULL), 0);
    CHECK_INT(look_up(table, "all", &route), 0);
    CHECK(route.plan && route.plan->guard);
    CHECK_STR(mf_slice_str(route.plan->guard->host), "app");
    CHECK_STR(mf_slice_str(route.plan->guard->subset), "");
    CHECK_INT(look_up(table, "v1", &route), 0);
    CHECK(route.plan && !route.plan->guard); /* its own policy is whole */
    CHECK_STR(mf_slice_str(route.peer->text), "10.0.0.1:1");
    CHECK_INT(look_up(table, "base", &route), 0);
    CHECK(route.plan && route.plan->guard);
    CHECK_STR(mf_slice_str(route.plan->guard->subset), "baseline");
    mf_cluster_give(table, cluster);

    CHECK_INT(build(table, NULL, NULL, &cluster), 0);
    CHECK_INT(publish(table, "plain", cluster, MF_TARGET_ALL, "", NULL), 0);
    CHECK_INT(look_up(table, "plain", &route), 0);
    CHECK(!route.plan && !route.actions);
    mf_cluster_give(table, cluster);
    CHECK_INT(build(table, &none, NULL, &cluster), 0);
    mf_cluster_give(table, cluster);
    mf_table_free(table);
}

/* Kept over an update of the same host and subset, and by a call that is still in it. */
static void test_guards(void)
{
    struct mf_table *table;
    struct mf_cluster *cluster;
    struct mf_route route;
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(build(table, &watched, NULL, &cluster), 0);
    CHECK_INT(publish(table, "s", cluster, MF_TARGET_ALL, "", NULL), 0);
    mf_cluster_give(table, cluster);
    CHECK_INT(look_up(table, "s", &route), 0);
    struct mf_guard *guard = route.plan->guard;
    CHECK_INT(mf_guard_enter(guard), 1);

    CHECK_INT(build(table, &watched, NULL, &cluster), 0);
    CHECK_INT(publish(table, "s", cluster, MF_TARGET_ALL, "", NULL), 0);
    mf_cluster_give(table, cluster);
    mf_table_reclaim(table);
    CHECK_INT(look_up(table, "s", &route), 0);
    CHECK(route.plan->guard == guard);

    CHECK_INT(mf_table_remove(table, S("s"), MF_SERVICE_EXACT), 0);
    mf_table_reclaim(table);
    CHECK(n_guards(table) >= 1);
    CHECK_INT(mf_load_relaxed(&guard->active), 1);
    mf_guard_leave(guard);
    mf_table_reclaim(table);
    mf_table_reclaim(table);
    CHECK_INT(n_guards(table), 0);
    mf_table_free(table);
}

/* Found also where there is no peer; a call may keep them longer than their rule is there. */
static void test_actions(void)
{
    struct mf_table *table;
    struct mf_cluster *cluster;
    struct mf_route route;
    struct mf_actions *actions = mf_actions_new();
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(build(table, NULL, NULL, &cluster), 0);
    CHECK(actions && mf_actions_alloc(actions, 100));
    CHECK_INT(publish(table, "s", cluster, MF_TARGET_ALL, "", actions), 0);
    CHECK_INT(publish(table, "nobody", cluster, MF_TARGET_SUBSET, "none", actions), 0);
    CHECK_INT(look_up(table, "s", &route), 0);
    CHECK(route.actions == actions && !route.plan);
    CHECK_INT(look_up(table, "nobody", &route), MF_EROUTE_PEER);
    CHECK(route.actions == actions);
    mf_cluster_give(table, cluster);
    mf_actions_give(actions);
    mf_actions_take(actions);
    mf_table_free(table);
    mf_actions_give(actions);
    mf_actions_give(NULL);
}

static int build_and_publish(struct mf_table *table, struct mf_actions *actions)
{
    struct mf_cluster *cluster;
    int rc = build(table, &watched, &watched, &cluster);
    if (rc != 0)
        return rc;
    rc = publish(table, "s", cluster, MF_TARGET_LABEL, "env", actions);
    mf_cluster_give(table, cluster);
    return rc;
}

static void test_no_memory(void)
{
    long n = 1;
    for (long i = 0; i <= n; i++) {
        struct mf_table *table;
        fail_at(0);
        struct mf_actions *actions = mf_actions_new();
        CHECK(actions != NULL);
        CHECK_INT(mf_table_new(&table), 0);
        fail_at(i);
        int rc = build_and_publish(table, actions);
        if (i == 0)
            n = fail_seen;
        fail_at(0);
        CHECK(rc == 0 || rc == -ENOMEM);
        CHECK_INT(build_and_publish(table, actions), 0); /* usable after the failure */
        mf_table_free(table);
        mf_actions_give(actions);
    }
    CHECK(n > 10);
    fail_at(1);
    CHECK(mf_actions_new() == NULL);
    fail_at(0);
}

/* Many at a time go where each alone would, also where who is hashed to is down, or there is nothing to hash. */
static void test_hashed_together(void)
{
    enum { N = 40 };
    const struct mf_policy_balancer by_user = {.kind = MF_BALANCER_HASH, .key = MF_SLICE("x-user")};
    const struct mf_policy hashed = {.balancer = &by_user};
    static char users[N][16];
    struct mf_pair headers[N];
    struct mf_query queries[N];
    struct mf_route routes[N], alone;
    struct mf_table *table;
    struct mf_cluster *cluster, *plain;
    int rcs[N], moved = 0;
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(build(table, &hashed, NULL, &cluster), 0);
    CHECK_INT(build(table, NULL, NULL, &plain), 0);
    CHECK_INT(publish(table, "hashed", cluster, MF_TARGET_ALL, "", NULL), 0);
    CHECK_INT(publish(table, "plain", plain, MF_TARGET_ALL, "", NULL), 0);
    for (int down = 0; down < 2; down++) {
        for (int i = 0; i < N; i++) {
            snprintf(users[i], sizeof users[i], "u%d", i);
            headers[i] = (struct mf_pair){S("x-user"), S(users[i])};
            queries[i] = (struct mf_query){.service = i % 5 == 4 ? S("plain") : i % 7 == 6 ? S("nobody") : S("hashed"),
                                           .method = S("m"), .headers = &headers[i], .n_headers = i % 3 > 0,
                                           .random = (uint64_t)i * MF_HASH_A, .now = 1};
        }
        if (down)
            mf_peer_set_down(routes[1].peer, 1000);
        struct mf_peer *first = down ? routes[1].peer : NULL;
        mf_route_lookup_batch(table, queries, N, routes, rcs);
        for (int i = 0; i < N; i++) {
            CHECK_INT(mf_route_lookup(table, &queries[i], &alone), rcs[i]);
            CHECK(alone.peer == routes[i].peer && alone.stat == routes[i].stat && alone.plan == routes[i].plan);
            CHECK_INT(alone.governed, routes[i].governed);
            CHECK(!first || alone.peer != first);
            moved += first && rcs[i] == 0;
        }
    }
    CHECK(moved > 0);
    mf_cluster_give(table, cluster);
    mf_cluster_give(table, plain);
    mf_table_free(table);
}

int main(void)
{
    test_hashed_together();
    test_whose_plan();
    test_guards();
    test_actions();
    test_no_memory();
    return test_end("table/plan");
}
