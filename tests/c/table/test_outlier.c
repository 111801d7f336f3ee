/* outlier: who is ejected, how long, and who comes back when: the figures are Envoy's. */
#include "table/outlier.h"
#include "table/mesh.h"

#define MS UINT64_C(1000000)
enum { MOST = 12 };

struct world {
    struct mf_table *table;
    struct mf_peer *peers[MOST];
    uint32_t n;
    struct mf_outlier outlier;
    uint64_t now;
};

static const struct mf_outlier_rules usual = {
    .errors = 5, .local = 5, .max_percent = 10, .interval = 10000 * MS, .base = 30000 * MS, .longest = 300000 * MS,
};

static int set(struct mf_table *table, struct mf_outlier *outlier, const struct mf_outlier_rules *rules)
{
    struct mf_outlier_kept *kept = rules ? mf_outlier_keep(rules) : NULL;
    if (rules && !kept)
        return -ENOMEM;
    mf_outlier_use(table, outlier, kept);
    return 0;
}

static void begin(struct world *world, uint32_t n, struct mf_outlier_rules rules)
{
    *world = (struct world){.n = n, .now = 1000 * MS};
    CHECK_INT(mf_table_new(&world->table), 0);
    for (uint32_t i = 0; i < n; i++) {
        char text[32];
        struct mf_addr addr;
        snprintf(text, sizeof text, "10.0.0.%u:80", i + 1);
        CHECK_INT(mf_addr_parse(S(text), &addr), 0);
        world->peers[i] = mf_peer_intern(world->table, &addr);
    }
    CHECK_INT(set(world->table, &world->outlier, &rules), 0);
    CHECK_INT(mf_outlier_enlist(world->table, &world->outlier, world->peers, n), 0);
}

static void end(struct world *world)
{
    mf_outlier_dismiss(&world->outlier, world->peers, world->n);
    mf_outlier_dispose(&world->outlier);
    for (uint32_t i = 0; i < world->n; i++)
        mf_peer_give(world->table, world->peers[i]);
    mf_table_free(world->table);
}

static enum mf_outlier_news answer(struct world *world, uint32_t peer, uint32_t code)
{
    return mf_outlier_count(&world->outlier, world->peers[peer], code, false, world->now).news;
}

static enum mf_outlier_news failure(struct world *world, uint32_t peer, uint32_t code)
{
    return mf_outlier_count(&world->outlier, world->peers[peer], code, true, world->now).news;
}

static enum mf_outlier_news answers(struct world *world, uint32_t peer, uint32_t code, int times)
{
    enum mf_outlier_news news = MF_OUTLIER_NOTHING;
    for (int i = 0; i < times; i++)
        news = answer(world, peer, code);
    return news;
}

static uint32_t n_out(struct world *world)
{
    return mf_outlier_n_out(&world->outlier, world->peers, world->n, world->now);
}

/* So many of `n` answer errors alone: how many are ejected. */
static uint32_t ejected_of(uint32_t n, uint32_t failing, uint32_t max_percent)
{
    struct world world;
    struct mf_outlier_rules rules = usual;
    rules.max_percent = max_percent;
    begin(&world, n, rules);
    for (uint32_t i = 0; i < failing; i++)
        answers(&world, i, 500, 12);
    uint32_t out = n_out(&world);
    uint64_t overflows = mf_load_relaxed(&world.outlier.overflows);
    CHECK_INT(mf_load_relaxed(&world.outlier.ejections[MF_OUTLIER_ERRORS]), out);
    CHECK_INT(overflows, 2 * (failing - out)); /* it tries again each further five */
    end(&world);
    return out;
}

static void test_percent(void)
{
    CHECK_INT(ejected_of(3, 3, 10), 0);
    CHECK_INT(ejected_of(3, 3, 33), 0);
    CHECK_INT(ejected_of(3, 3, 34), 1);
    CHECK_INT(ejected_of(10, 10, 10), 1);
    CHECK_INT(ejected_of(9, 9, 10), 0);
    CHECK_INT(ejected_of(4, 3, 50), 2);
    CHECK_INT(ejected_of(2, 2, 100), 2);
    CHECK_INT(ejected_of(1, 1, 100), 1);
    CHECK_INT(ejected_of(1, 1, 99), 0);
}

