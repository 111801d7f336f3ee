/* plan, guard, outlier: what policy says of a guard changes while the plans before are still looked at: the newest holds, who
 * is watched anew begins anew, and who stays watched keeps what was counted. */
#include "table/compiled.h"
#include "table/guard.h"
#include "table/mesh.h"
#include "table/plan.h"

#define MS UINT64_C(1000000)
enum { NOW = 1000, PEERS = 4 };

static const struct mf_outlier_rules usual = {
    .errors = 5, .max_percent = 100, .interval = MS, .base = 30000 * MS, .longest = 300000 * MS,
};

struct world {
    struct mf_table *table;
    int reader; /* is in the midst of a turn: nothing is freed */
};

static void begin(struct world *world)
{
    CHECK_INT(mf_table_new(&world->table), 0);
    world->reader = mf_epoch_join(mf_table_epoch(world->table));
    mf_epoch_online(mf_table_epoch(world->table), world->reader);
}

static void end(struct world *world)
{
    mf_epoch_leave(mf_table_epoch(world->table), world->reader);
    mf_table_reclaim(world->table);
    mf_table_free(world->table);
}

/* NULL: it is not watched. `apart`: with addresses of their own for HTTP. */
static struct mf_cluster *build(struct world *world, const struct mf_policy *policy, bool apart)
{
    struct mf_cluster *cluster;
    CHECK_INT(mf_cluster_new(world->table, S("app"), &cluster), 0);
    for (int i = 0; i < PEERS; i++) {
        char texts[2][32];
        snprintf(texts[0], sizeof texts[0], "10.0.0.%d:80", i + 1);
        snprintf(texts[1], sizeof texts[1], "10.0.0.%d:%d", i + 1, apart ? 81 : 80);
        const struct mf_slice addrs[] = {S(texts[0]), S(texts[1])};
        CHECK_INT(mf_cluster_add_apart(world->table, cluster, addrs, NULL, 0, 1), 0);
    }
    CHECK_INT(mf_cluster_policy(world->table, cluster, S(""), policy), 0);
    CHECK_INT(mf_cluster_seal(world->table, cluster), 0);
    return cluster;
}

static struct mf_cluster *ejecting(struct world *world, struct mf_outlier_rules rules)
{
    return build(world, &(struct mf_policy){.guarded = true, .ejects = true, .outlier = rules}, false);
}

static struct mf_cluster *watching(struct world *world)
{
    return build(world, &(struct mf_policy){.guarded = true}, false);
}

static void publish(struct world *world, struct mf_cluster *cluster)
{
    CHECK_INT(publish_all(world->table, "s", MF_SERVICE_EXACT, cluster), 0);
    mf_cluster_give(world->table, cluster);
    mf_table_reclaim(world->table);
}

static struct mf_route look_up(struct world *world, bool http)
{
    static const struct mf_http_view view;
    struct mf_query query = {.service = S("s"), .method = S("m"), .random = 1, .now = NOW * MS,
                             .http = http ? &view : NULL};
    struct mf_route route;
    CHECK_INT(mf_route_lookup(world->table, &query, &route), 0);
    return route;
}

static struct mf_outlier *outlier_of(struct world *world)
{
    return &look_up(world, false).plan->guard->outliers[0];
}

static struct mf_peer *peer(struct world *world, int i)
{
    return look_up(world, false).plan->group->peers[i];
}

static enum mf_outlier_news fails(struct world *world, int i, int times)
{
    enum mf_outlier_news news = MF_OUTLIER_NOTHING;
    while (times--)
        news = mf_outlier_count(outlier_of(world), peer(world, i), 500, false, NOW * MS).news;
    return news;
}

static bool out(struct world *world, int i)
{
    return mf_outlier_out(outlier_of(world), peer(world, i), NOW * MS);
}

static void off_and_on(void)
{
    struct world world;
    begin(&world);
    publish(&world, ejecting(&world, usual));
    CHECK_INT(fails(&world, 0, 5), MF_OUTLIER_EJECTED);
    fails(&world, 1, 4);
    publish(&world, watching(&world));
    CHECK(!out(&world, 0));
    CHECK_INT(fails(&world, 2, 50), MF_OUTLIER_NOTHING);
    publish(&world, ejecting(&world, usual));
    CHECK(!out(&world, 0));
    CHECK_INT(fails(&world, 1, 4), MF_OUTLIER_NOTHING); /* not the ones before */
    CHECK_INT(fails(&world, 1, 1), MF_OUTLIER_EJECTED);
    CHECK(!out(&world, 0)); /* now that somebody is */
    CHECK_INT(fails(&world, 0, 5), MF_OUTLIER_EJECTED);
    end(&world);
}

