/* balance: each balancer's shares, who is passed over, and what a hash keeps. */
#include "table/balance.h"
#include "table/mesh.h"

enum { MOST = 64, SECOND = 1000000000 };
static struct mf_table *table;
static struct mf_peer *peers[MOST];
static uint64_t sums[MOST], now, asked;
static uint32_t n_peers_of;
static struct mf_policy_balancer policy;
static struct mf_spread *spread;
static int counts[MOST];

static void set_up(enum mf_balancer kind, uint32_t n, const uint32_t *weights)
{
    CHECK_INT(mf_table_new(&table), 0);
    n_peers_of = n;
    for (uint32_t i = 0; i < n; i++) {
        char text[32];
        struct mf_addr addr;
        snprintf(text, sizeof text, "10.0.0.%u:20880", i + 1);
        CHECK_INT(mf_addr_parse(mf_slice_str(text), &addr), 0);
        peers[i] = mf_peer_intern(table, &addr);
        sums[i] = (i ? sums[i - 1] : 0) + (weights ? weights[i] : 1);
    }
    now = mf_load_relaxed(&peers[0]->since) + 3600 * UINT64_C(1000000000);
    now &= ~UINT64_C(1); /* odd waits mean something else */
    policy = (struct mf_policy_balancer){.kind = (uint8_t)kind};
    spread = mf_spread_new(&policy, peers, sums, 0, n);
    CHECK(spread != NULL);
}

static void tear_down(void)
{
    mf_spread_free(spread);
    for (uint32_t i = 0; i < n_peers_of; i++)
        mf_peer_give(table, peers[i]);
    mf_table_free(table);
}

static uint32_t index_of(const struct mf_peer *peer)
{
    uint32_t i = 0;
    while (i < n_peers_of && peers[i] != peer)
        i++;
    return i;
}

static struct mf_peer *pick_for(const char *user)
{
    struct mf_pair header = {MF_SLICE("x-user"), S(user)};
    struct mf_query query = {.service = S("s"), .now = now, .random = mf_hash_mix(++asked ^ MF_HASH_A, MF_HASH_B),
                             .headers = &header, .n_headers = user ? 1 : 0};
    struct mf_draw draw = mf_draw_begin(&policy, &query);
    return mf_spread_pick(spread, &draw);
}

static void draw(int n)
{
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < n; i++) {
        struct mf_peer *peer = pick_for(NULL);
        if (peer)
            counts[index_of(peer)]++;
    }
}

#define ABOUT(got, want, by) CHECK((got) >= (want) - (by) && (got) <= (want) + (by))

static void chance_goes_by_weight_or_not(void)
{
    static const uint32_t weights[] = {1, 9};
    set_up(MF_BALANCER_WEIGHTED, 2, weights);
    draw(10000);
    ABOUT(counts[0], 1000, 120);
    CHECK_INT(counts[0] + counts[1], 10000);
    tear_down();
    set_up(MF_BALANCER_RANDOM, 2, weights);
    draw(10000);
    ABOUT(counts[0], 5000, 200);
    tear_down();
}

static void turns_are_exact(void)
{
    static const uint32_t weights[] = {1, 9}, three[] = {1, 2, 3}, odd[] = {1009, 5003, 65535};
    set_up(MF_BALANCER_ROUND_ROBIN, 2, weights);
    for (int k = 0; k < 5; k++) {
        draw(10);
        CHECK_INT(counts[0], 1);
        CHECK_INT(counts[1], 9);
    }
    tear_down();
    set_up(MF_BALANCER_ROUND_ROBIN, 3, NULL);
    for (uint32_t k = 0, first = index_of(pick_for(NULL)); k < 9; k++)
        CHECK_INT(index_of(pick_for(NULL)), (first + k + 1) % 3);
    tear_down();
    set_up(MF_BALANCER_ROUND_ROBIN, 3, three); /* 2 2 1 2 0 1, from wherever it begins */
    char seen[13] = "";
    for (int k = 0; k < 12; k++)
        seen[k] = (char)('0' + index_of(pick_for(NULL)));
    CHECK(strstr(seen, "221201") != NULL);
    tear_down();
    set_up(MF_BALANCER_ROUND_ROBIN, 3, odd); /* too long to be written down */
    CHECK(!spread->turns);
    draw((int)spread->total);
    for (int i = 0; i < 3; i++)
        CHECK_INT(counts[i], odd[i]);
    draw(100);
    ABOUT(counts[2], 92, 2);
    tear_down();
}

