/* level: shares of levels and localities by live health, in whole percent as Envoy has them, and what becomes of them. */
#include "table/level.h"
#include "table/mesh.h"
#include "table/writer.h"

#include <stdio.h>

enum { MOST = 64, DRAWS = 20000, NOW = 1000 };

/* Members in levels: `n` and as many of them well for each; all of a level in one locality. */
struct world {
    struct mf_table *table;
    struct mf_cluster *cluster;
    struct mf_levels *levels;
    const struct mf_policy_balancer *balancer;
    struct mf_outlier outlier;
    struct mf_place places[MOST];
    uint32_t members[MOST], n;
    uint64_t now;
};

static void begin(struct world *world, const struct mf_place *places, const uint32_t *weights, uint32_t n)
{
    static const struct mf_outlier_rules at_once = {
        .errors = 1, .max_percent = 100, .interval = 1, .base = UINT64_MAX / 8, .longest = UINT64_MAX / 8};
    *world = (struct world){.now = NOW, .n = n};
    CHECK_INT(mf_table_new(&world->table), 0);
    CHECK_INT(mf_cluster_new(world->table, S("app"), &world->cluster), 0);
    for (uint32_t i = 0; i < n; i++) {
        char addr[32];
        snprintf(addr, sizeof addr, "10.0.%u.%u:80", i / 200, i % 200 + 1);
        CHECK_INT(mf_cluster_add(world->table, world->cluster, S(addr), NULL, 0, weights ? weights[i] : 1), 0);
        world->places[i] = places[i];
        world->members[i] = i;
    }
    CHECK_INT(mf_cluster_seal(world->table, world->cluster), 0);
    mf_outlier_use(world->table, &world->outlier, mf_outlier_keep(&at_once));
    CHECK_INT(mf_outlier_enlist(world->table, &world->outlier, world->cluster->all->peers, n), 0);
}

static void make(struct world *world, struct mf_policy_locality policy)
{
    policy.places = world->places;
    policy.n = world->n;
    mf_levels_free(world->levels);
    struct mf_policy whole = {.locality = &policy, .balancer = world->balancer};
    world->levels = mf_levels_new(&world->table->health, &whole, &world->outlier, world->cluster->all, world->members);
    CHECK(world->levels != NULL);
}

static void end(struct world *world)
{
    mf_levels_free(world->levels);
    mf_outlier_dismiss(&world->outlier, world->cluster->all->peers, world->n);
    mf_outlier_dispose(&world->outlier);
    mf_cluster_give(world->table, world->cluster);
    mf_table_free(world->table);
}

static struct mf_peer *peer_of(struct world *world, uint32_t i)
{
    return world->cluster->instances[i].peers[0];
}

static void eject(struct world *world, uint32_t i)
{
    CHECK_INT(mf_outlier_count(&world->outlier, peer_of(world, i), 500, false, world->now).news, MF_OUTLIER_EJECTED);
}

static struct mf_peer *pick_by(struct world *world, const struct mf_query *query)
{
    struct mf_draw draw = mf_draw_begin(world->balancer, query);
    struct mf_peer *quick = mf_levels_quick(world->levels, query);
    return quick && !draw.hashed ? quick : mf_levels_pick(world->levels, &draw);
}

static struct mf_peer *pick_at(struct world *world, uint64_t random)
{
    return pick_by(world, &(struct mf_query){.now = world->now, .random = random});
}

/* Of so many draws, how many go to each member; those that go to nobody are at `n`. */
static void spread(struct world *world, uint32_t counts[MOST + 1])
{
    memset(counts, 0, (MOST + 1) * sizeof *counts);
    world->now += MF_LEVELS_EVERY_NS; /* what has changed is seen */
    uint64_t random = 1;
    for (uint32_t d = 0; d < DRAWS; d++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        struct mf_peer *peer = pick_at(world, mf_hash_mix(random ^ MF_HASH_A, MF_HASH_B));
        uint32_t i = 0;
        while (i < world->n && peer_of(world, i) != peer)
            i++;
        counts[i]++;
    }
}