/* Nobody ever saw that it was off. */
static void off_and_on_unpublished(void)
{
    struct world world;
    begin(&world);
    publish(&world, ejecting(&world, usual));
    CHECK_INT(fails(&world, 0, 5), MF_OUTLIER_EJECTED);
    fails(&world, 1, 4);
    struct mf_cluster *off = watching(&world), *on = ejecting(&world, usual);
    publish(&world, on);
    CHECK(out(&world, 0));
    CHECK_INT(fails(&world, 1, 1), MF_OUTLIER_EJECTED);
    mf_cluster_give(world.table, off);
    end(&world);
}

static void on_and_off_unpublished(void)
{
    struct world world;
    begin(&world);
    struct mf_cluster *on = ejecting(&world, usual), *off = watching(&world);
    publish(&world, off);
    CHECK(!mf_load_relaxed(&outlier_of(&world)->rules));
    mf_cluster_give(world.table, on);
    /* The newest that is still there. */
    on = ejecting(&world, usual);
    mf_cluster_give(world.table, watching(&world));
    publish(&world, on);
    CHECK_INT(fails(&world, 0, 5), MF_OUTLIER_EJECTED);
    end(&world);
}

static void thresholds(void)
{
    struct world world;
    struct mf_outlier_rules rules = usual;
    begin(&world);
    publish(&world, ejecting(&world, usual));
    CHECK_INT(fails(&world, 0, 5), MF_OUTLIER_EJECTED);
    fails(&world, 1, 3);
    rules.errors = 4;
    publish(&world, ejecting(&world, rules));
    CHECK(out(&world, 0));
    CHECK_INT(fails(&world, 1, 1), MF_OUTLIER_EJECTED);
    fails(&world, 2, 3);
    rules.errors = 9;
    publish(&world, ejecting(&world, rules));
    CHECK_INT(fails(&world, 2, 5), MF_OUTLIER_NOTHING);
    CHECK_INT(fails(&world, 2, 1), MF_OUTLIER_EJECTED);
    /* Failures of our own count apart, then not, then again. */
    struct mf_outlier *outlier = outlier_of(&world);
    rules.local = 3;
    rules.split = true;
    publish(&world, ejecting(&world, rules));
    for (int i = 0; i < 2; i++)
        mf_outlier_count(outlier, peer(&world, 3), 503, true, NOW * MS);
    rules.split = false;
    publish(&world, ejecting(&world, rules));
    mf_outlier_count(outlier, peer(&world, 3), 200, false, NOW * MS);
    rules.split = true;
    publish(&world, ejecting(&world, rules));
    CHECK_INT(mf_outlier_count(outlier, peer(&world, 3), 503, true, NOW * MS).news, MF_OUTLIER_NOTHING);
    end(&world);
}

static void the_newest_holds(void)
{
    struct world world;
    struct mf_policy one = {.guarded = true, .breaks = true, .breaker = {.most = {1, 1, 1, 1}}, .budget = {true, 100, 1}};
    struct mf_policy two = {.guarded = true, .breaks = true, .breaker = {.most = {2, 2, 2, 2}}, .budget = {true, 200, 2}};
    begin(&world);
    struct mf_cluster *older = build(&world, &one, true), *newer = build(&world, &two, true);
    publish(&world, newer);
    struct mf_guard *guard = look_up(&world, false).plan->guard;
    CHECK_INT(mf_load_relaxed(&guard->breaker.most[MF_BREAKER_REQUESTS]), 2);
    CHECK_INT(mf_load_relaxed(&guard->retry_share), 200);
    mf_cluster_give(world.table, older);
    older = build(&world, &one, false);
    publish(&world, older);
    CHECK_INT(mf_load_relaxed(&guard->breaker.most[MF_BREAKER_REQUESTS]), 1);
    CHECK_INT(mf_load_relaxed(&guard->retry_least), 1);
    end(&world);
}

/* Where HTTP had addresses of its own, and has none any more. */
static void one_address(void)
{
    struct world world;
    struct mf_policy ejects = {.guarded = true, .ejects = true, .outlier = usual};
    struct mf_guard_told told;
    begin(&world);
    publish(&world, build(&world, &ejects, true));
    struct mf_guard *guard = look_up(&world, true).plan->guard;
    CHECK(mf_load_relaxed(&guard->outliers[0].rules) && mf_load_relaxed(&guard->outliers[1].rules));
    publish(&world, build(&world, &ejects, false));
    CHECK(mf_load_relaxed(&guard->outliers[0].rules) && !mf_load_relaxed(&guard->outliers[1].rules));
    publish(&world, watching(&world));
    mf_guard_tell(guard, &told);
    CHECK(!told.ejects);
    end(&world);
}

int main(void)
{
    off_and_on();
    off_and_on_unpublished();
    on_and_off_unpublished();
    thresholds();
    the_newest_holds();
    one_address();
    return test_end("table/switched");
}