static void test_panic(void)
{
    struct world world;
    struct mf_outlier_rules rules = usual;
    rules.max_percent = 100;
    begin(&world, 2, rules);
    answers(&world, 0, 500, 5);
    answers(&world, 1, 500, 5);
    CHECK(mf_outlier_out(&world.outlier, world.peers[0], world.now));
    CHECK(mf_outlier_out(&world.outlier, world.peers[1], world.now));
    CHECK(!mf_outlier_panics(&world.outlier, 0, 2)); /* nobody is left */
    rules.least_percent = 50;
    CHECK_INT(set(world.table, &world.outlier, &rules), 0);
    CHECK_INT(n_out(&world), 2); /* it does not stop ejecting */
    CHECK(mf_outlier_panics(&world.outlier, 0, 2));
    CHECK(!mf_outlier_panics(&world.outlier, 1, 2));
    end(&world);
}

static void test_in_a_row(void)
{
    struct world world;
    struct mf_outlier_rules rules = usual;
    rules.max_percent = 100;
    begin(&world, 3, rules);
    CHECK_INT(answers(&world, 0, 500, 5), MF_OUTLIER_EJECTED);
    answers(&world, 1, 500, 4);
    answer(&world, 1, 200);
    CHECK_INT(answers(&world, 1, 500, 4), MF_OUTLIER_NOTHING);
    CHECK_INT(answer(&world, 1, 0), MF_OUTLIER_NOTHING); /* nothing that counts */
    CHECK_INT(n_out(&world), 1);
    CHECK_INT(answer(&world, 1, 599), MF_OUTLIER_EJECTED);
    CHECK_INT(answers(&world, 2, 499, 50), MF_OUTLIER_NOTHING);
    CHECK_INT(n_out(&world), 2);
    end(&world);
}

static void test_gateway(void)
{
    struct world world;
    struct mf_outlier_rules rules = usual;
    rules.errors = 0;
    rules.gateway = 3;
    rules.max_percent = 100;
    begin(&world, 2, rules);
    const uint32_t codes[] = {503, 503, 500, 503, 503};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        CHECK_INT(answer(&world, 0, codes[i]), MF_OUTLIER_NOTHING);
    struct mf_outlier_word word = mf_outlier_count(&world.outlier, world.peers[0], 503, false, world.now);
    CHECK(word.news == MF_OUTLIER_EJECTED && word.reason == MF_OUTLIER_GATEWAY);
    CHECK_INT(answers(&world, 1, 500, 50), MF_OUTLIER_NOTHING); /* off */
    CHECK_INT(mf_load_relaxed(&world.outlier.ejections[MF_OUTLIER_GATEWAY]), 1);
    /* Of both, who is first. */
    rules.errors = 5;
    CHECK_INT(set(world.table, &world.outlier, &rules), 0);
    answers(&world, 1, 200, 1);
    answers(&world, 1, 500, 3);
    word = mf_outlier_count(&world.outlier, world.peers[1], 504, false, world.now);
    CHECK_INT(word.news, MF_OUTLIER_NOTHING);
    word = mf_outlier_count(&world.outlier, world.peers[1], 502, false, world.now);
    CHECK(word.news == MF_OUTLIER_EJECTED && word.reason == MF_OUTLIER_ERRORS);
    end(&world);
}