static bool about(double got, double want)
{
    if (got > want - 1.2 && got < want + 1.2)
        return true;
    fprintf(stderr, "%.2f %% is not about %.2f %%\n", got, want);
    return false;
}

static double percent(const uint32_t *counts, uint32_t from, uint32_t upto)
{
    uint64_t sum = 0;
    for (uint32_t i = from; i < upto; i++)
        sum += counts[i];
    return 100.0 * (double)sum / DRAWS;
}

/* `well` of `n` in each of three levels, of which the last may be empty; `want`: whole percents of them. */
static void levels_case(const uint32_t well[3], const uint32_t n[3], uint8_t panic, const int want[3])
{
    struct mf_place places[MOST] = {0};
    uint32_t at = 0, begins[4] = {0};
    for (uint32_t l = 0; l < 3; l++) {
        for (uint32_t i = 0; i < n[l]; i++)
            places[at++] = (struct mf_place){.level = l * 7, .part = l, .share = MF_NO_SHARE};
        begins[l + 1] = at;
    }
    struct world world;
    begin(&world, places, NULL, at);
    make(&world, (struct mf_policy_locality){.panic = panic});
    for (uint32_t l = 0; l < 3; l++)
        for (uint32_t i = well[l]; i < n[l]; i++)
            eject(&world, begins[l] + i);
    uint32_t counts[MOST + 1];
    spread(&world, counts);
    struct mf_level_told told[3];
    uint32_t n_told = mf_levels_tell(world.levels, world.now, told, 3);
    for (uint32_t l = 0; l < n_told; l++) {
        CHECK_INT(told[l].load, want[l]);
        CHECK_INT(told[l].well, well[l]);
        if (counts[at] == 0)
            CHECK(about(percent(counts, begins[l], begins[l + 1]), want[l]));
        for (uint32_t i = well[l]; i < n[l]; i++) /* who is out has calls in panic alone, and then as the others */
            CHECK(told[l].panic && told[l].load ? counts[begins[l] + i] > 0 : counts[begins[l] + i] == 0);
    }
    uint32_t all = well[0] + well[1] + well[2];
    CHECK_INT(counts[at], all || panic ? 0 : DRAWS);
    end(&world);
}
#define LEVELS(w0, n0, w1, n1, w2, n2, panic, ...)                                                                      \
    levels_case((const uint32_t[3]){w0, w1, w2}, (const uint32_t[3]){n0, n1, n2}, panic, (const int[3]){__VA_ARGS__})

static void test_loads(void)
{
    LEVELS(8, 10, 10, 10, 0, 0, 0, 100, 0);
    LEVELS(7, 10, 10, 10, 0, 0, 0, 98, 2);
    LEVELS(5, 10, 10, 10, 0, 0, 0, 70, 30);
    LEVELS(1, 2, 2, 2, 0, 0, 0, 70, 30);
    LEVELS(0, 2, 1, 1, 0, 0, 0, 0, 100);
    /* less than all that is needed: what there is takes all */
    LEVELS(2, 10, 3, 10, 0, 0, 0, 40, 60);
    LEVELS(1, 10, 6, 10, 0, 0, 0, 15, 85);
    LEVELS(3, 7, 1, 7, 0, 7, 0, 75, 25, 0);
    LEVELS(1, 3, 1, 3, 3, 3, 0, 46, 46, 8);
    /* and below the threshold of panic all are used */
    LEVELS(1, 10, 6, 10, 0, 0, 50, 15, 85);
    LEVELS(2, 10, 3, 10, 0, 0, 50, 50, 50);
    LEVELS(0, 4, 0, 8, 0, 0, 50, 34, 66);
    LEVELS(0, 4, 0, 8, 0, 0, 0, 100, 0);
}

