/* policy: a balancer by the whole way of a lookup: whose it is, what it hashes, what explain tells, and that nothing stays. */
#include "table/policy.h"

#include "table/mesh.h"
#include "table/plan.h"

static struct mf_table *table;
static struct mf_cluster *cluster;

/* Everything it points at is gone when this returns. */
static int give_policy(const char *subset, enum mf_balancer kind, const char *key)
{
    char *copy = strdup(key);
    struct mf_policy_balancer *balancer = calloc(1, sizeof *balancer);
    *balancer = (struct mf_policy_balancer){.kind = (uint8_t)kind, .key = mf_slice_str(copy)};
    int rc = mf_cluster_policy(table, cluster, S(subset), &(struct mf_policy){.balancer = balancer});
    free(copy);
    free(balancer);
    return rc;
}

static int publish(const char *name, enum mf_target_kind kind, const char *text)
{
    struct mf_service *service;
    int rc = mf_service_new(table, S(name), MF_SERVICE_EXACT, &service);
    if (rc != 0)
        return rc;
    rc = mf_service_rule(service, 0);
    if (rc >= 0)
        rc = mf_service_target(table, service, 0, cluster, kind, S(text), 1, MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET);
    if (rc >= 0)
        rc = mf_table_publish(table, service);
    if (rc < 0)
        mf_service_free(table, service);
    return rc;
}

static int build(void)
{
    int rc = mf_cluster_new(table, S("app"), &cluster);
    for (int i = 0; rc == 0 && i < 6; i++) {
        char dubbo[32], http[32];
        struct mf_pair label = {S("env"), i < 3 ? S("red") : S("blue")};
        snprintf(dubbo, sizeof dubbo, "10.0.0.%d:1", i);
        snprintf(http, sizeof http, "10.0.0.%d:2", i);
        rc = mf_cluster_add_apart(table, cluster, (struct mf_slice[]){S(dubbo), S(http)}, &label, 1, 1);
    }
    if (rc == 0)
        rc = mf_cluster_subset(table, cluster, S("red"), &(struct mf_pair){S("env"), S("red")}, 1);
    if (rc == 0)
        rc = give_policy("", MF_BALANCER_HASH, "x-user");
    if (rc == 0)
        rc = give_policy("", MF_BALANCER_HASH, "x-user"); /* the last one counts */
    if (rc == 0)
        rc = give_policy("red", MF_BALANCER_ROUND_ROBIN, "");
    if (rc == 0)
        rc = mf_cluster_seal(table, cluster);
    if (rc == 0)
        rc = publish("all", MF_TARGET_ALL, "");
    if (rc == 0)
        rc = publish("red", MF_TARGET_SUBSET, "red");
    if (rc == 0)
        rc = publish("env", MF_TARGET_LABEL, "env");
    if (cluster)
        mf_cluster_give(table, cluster);
    cluster = NULL;
    return rc;
}

static struct mf_pair header = {MF_SLICE("x-user"), MF_SLICE("")};
static const struct mf_http_view http;
static uint64_t asked;

static struct mf_query query_of(const char *service, const char *user, bool over_http)
{
    header.value = S(user);
    return (struct mf_query){.service = S(service), .method = S("m"), .headers = &header, .n_headers = user ? 1 : 0,
                             .http = over_http ? &http : NULL, .now = 1, .random = mf_hash_mix(++asked, MF_HASH_A)};
}

static const char *goes(const char *service, const char *user, bool over_http)
{
    struct mf_route route;
    struct mf_query query = query_of(service, user, over_http);
    int rc = mf_route_lookup(table, &query, &route), batched;
    CHECK_INT(rc, 0);
    CHECK(route.governed && route.plan);
    struct mf_peer *peer = route.peer;
    mf_route_lookup_batch(table, &query, 1, &route, &batched);
    CHECK_INT(batched, 0);
    CHECK(route.governed && route.plan && (!user || strcmp(service, "red") == 0 || route.peer == peer));
    return peer->text;
}