static void test_local(void)
{
    struct world world;
    struct mf_outlier_rules rules = usual;
    rules.max_percent = 100;
    rules.local = 3;
    begin(&world, 3, rules);
    for (int i = 0; i < 4; i++) /* not split: a code as others */
        CHECK_INT(failure(&world, 0, 503), MF_OUTLIER_NOTHING);
    CHECK_INT(answer(&world, 0, 500), MF_OUTLIER_EJECTED);

    rules.split = true;
    CHECK_INT(set(world.table, &world.outlier, &rules), 0);
    CHECK_INT(failure(&world, 1, 503), MF_OUTLIER_NOTHING);
    CHECK_INT(failure(&world, 1, 504), MF_OUTLIER_NOTHING);
    CHECK_INT(answer(&world, 1, 500), MF_OUTLIER_NOTHING); /* it answers */
    CHECK_INT(failure(&world, 1, 503), MF_OUTLIER_NOTHING);
    CHECK_INT(failure(&world, 1, 503), MF_OUTLIER_NOTHING);
    struct mf_outlier_word word = mf_outlier_count(&world.outlier, world.peers[1], 503, true, world.now);
    CHECK(word.news == MF_OUTLIER_EJECTED && word.reason == MF_OUTLIER_LOCAL);
    CHECK_INT(answers(&world, 2, 500, 4), MF_OUTLIER_NOTHING);
    CHECK_INT(failure(&world, 2, 503), MF_OUTLIER_NOTHING); /* these are none of the others */
    CHECK_INT(answer(&world, 2, 500), MF_OUTLIER_EJECTED);
    end(&world);
}

static void test_time(void)
{
    struct world world;
    struct mf_outlier_rules rules = usual;
    rules.max_percent = 100;
    rules.interval = 500 * MS;
    rules.base = 1000 * MS;
    rules.longest = 4000 * MS;
    begin(&world, 1, rules);
    world.now = 10100 * MS;
    const uint64_t out[] = {1400, 2500, 3500, 4500, 4500};
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) {
        CHECK_INT(answers(&world, 0, 500, 5), MF_OUTLIER_EJECTED);
        uint64_t back = world.now + out[i] * MS;
        CHECK(mf_outlier_out(&world.outlier, world.peers[0], back - 2 * MS));
        CHECK(!mf_outlier_out(&world.outlier, world.peers[0], back));
        world.now = back - 2 * MS;
        CHECK_INT(answers(&world, 0, 500, 50), MF_OUTLIER_NOTHING); /* of calls that were there */
        world.now = back + (i == 0 ? 1 : 0); /* a moment after a tick, from the second on */
    }
    /* It was out five times. Each tick that it stays forgives one. */
    uint64_t back = world.now;
    CHECK_INT(answer(&world, 0, 200), MF_OUTLIER_BACK);
    CHECK_INT(answer(&world, 0, 200), MF_OUTLIER_NOTHING);
    world.now = back + 3 * 500 * MS;
    struct mf_outlier_word word = {0};
    for (int i = 0; i < 5; i++)
        word = mf_outlier_count(&world.outlier, world.peers[0], 500, false, world.now);
    CHECK_INT(word.news, MF_OUTLIER_EJECTED);
    CHECK(word.until > world.now + 2500 * MS && word.until <= world.now + 3500 * MS);
    world.now = word.until + 3600000 * MS;
    answers(&world, 0, 500, 5);
    CHECK(mf_outlier_out(&world.outlier, world.peers[0], world.now + 999 * MS));
    CHECK(!mf_outlier_out(&world.outlier, world.peers[0], world.now + 1500 * MS));
    end(&world);
}

static void test_codes(void)
{
    struct world world;
    struct mf_outlier_rules rules = usual;
    rules.max_percent = 100;
    rules.errors = 2;
    rules.gateway = 1;
    rules.own_codes = true;
    const uint32_t codes[] = {100, 429, 599, 503, 99, 600, UINT32_MAX};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        mf_outlier_set_code(&rules, codes[i]);
    begin(&world, 4, rules);
    CHECK_INT(answers(&world, 0, 429, 2), MF_OUTLIER_EJECTED);
    CHECK_INT(answers(&world, 1, 500, 50), MF_OUTLIER_NOTHING);
    CHECK_INT(answers(&world, 1, 600, 50), MF_OUTLIER_NOTHING);
    CHECK_INT(answers(&world, 1, 100, 2), MF_OUTLIER_EJECTED);
    CHECK_INT(answers(&world, 2, 503, 1), MF_OUTLIER_EJECTED);
    CHECK_INT(failure(&world, 3, 504), MF_OUTLIER_EJECTED); /* what failed here is no answer */
    end(&world);
}