static void turns_pass_over_who_is_down(void)
{
    set_up(MF_BALANCER_ROUND_ROBIN, 4, NULL);
    mf_peer_set_down(peers[1], now + SECOND);
    draw(300);
    for (int i = 0; i < 4; i++)
        CHECK_INT(counts[i], i == 1 ? 0 : 100);
    tear_down();
}

static void least_request_idle(void)
{
    static const uint32_t weights[] = {1, 9};
    set_up(MF_BALANCER_LEAST_REQUEST, 2, weights);
    draw(10000);
    ABOUT(counts[0], 1000, 120);
    tear_down();
    set_up(MF_BALANCER_LEAST_REQUEST, 4, NULL);
    draw(10000);
    for (int i = 0; i < 4; i++)
        ABOUT(counts[i], 2500, 200);
    tear_down();
}

/* A closed loop: always 20 calls in flight, each as long as its instance takes. */
static void run_loop(const uint32_t *took, int calls)
{
    struct { uint64_t end; uint32_t i; } flying[20];
    uint64_t clock = 0;
    memset(counts, 0, sizeof counts);
    for (int k = 0; k < calls; k++) {
        uint32_t slot = (uint32_t)k;
        if (k >= 20) {
            slot = 0;
            for (uint32_t i = 1; i < 20; i++)
                slot = flying[i].end < flying[slot].end ? i : slot;
            clock = flying[slot].end;
            atomic_fetch_sub(&peers[flying[slot].i]->in_flight, 1);
        }
        uint32_t i = index_of(pick_for(NULL));
        counts[i]++;
        atomic_fetch_add(&peers[i]->in_flight, 1);
        flying[slot].end = clock + took[i];
        flying[slot].i = i;
    }
}

static void least_request_spares_who_is_slow(void)
{
    static const uint32_t weights[] = {1, 9}, took[] = {20, 200}, slow[] = {20, 20, 20, 200};
    set_up(MF_BALANCER_LEAST_REQUEST, 2, weights); /* 378:422 */
    run_loop(took, 8000);
    ABOUT(counts[0], 3780, 300);
    tear_down();
    set_up(MF_BALANCER_LEAST_REQUEST, 4, NULL); /* 244 241 246 69 */
    run_loop(slow, 8000);
    ABOUT(counts[3], 690, 250);
    for (int i = 0; i < 3; i++)
        ABOUT(counts[i], 2440, 150);
    tear_down();
}

static void least_request_of_many_by_weight(void)
{
    uint32_t weights[MOST];
    for (int i = 0; i < MOST; i++)
        weights[i] = i % 2 ? 3 : 1;
    set_up(MF_BALANCER_LEAST_REQUEST, MOST, weights);
    draw(12800);
    int heavy = 0;
    for (int i = 1; i < MOST; i += 2)
        heavy += counts[i];
    ABOUT(heavy, 9600, 200);
    for (int i = 0; i < MOST; i++)
        mf_store_relaxed(&peers[i]->in_flight, i == 1 ? 50 : 1);
    draw(12800);
    CHECK(counts[1] < 60); /* 300 if it had none */
    tear_down();
}

static void a_hash_keeps_its_instance(void)
{
    int of[1000], alone = 0, moved = 0;
    char user[24];
    set_up(MF_BALANCER_HASH, 10, NULL);
    policy.key = MF_SLICE("x-user");
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < 1000; i++) {
        snprintf(user, sizeof user, "user-%d", i);
        of[i] = (int)index_of(pick_for(user));
        counts[of[i]]++;
        CHECK_INT(index_of(pick_for(user)), of[i]);
    }
    for (int i = 0; i < 10; i++)
        ABOUT(counts[i], 100, 35);
    mf_peer_set_down(peers[3], now + SECOND);
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < 1000; i++) {
        snprintf(user, sizeof user, "user-%d", i);
        int is = (int)index_of(pick_for(user));
        moved += of[i] != 3 && is != of[i];
        alone += of[i] == 3;
        counts[of[i] == 3 ? is : 63]++;
        CHECK_INT(index_of(pick_for(user)), is);
    }
    CHECK_INT(moved, 0);
    for (int i = 0; i < 10; i++) /* those of the one that is down are spread over all others */
        CHECK(i == 3 ? counts[i] == 0 : counts[i] > alone / 9 / 4);
    for (int i = 0; i < 9; i++)
        mf_peer_set_down(peers[i], now + SECOND);
    for (int i = 0; i < 100; i++) {
        snprintf(user, sizeof user, "user-%d", i);
        CHECK_INT(index_of(pick_for(user)), 9);
    }
    tear_down();
}