static void test_weighted(void)
{
    const struct { uint32_t out; double first; } cases[] = {{0, 75}, {1, 75}, {2, 67.7}, {4, 0}};
    struct mf_place places[8] = {0};
    uint32_t weights[8], counts[MOST + 1];
    for (uint32_t i = 0; i < 8; i++) {
        places[i] = (struct mf_place){.part = i / 4, .share = MF_NO_SHARE};
        weights[i] = i < 4 ? 3 : 1;
    }
    for (uint32_t c = 0; c < 4; c++) {
        struct world world;
        begin(&world, places, weights, 8);
        make(&world, (struct mf_policy_locality){.weighted = true});
        for (uint32_t i = 0; i < cases[c].out; i++)
            eject(&world, i);
        spread(&world, counts);
        CHECK(about(percent(counts, 0, 4), cases[c].first));
        end(&world);
    }
    struct world world;
    begin(&world, places, NULL, 8);
    make(&world, (struct mf_policy_locality){0});
    spread(&world, counts);
    CHECK(about(percent(counts, 0, 4), 50));
    end(&world);
}

/* A r1/z1/s1, B r1/z1/s2, C r1/z2/s1, D r2, E r3 of twice the weight; the shares that each has of what is written. */
static void distribute_case(const uint16_t has[5], const uint32_t *shares, uint32_t n_shares, const int want[5])
{
    struct mf_place places[5];
    const uint32_t weights[5] = {1, 1, 1, 1, 2};
    for (uint32_t i = 0; i < 5; i++)
        places[i] = (struct mf_place){.part = i, .share = has[i]};
    struct world world;
    uint32_t counts[MOST + 1];
    begin(&world, places, weights, 5);
    make(&world, (struct mf_policy_locality){.weighted = true, .shares = shares, .n_shares = n_shares});
    spread(&world, counts);
    for (uint32_t i = 0; i < 5; i++) {
        CHECK(about(percent(counts, i, i + 1), want[i]));
        CHECK(want[i] || !counts[i]);
    }
    end(&world);
}

static void test_distribute(void)
{
    enum { NONE = MF_NO_SHARE };
    distribute_case((const uint16_t[]){0, 0, 1, NONE, NONE}, (const uint32_t[]){80, 20}, 2, (const int[]){40, 40, 20, 0, 0});
    distribute_case((const uint16_t[]){0, 0, 0, 1, NONE}, (const uint32_t[]){60, 40}, 2, (const int[]){20, 20, 20, 40, 0});
    /* nothing is written for this workload: as many as they weigh */
    distribute_case((const uint16_t[]){NONE, NONE, NONE, NONE, NONE}, NULL, 0, (const int[]){17, 17, 17, 17, 33});

    /* Who is left out takes calls where all the others are out. */
    struct mf_place places[2] = {{.part = 0, .share = 0}, {.part = 1, .share = MF_NO_SHARE}};
    struct world world;
    begin(&world, places, NULL, 2);
    make(&world, (struct mf_policy_locality){.weighted = true, .shares = (const uint32_t[]){100}, .n_shares = 1});
    CHECK(pick_at(&world, 7) == peer_of(&world, 0));
    mf_peer_set_down(peer_of(&world, 0), UINT64_MAX - 1);
    world.now += MF_LEVELS_EVERY_NS;
    CHECK(pick_at(&world, 7) == peer_of(&world, 1));
    end(&world);
}