/* Only one of the lists that an instance is on has it. */
static void test_apart(void)
{
    struct world world;
    struct mf_outlier_rules rules = usual;
    rules.max_percent = 100;
    begin(&world, 2, rules);
    struct mf_outlier other = {0};
    CHECK_INT(set(world.table, &other, &rules), 0);
    CHECK_INT(mf_outlier_enlist(world.table, &other, world.peers, 2), 0);
    answers(&world, 0, 500, 5);
    CHECK(mf_outlier_out(&world.outlier, world.peers[0], world.now));
    CHECK(!mf_outlier_out(&other, world.peers[0], world.now));
    CHECK(!mf_outlier_any(&other, world.now) && mf_outlier_any(&world.outlier, world.now));
    mf_outlier_dismiss(&other, world.peers, 2);
    mf_outlier_dispose(&other);
    end(&world);
}

static void count_ward(void *arg, const struct mf_ward *ward)
{
    *(int *)arg += (int)mf_load_relaxed(&ward->ejections) * 100 + 1;
}

static void test_members(void)
{
    struct world world;
    struct mf_outlier_rules rules = usual;
    rules.max_percent = 50;
    begin(&world, 6, rules);
    struct mf_peer *twice[] = {world.peers[0], world.peers[1], world.peers[0]};
    answers(&world, 0, 500, 5);
    CHECK_INT(mf_outlier_enlist(world.table, &world.outlier, twice, 3), 0);
    CHECK(mf_outlier_out(&world.outlier, world.peers[0], world.now)); /* it is kept */
    mf_outlier_dismiss(&world.outlier, world.peers, 6);
    CHECK_INT(answers(&world, 5, 500, 50), MF_OUTLIER_NOTHING); /* it is none now */
    CHECK_INT(answers(&world, 1, 500, 5), MF_OUTLIER_OVERFLOW); /* one of two is out */
    int n = 0;
    mf_outlier_each(&world.outlier, count_ward, &n);
    CHECK_INT(n, 102);
    CHECK_INT(mf_outlier_enlist(world.table, &world.outlier, world.peers, 6), 0);
    mf_outlier_dismiss(&world.outlier, twice, 3);
    CHECK_INT(answers(&world, 5, 500, 4), MF_OUTLIER_NOTHING); /* anew */
    CHECK_INT(answers(&world, 5, 500, 1), MF_OUTLIER_EJECTED);

    CHECK_INT(set(world.table, &world.outlier, NULL), 0); /* none: all are in */
    CHECK_INT(n_out(&world), 0);
    CHECK(!mf_outlier_any(&world.outlier, world.now));
    CHECK_INT(answers(&world, 4, 500, 50), MF_OUTLIER_NOTHING);
    CHECK_INT(set(world.table, &world.outlier, NULL), 0);
    CHECK(!mf_outlier_panics(&world.outlier, 0, 6));
    mf_table_reclaim(world.table);
    end(&world);
}

static void test_no_memory(void)
{
    struct world world;
    begin(&world, 6, usual);
    for (long n = 1; n <= 7; n++) {
        struct mf_outlier other = {0};
        CHECK_INT(mf_outlier_enlist(world.table, &other, world.peers, 2), 0);
        struct mf_peer *seven[] = {world.peers[0], world.peers[2], world.peers[3], world.peers[4], world.peers[5]};
        fail_at(n);
        int rc = mf_outlier_enlist(world.table, &other, seven, 5);
        fail_at(0);
        CHECK_INT(rc, n <= 5 ? -ENOMEM : 0);
        if (rc == 0)
            mf_outlier_dismiss(&other, seven, 5);
        fail_at(1);
        CHECK_INT(set(world.table, &other, &usual), -ENOMEM);
        fail_at(0);
        CHECK(!mf_load_relaxed(&other.rules));
        mf_outlier_dismiss(&other, world.peers, 2);
        mf_outlier_dispose(&other);
    }
    mf_table_reclaim(world.table);
    end(&world);
}

int main(void)
{
    test_percent();
    test_panic();
    test_in_a_row();
    test_gateway();
    test_local();
    test_time();
    test_codes();
    test_apart();
    test_members();
    test_no_memory();
    return test_end("table/outlier");
}