static void without_the_key_it_is_chance(void)
{
    set_up(MF_BALANCER_HASH, 4, NULL);
    policy.key = MF_SLICE("x-user");
    draw(8000);
    for (int i = 0; i < 4; i++)
        ABOUT(counts[i], 2000, 200);
    tear_down();
}

static void warm(uint64_t passed, int aggressive, enum mf_balancer kind, int want)
{
    set_up(kind, 2, NULL);
    policy.warmup_ns = 10 * UINT64_C(1000000000);
    spread->warms = true;
    for (int i = 0; i < MF_WARMUP_STEPS; i++) {
        uint32_t at = (uint32_t)(65535 * (i * 2 + 1) / (MF_WARMUP_STEPS * 2)), root = 0;
        while (aggressive && root * root <= at * 65535u)
            root++;
        at = aggressive ? root - 1 : at;
        policy.warmth[i] = (uint16_t)(at < 6553 ? 6553 : at);
    }
    mf_store_relaxed(&peers[1]->since, now - passed);
    draw(20000);
    ABOUT(counts[1], want * 20, 450);
    tear_down();
}

/* The share of the second of two, in thousandths, by what has passed of ten seconds. */
static void who_is_new_warms_up(void)
{
    static const enum mf_balancer kinds[] = {MF_BALANCER_ROUND_ROBIN, MF_BALANCER_LEAST_REQUEST, MF_BALANCER_WEIGHTED};
    static const struct { int tenths, linear, square; } rows[] = {
        {5, 90, 0}, {20, 170, 310}, {40, 290, 390}, {60, 380, 435}, {80, 450, 0}, {100, 500, 500}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            warm((uint64_t)rows[i].tenths * 100000000, 0, kinds[k], rows[i].linear);
            if (rows[i].square)
                warm((uint64_t)rows[i].tenths * 100000000, 1, kinds[k], rows[i].square);
        }
}

/* All are as new, as after a start: each has its share. */
static void all_warm_up_alike(void)
{
    set_up(MF_BALANCER_ROUND_ROBIN, 4, NULL);
    policy.warmup_ns = 10 * UINT64_C(1000000000);
    spread->warms = true;
    for (int i = 0; i < 4; i++)
        mf_store_relaxed(&peers[i]->since, now);
    draw(8000);
    for (int i = 0; i < 4; i++)
        ABOUT(counts[i], 2000, 250);
    tear_down();
}

static void who_was_down_warms_up_again(void)
{
    set_up(MF_BALANCER_WEIGHTED, 2, NULL);
    CHECK_INT(mf_peer_well_since(peers[0]), mf_load_relaxed(&peers[0]->since));
    mf_peer_set_down(peers[0], now - 2);
    CHECK_INT(mf_peer_well_since(peers[0]), now - 2);
    tear_down();
}

static void nobody_can_be_used(void)
{
    for (int kind = MF_BALANCER_WEIGHTED; kind <= MF_BALANCER_HASH; kind++) {
        static const uint32_t weights[] = {1, 2, 3};
        for (uint32_t n = 1; n <= 3; n++) {
            set_up((enum mf_balancer)kind, n, weights);
            for (uint32_t i = 0; i < n; i++)
                mf_peer_set_down(peers[i], now + SECOND);
            CHECK(pick_for(NULL) == NULL);
            mf_peer_set_up(peers[n - 1]);
            for (int i = 0; i < 20; i++)
                CHECK(pick_for(NULL) == peers[n - 1]);
            tear_down();
        }
    }
}

static void no_memory(void)
{
    static const uint32_t weights[] = {1, 2};
    for (int kind = MF_BALANCER_WEIGHTED; kind <= MF_BALANCER_HASH; kind++) {
        set_up((enum mf_balancer)kind, 2, weights);
        long live = fail_live;
        struct mf_spread *made = NULL;
        for (long n = 1; !made; n++) {
            fail_at(n);
            made = mf_spread_new(&policy, peers, sums, 0, 2);
            CHECK(made || fail_live == live);
        }
        fail_at(0);
        mf_spread_free(made);
        CHECK_INT(fail_live, live);
        tear_down();
    }
}

int main(void)
{
    fail_at(0);
    chance_goes_by_weight_or_not();
    turns_are_exact();
    turns_pass_over_who_is_down();
    least_request_idle();
    least_request_spares_who_is_slow();
    least_request_of_many_by_weight();
    a_hash_keeps_its_instance();
    without_the_key_it_is_chance();
    who_is_new_warms_up();
    all_warm_up_alike();
    who_was_down_warms_up_again();
    nobody_can_be_used();
    no_memory();
    return test_end("table/balance");
}