/* Half of the calls for `from` go to `to`; the third place keeps what it had. */
static void test_moved(void)
{
    uint32_t counts[MOST + 1];
    struct mf_place places[6];
    for (uint32_t i = 0; i < 6; i++)
        places[i] = (struct mf_place){.part = i / 2, .share = MF_NO_SHARE, .from = i < 2, .to = i >= 2 && i < 4};
    const struct { uint8_t moved; double want[3]; } cases[] = {
        {0, {33.3, 33.3, 33.3}}, {50, {16.7, 50, 33.3}}, {100, {0, 66.7, 33.3}}};
    for (uint32_t c = 0; c < 3; c++) {
        struct world world;
        begin(&world, places, NULL, 6);
        make(&world, (struct mf_policy_locality){.moved = cases[c].moved});
        spread(&world, counts);
        for (uint32_t p = 0; p < 3; p++)
            CHECK(about(percent(counts, 2 * p, 2 * p + 2), cases[c].want[p]));
        end(&world);
    }
    /* The own region is left; those it went to are next, and the own one is the last resort. */
    for (uint32_t i = 0; i < 6; i++)
        places[i].level = i < 2 ? 0 : 3;
    struct world world;
    begin(&world, places, NULL, 6);
    make(&world, (struct mf_policy_locality){.moved = 100});
    spread(&world, counts);
    CHECK(about(percent(counts, 2, 4), 100));
    eject(&world, 2);
    spread(&world, counts);
    CHECK(about(percent(counts, 3, 4), 70) && about(percent(counts, 4, 6), 30));
    for (uint32_t i = 3; i < 6; i++)
        eject(&world, i);
    spread(&world, counts);
    CHECK(about(percent(counts, 0, 2), 100));
    /* Nobody is there to take them: all stays. */
    end(&world);
    for (uint32_t i = 0; i < 6; i++)
        places[i].to = false;
    begin(&world, places, NULL, 6);
    make(&world, (struct mf_policy_locality){.moved = 100});
    spread(&world, counts);
    CHECK(about(percent(counts, 0, 2), 100));
    end(&world);
}

/* Shares follow health within MF_LEVELS_EVERY_NS, also where a rest just ends; who was picked is always usable. */
static void test_follows(void)
{
    struct mf_place places[4] = {{.local = true}, {.local = true}, {.level = 1, .part = 1}, {.level = 1, .part = 1}};
    struct world world;
    begin(&world, places, NULL, 4);
    make(&world, (struct mf_policy_locality){0});
    struct mf_level_told told[2];
    CHECK_INT(mf_levels_tell(world.levels, world.now, told, 2), 2);
    CHECK(told[0].load == 100 && told[0].well == 2 && told[0].share == 100 && told[1].share == 0);
    CHECK(mf_levels_near(world.levels, world.now));
    uint64_t until = NOW + 3 * MF_LEVELS_EVERY_NS;
    mf_peer_set_down(peer_of(&world, 0), until);
    mf_peer_set_down(peer_of(&world, 1), until);
    mf_levels_tell(world.levels, world.now, told, 2);
    CHECK_INT(told[0].load, 100); /* not yet */
    struct mf_peer *peer = pick_at(&world, 0);
    CHECK(peer == peer_of(&world, 2) || peer == peer_of(&world, 3));
    mf_levels_tell(world.levels, world.now + MF_LEVELS_EVERY_NS, told, 2);
    CHECK(told[0].load == 0 && told[1].load == 100 && told[0].well == 0);
    CHECK(!mf_levels_near(world.levels, world.now + MF_LEVELS_EVERY_NS));
    mf_levels_tell(world.levels, until - 1, told, 2);
    CHECK_INT(told[0].load, 0);
    mf_levels_tell(world.levels, until, told, 2); /* nobody said so: the time did */
    CHECK_INT(told[0].load, 100);
    struct mf_query query = {.now = until, .avoid = (const struct mf_peer *const[]){peer_of(&world, 0), peer_of(&world, 1)},
                             .n_avoid = 2};
    peer = pick_by(&world, &query);
    CHECK(peer == peer_of(&world, 2) || peer == peer_of(&world, 3));
    end(&world);
}

/* That all are out is known at once where panic has them used. */
static void test_all_out(void)
{
    struct mf_place places[2] = {{.level = 0}, {.level = 1, .part = 1}};
    struct world world;
    begin(&world, places, NULL, 2);
    make(&world, (struct mf_policy_locality){.panic = 50});
    CHECK(pick_at(&world, 0) != NULL);
    eject(&world, 0);
    eject(&world, 1);
    CHECK(pick_at(&world, 0) != NULL);
    end(&world);
}