static void test_whose(void)
{
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(build(), 0);
    char first[32];
    for (int over_http = 0; over_http < 2; over_http++) {
        snprintf(first, sizeof first, "%s", goes("all", "ann", over_http));
        CHECK_STR(mf_slice_str(strchr(first, ':')), over_http ? ":2" : ":1");
        bool others = false;
        for (int i = 0; i < 30; i++) {
            char user[24];
            snprintf(user, sizeof user, "user-%d", i);
            CHECK(strcmp(goes("all", "ann", over_http), first) == 0);
            others |= strcmp(goes("all", user, over_http), first) != 0;
        }
        CHECK(others);
        int turns[3] = {0};
        for (int i = 0; i < 15; i++) /* two of them at a time: the other is the batch's */
            turns[goes("red", "ann", over_http)[7] - '0']++;
        CHECK_INT(turns[0] + turns[1] + turns[2], 15);
        CHECK(turns[0] == 5 && turns[1] == 5 && turns[2] == 5);
    }
    mf_table_free(table);
}

static void explain(const char *user, enum mf_route_step_kind kind, const char *text)
{
    struct mf_route_step room[16];
    struct mf_route_steps steps = {.steps = room, .room = 16};
    struct mf_route route;
    struct mf_query query = query_of("all", user, false);
    CHECK_INT(mf_route_explain(table, &query, &route, &steps), 0);
    uint32_t i = 0;
    while (i < steps.n && room[i].kind != kind)
        i++;
    CHECK(i < steps.n && room[i + 1].kind == MF_STEP_PEER);
    if (i < steps.n)
        CHECK_STR(room[i].text, text);
}

static void test_explain(void)
{
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(build(), 0);
    explain("ann", MF_STEP_HASH, "ann");
    explain(NULL, MF_STEP_NO_HASH, "");
    mf_table_free(table);
}

/* Instances that come behind a policy have no places in it. */
static void test_places(void)
{
    static const struct mf_place places[2];
    struct mf_policy_locality locality = {.places = places, .n = 1};
    struct mf_policy policy = {.locality = &locality};
    for (int own = 0; own < 2; own++) {
        CHECK_INT(mf_table_new(&table), 0);
        CHECK_INT(mf_cluster_new(table, S("app"), &cluster), 0);
        CHECK_INT(mf_cluster_subset(table, cluster, S("own"), NULL, 0), 0);
        CHECK_INT(mf_cluster_policy(table, cluster, S(own ? "own" : ""), &policy), MF_ELIMIT);
        CHECK_INT(mf_cluster_add(table, cluster, S("10.0.0.1:1"), NULL, 0, 1), 0);
        CHECK_INT(mf_cluster_policy(table, cluster, S(own ? "own" : ""), &policy), 0);
        CHECK_INT(mf_cluster_add(table, cluster, S("10.0.0.2:1"), NULL, 0, 1), 0);
        CHECK_INT(mf_cluster_seal(table, cluster), MF_ELIMIT);
        locality.n = 2;
        CHECK_INT(mf_cluster_policy(table, cluster, S(own ? "own" : ""), &policy), 0);
        CHECK_INT(mf_cluster_seal(table, cluster), 0);
        locality.n = 1;
        mf_cluster_give(table, cluster);
        mf_table_free(table);
    }
}

static void test_no_memory(void)
{
    long n = 1;
    for (long i = 0; i <= n; i++) {
        fail_at(0);
        CHECK_INT(mf_table_new(&table), 0);
        fail_at(i);
        int rc = build();
        if (i == 0)
            n = fail_seen;
        fail_at(0);
        CHECK(rc == 0 || rc == -ENOMEM);
        CHECK_INT(build(), 0); /* usable after the failure */
        mf_table_free(table);
    }
    CHECK(n > 30);
}

int main(void)
{
    fail_at(0);
    test_whose();
    test_explain();
    test_places();
    test_no_memory();
    return test_end("table/policy");
}