/* More levels than a word has. */
static void test_many(void)
{
    struct mf_place places[40];
    uint32_t counts[MOST + 1];
    for (uint32_t i = 0; i < 40; i++)
        places[i] = (struct mf_place){.level = 1000 - i, .part = i};
    struct world world;
    begin(&world, places, NULL, 40);
    make(&world, (struct mf_policy_locality){0});
    for (uint32_t i = 39; i > 11; i--)
        eject(&world, i);
    spread(&world, counts);
    CHECK_INT(counts[11], DRAWS);
    struct mf_level_told told[40];
    CHECK_INT(mf_levels_tell(world.levels, world.now, told, 40), 40);
    CHECK(told[27].load == 0 && told[28].load == 100 && told[28].number == 11);
    CHECK_INT(mf_levels_tell(world.levels, world.now, told, 0), 40);
    end(&world);
}

/* A call that is tried again leaves out the levels that it was at, and begins anew after all of them. */
static void test_past(void)
{
    const uint32_t expected[] = {0, 1, 2, 0, 1}, without[] = {0, 2, 0, 2, 0};
    struct mf_place places[3] = {{.level = 0}, {.level = 1, .part = 1}, {.level = 2, .part = 2}};
    struct world world;
    begin(&world, places, NULL, 3);
    make(&world, (struct mf_policy_locality){0});
    for (uint32_t i = 0; i < 5; i++) {
        struct mf_query query = {.now = world.now, .past_levels = (uint8_t)i};
        CHECK(pick_by(&world, &query) == peer_of(&world, expected[i]));
    }
    eject(&world, 1);
    world.now += MF_LEVELS_EVERY_NS;
    for (uint32_t i = 0; i < 5; i++) {
        struct mf_query query = {.now = world.now, .past_levels = (uint8_t)(i | MF_ANYWHERE)};
        CHECK(pick_by(&world, &query) == peer_of(&world, without[i]));
    }
    end(&world);
}

/* A text that is hashed keeps its instance while shares stay, and its level's part is Envoy's. */
static void test_hashed(void)
{
    const struct mf_policy_balancer by_user = {.kind = MF_BALANCER_HASH, .by = MF_HASH_HEADER, .key = S("user")};
    struct mf_place places[4] = {{.level = 0}, {.level = 0}, {.level = 1, .part = 1}, {.level = 1, .part = 1}};
    struct world world;
    uint32_t counts[4] = {0};
    begin(&world, places, NULL, 4);
    world.balancer = &by_user;
    make(&world, (struct mf_policy_locality){0});
    eject(&world, 1);
    world.now += MF_LEVELS_EVERY_NS;
    for (uint32_t k = 0; k < 4000; k++) {
        char text[16];
        struct mf_pair user = {S("user"), mf_slice_of(text, (size_t)snprintf(text, sizeof text, "u%u", k))};
        struct mf_query query = {.now = world.now, .headers = &user, .n_headers = 1, .random = k};
        struct mf_peer *peer = pick_by(&world, &query);
        query.random = ~query.random;
        CHECK(pick_by(&world, &query) == peer);
        for (uint32_t i = 0; i < 4; i++)
            counts[i] += peer_of(&world, i) == peer;
    }
    CHECK_INT(counts[1], 0);
    CHECK(about(counts[0] / 40.0, 70) && about((counts[2] + counts[3]) / 40.0, 30));
    CHECK(counts[2] > 400 && counts[3] > 400);
    end(&world);
}

static void test_copy(void)
{
    const struct mf_place places[2] = {{.level = 3}, {.part = 4}};
    const struct mf_policy_locality policy = {places, (const uint32_t[]){60, 40}, 2, 2, true, 7, 9};
    struct mf_policy_locality *copy = mf_levels_copy(&policy);
    CHECK(copy && copy->places != places && copy->places[0].level == 3 && copy->places[1].part == 4);
    CHECK(copy && copy->shares[1] == 40 && copy->weighted && copy->panic == 7 && copy->moved == 9);
    mf_free(copy);
}

int main(void)
{
    test_loads();
    test_weighted();
    test_distribute();
    test_moved();
    test_follows();
    test_all_out();
    test_many();
    test_past();
    test_hashed();
    test_copy();
    return test_end("table/level");
}
