/* route: matching, weights, labels, fallbacks, health; the batch says the same as one by one. */
#include "table/mesh.h"

static struct mf_table *table;
static struct mf_cluster *app;

/* Builders for one rule after the other of the service under test. */
static struct mf_service *made;

static void begin(void)
{
    CHECK_INT(mf_service_new(table, S("com.acme.Cart"), MF_SERVICE_EXACT, &made), 0);
}

static void rule(void)
{
    CHECK(mf_service_rule(made, 0) >= 0);
}

static void when(uint16_t r, uint16_t m, enum mf_field field, const char *key, enum mf_op op, struct mf_slice value)
{
    int rc = mf_service_condition(table, made, r, m, field, S(key), op, value);
    if (rc == MF_ELIMIT) { /* the first condition of a new match */
        CHECK_INT(mf_service_match(made, r), m);
        rc = mf_service_condition(table, made, r, m, field, S(key), op, value);
    }
    CHECK(rc >= 0);
}

static void to(uint16_t r, enum mf_target_kind kind, const char *text, uint32_t weight, enum mf_fallback_case on,
               uint16_t fallback)
{
    CHECK(mf_service_target(table, made, r, app, kind, S(text), weight, on, fallback) >= 0);
}

static void publish(void)
{
    CHECK_INT(mf_table_publish(table, made), 0);
}

enum { RED1, RED2, BLUE, BASE1, BASE2, BOXES };
static const char *const addr[BOXES] = {"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1", "10.0.0.4:1", "10.0.0.5:1"};
static struct mf_peer *peers[BOXES];

static void remember_peer(void *arg, struct mf_peer *peer)
{
    (void)arg;
    for (int i = 0; i < BOXES; i++)
        if (strcmp(peer->text, addr[i]) == 0)
            peers[i] = peer;
}

static void set_up(void)
{
    struct box boxes[BOXES] = {BOX(addr[RED1], 1, "env", "red"), BOX(addr[RED2], 3, "env", "red"),
                               BOX(addr[BLUE], 1, "env", "blue"), BOX(addr[BASE1]), BOX(addr[BASE2])};
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(make_cluster(table, "app", boxes, BOXES, &app), 0);
    CHECK_INT(mf_cluster_subset(table, app, S("canary"), &(struct mf_pair){S("env"), S("blue")}, 1), 0);
    CHECK_INT(mf_cluster_subset(table, app, S("empty"), &(struct mf_pair){S("env"), S("green")}, 1), 0);
    CHECK_INT(mf_cluster_seal(table, app), 0);
    mf_table_each_peer(table, remember_peer, NULL);
}

/* Asks with one label `env`. */
static struct mf_route route;
static int ask(const char *env, uint64_t random)
{
    struct mf_slice labels[MF_LABELS] = {{NULL, 0}};
    labels[mf_label_intern(table, S("env"))] = S(env);
    struct mf_query query = {.service = S("com.acme.Cart"), .method = S("add"), .labels = labels, .now = 100,
                             .random = random};
    return mf_route_lookup(table, &query, &route);
}

/* Which boxes answer, as bits, over many draws; 0 when any draw fails. */
static unsigned reach(const char *env)
{
    unsigned seen = 0;
    for (uint64_t random = 0; random < 300; random++) {
        if (ask(env, random * UINT64_C(0x9e3779b97f4a7c15)) != 0)
            return 0;
        for (int i = 0; i < BOXES; i++)
            if (route.peer == peers[i])
                seen |= 1u << i;
    }
    return seen;
}

enum { REDS = 1 << RED1 | 1 << RED2, BASES = 1 << BASE1 | 1 << BASE2 };

static void test_labels(void)
{
    begin();
    rule();
    to(0, MF_TARGET_LABEL, "env", 100, MF_FALLBACK_NO_AVAILABLE, 1);
    to(0, MF_TARGET_BASELINE, "env", 0, MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET);
    publish();
    CHECK_INT(reach("red"), REDS);
    CHECK_INT(ask("red", 1), 0);
    CHECK_INT(route.fallbacks, 0);
    CHECK(route.stat == stat_of(table, "com.acme.Cart", "app", "red"));
    CHECK_INT(reach("blue"), 1 << BLUE);
    CHECK_INT(reach("canary"), 1 << BLUE); /* a declared subset's name */
    CHECK_INT(reach(""), BASES);           /* no label: never into an environment */
    CHECK_INT(route.fallbacks, 1);
    CHECK(route.stat == stat_of(table, "com.acme.Cart", "app", "baseline"));
    CHECK_INT(reach("nobody"), BASES);
    CHECK_INT(reach("re"), BASES);
    CHECK_INT(reach("redd"), BASES);
    CHECK_INT(reach("empty"), BASES); /* declared, but no instance */
    struct mf_query bare = {.service = S("com.acme.Cart"), .method = S("add")};
    CHECK_INT(mf_route_lookup(table, &bare, &route), 0); /* no labels at all */
    CHECK(route.peer == peers[BASE1] || route.peer == peers[BASE2]);
}

static void down(int box, bool is)
{
    mf_peer_set_down(peers[box], is ? 102 : 0); /* asked at 100 */
}

static void test_cases(void)
{
    for (int on = MF_FALLBACK_NO_INSTANCE; on <= MF_FALLBACK_NO_AVAILABLE; on++) {
        begin();
        rule();
        to(0, MF_TARGET_LABEL, "env", 1, on, 1);
        to(0, MF_TARGET_BASELINE, "env", 0, on, MF_NO_TARGET);
        publish();
        down(BLUE, true);
        CHECK_INT(ask("blue", 1), on == MF_FALLBACK_NO_INSTANCE ? MF_EROUTE_DOWN : 0);
        if (on == MF_FALLBACK_NO_INSTANCE)
            CHECK(!route.peer && route.stat == stat_of(table, "com.acme.Cart", "", ""));
        CHECK_INT(reach("nobody"), BASES); /* no instance: in either case */
        CHECK_INT(reach(""), BASES);       /* no label: in either case */
        down(BASE1, true);
        CHECK_INT(reach(""), 1 << BASE2);
        down(BASE2, true);
        CHECK_INT(ask("nobody", 1), MF_EROUTE_DOWN);
        CHECK_INT(ask("", 1), MF_EROUTE_DOWN);
        for (int i = 0; i < BOXES; i++)
            down(i, false);
    }
}

static void test_chain(void)
{
    begin();
    rule();
    to(0, MF_TARGET_SUBSET, "empty", 1, MF_FALLBACK_NO_INSTANCE, 2);
    to(0, MF_TARGET_ALL, "", 0, MF_FALLBACK_NO_INSTANCE, MF_NO_TARGET);
    to(0, MF_TARGET_SUBSET, "no such", 0, MF_FALLBACK_NO_INSTANCE, 3);
    to(0, MF_TARGET_SUBSET, "canary", 0, MF_FALLBACK_NO_AVAILABLE, 1);
    publish();
    CHECK_INT(ask("", 1), 0);
    CHECK(route.peer == peers[BLUE] && route.fallbacks == 2);
    down(BLUE, true);
    CHECK_INT(ask("", 1), 0);
    CHECK_INT(route.fallbacks, 3);
    CHECK(route.stat == stat_of(table, "com.acme.Cart", "app", ""));
    down(BLUE, false);

    begin(); /* chains that end without an instance */
    rule();
    to(0, MF_TARGET_SUBSET, "empty", 1, MF_FALLBACK_NO_INSTANCE, MF_NO_TARGET);
    publish();
    CHECK_INT(ask("", 1), MF_EROUTE_PEER);
    begin();
    rule();
    to(0, MF_TARGET_LABEL, "env", 1, MF_FALLBACK_NO_INSTANCE, MF_NO_TARGET);
    publish();
    CHECK_INT(ask("", 1), MF_EROUTE_PEER);
    begin();
    rule();
    publish();
    CHECK_INT(ask("", 1), MF_EROUTE_PEER);
    begin();
    publish();
    CHECK_INT(ask("", 1), MF_EROUTE_RULE);
    CHECK(route.stat == stat_of(table, "com.acme.Cart", "", ""));
}

static void test_weights(void)
{
    begin();
    rule();
    to(0, MF_TARGET_SUBSET, "canary", 10, MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET);
    to(0, MF_TARGET_BASELINE, "env", 90, MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET);
    to(0, MF_TARGET_LABEL, "env", 0, MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET);
    publish();
    int blue = 0, red2 = 0, red = 0;
    for (uint64_t i = 0; i < 20000; i++) {
        CHECK_INT(ask("red", i * UINT64_C(0xd6e8feb86659fd93)), 0);
        blue += route.peer == peers[BLUE];
        CHECK(route.peer != peers[RED1] && route.peer != peers[RED2]); /* weight 0 is never picked */
    }
    CHECK(blue > 1800 && blue < 2200);
    begin();
    rule();
    to(0, MF_TARGET_LABEL, "env", 0, MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET); /* none has a weight: the first */
    publish();
    for (uint64_t i = 0; i < 20000; i++) { /* the instances' own weights: 1 and 3 */
        CHECK_INT(ask("red", i * UINT64_C(0xd6e8feb86659fd93)), 0);
        red2 += route.peer == peers[RED2];
        red += route.peer == peers[RED1];
    }
    CHECK(red + red2 == 20000 && red2 > 14600 && red2 < 15400);
}

/* Of many instances one is available: it is found, whatever is drawn; the rest shares by weight. */
static void test_health_is_exact(void)
{
    enum { N = 200 };
    struct mf_table *t;
    struct mf_cluster *cluster;
    struct box boxes[N];
    char texts[N][24];
    for (int weighted = 0; weighted < 2; weighted++) {
        CHECK_INT(mf_table_new(&t), 0);
        for (int i = 0; i < N; i++) {
            snprintf(texts[i], sizeof texts[i], "10.0.1.%d:1", i);
            boxes[i] = BOX(texts[i], weighted ? 1 + (uint32_t)i % 5 : 1);
        }
        CHECK_INT(make_cluster(t, "many", boxes, N, &cluster), 0);
        CHECK_INT(mf_cluster_seal(t, cluster), 0);
        CHECK_INT(publish_all(t, "s", MF_SERVICE_EXACT, cluster), 0);
        mf_cluster_give(t, cluster);
        struct mf_query query = {.service = S("s"), .method = S("m"), .now = 1};
        struct mf_peer *up = NULL;
        for (uint64_t i = 0; i < 5000; i++) { /* one by one, all but one go down */
            query.random = i * UINT64_C(0x9e3779b97f4a7c15);
            CHECK_INT(mf_route_lookup(t, &query, &route), 0);
            CHECK(mf_peer_available(route.peer, 1));
            if (i < N - 1)
                mf_peer_set_down(route.peer, UINT64_MAX);
            else if (up)
                CHECK(route.peer == up);
            else
                up = route.peer;
        }
        mf_peer_set_down(up, UINT64_MAX);
        CHECK_INT(mf_route_lookup(t, &query, &route), MF_EROUTE_DOWN);
        mf_table_free(t);
    }
}

static bool fold; /* whether names of headers ignore case */

/* Whether a rule with one condition matches a call of com.acme.Cart's add. */
static bool holds(enum mf_field field, const char *key, enum mf_op op, struct mf_slice value,
                  const struct mf_pair *headers, uint32_t n_headers)
{
    begin();
    rule();
    when(0, 0, field, key, op, value);
    to(0, MF_TARGET_ALL, "", 1, 0, MF_NO_TARGET);
    publish();
    struct mf_query query = {.service = S("com.acme.Cart"), .method = S("add"), .headers = headers,
                             .n_headers = n_headers, .fold_names = fold};
    int rc = mf_route_lookup(table, &query, &route);
    CHECK(rc == 0 || rc == MF_EROUTE_RULE);
    return rc == 0;
}

static void test_paths(void)
{
#define PATH(op, text) holds(MF_FIELD_PATH, "", op, S(text), NULL, 0)
    const char *path = "/com.acme.Cart/add";
    CHECK(PATH(MF_OP_EXACT, path));
    CHECK(!PATH(MF_OP_EXACT, "/com.acme.Cart/ad") && !PATH(MF_OP_EXACT, "/com.acme.Cart/add2"));
    CHECK(!PATH(MF_OP_EXACT, "/com.acme.Cart") && !PATH(MF_OP_EXACT, "") && !PATH(MF_OP_EXACT, "com.acme.Cart/add"));
    CHECK(!PATH(MF_OP_EXACT, "/com.acme.Carts/add") && !PATH(MF_OP_EXACT, "/com.acme.Car/tadd"));
    for (size_t n = 0; n <= strlen(path); n++)
        CHECK(holds(MF_FIELD_PATH, "", MF_OP_PREFIX, mf_slice_of(path, n), NULL, 0));
    CHECK(!PATH(MF_OP_PREFIX, "/com.acme.Cart/add/") && !PATH(MF_OP_PREFIX, "/com.acme.cart"));
    CHECK(PATH(MF_OP_PRESENT, "") && !PATH(MF_OP_ABSENT, ""));
}

/* A blob for "any bytes, at least one": states 0 dead, 1 start, 2 accepting. */
static struct mf_slice some_bytes(uint8_t blob[280])
{
    uint16_t n[2] = {3, 1}, next[3] = {0, 2, 2};
    memset(blob, 0, 280);
    memcpy(blob, n, 4);
    blob[260 + 2] = 1;
    memcpy(blob + 264, next, sizeof next);
    return mf_slice_of(blob, 264 + sizeof next);
}

static void test_conditions(void)
{
    uint8_t blob[280];
    struct mf_pair headers[] = {{S("x-user"), S("eve")}, {S("X-User"), S("bob")}, {S("empty"), S("")}};
    fold = true;
#define HEADER(key, op, text) holds(MF_FIELD_HEADER, key, op, S(text), headers, 3)
    CHECK(HEADER("x-user", MF_OP_EXACT, "bob") && !HEADER("x-user", MF_OP_EXACT, "eve"));
    CHECK(HEADER("X-USER", MF_OP_PREFIX, "bo") && HEADER("x-user", MF_OP_PREFIX, "") &&
          !HEADER("x-user", MF_OP_PREFIX, "bobby"));
    CHECK(HEADER("x-user", MF_OP_PRESENT, "") && HEADER("empty", MF_OP_PRESENT, "") &&
          !HEADER("x-use", MF_OP_PRESENT, "") && !HEADER("x_user", MF_OP_PRESENT, ""));
    CHECK(HEADER("x-other", MF_OP_ABSENT, "") && !HEADER("empty", MF_OP_ABSENT, ""));
    CHECK(HEADER("empty", MF_OP_EXACT, "") && !HEADER("x-other", MF_OP_EXACT, ""));
    CHECK(holds(MF_FIELD_HEADER, "x-user", MF_OP_REGEX, some_bytes(blob), headers, 3));
    CHECK(!holds(MF_FIELD_HEADER, "empty", MF_OP_REGEX, some_bytes(blob), headers, 3));
    CHECK(!holds(MF_FIELD_HEADER, "x-other", MF_OP_REGEX, some_bytes(blob), headers, 3));
    CHECK(holds(MF_FIELD_PATH, "", MF_OP_REGEX, some_bytes(blob), NULL, 0));

    fold = false;
    CHECK(HEADER("x-user", MF_OP_EXACT, "eve") && HEADER("X-User", MF_OP_EXACT, "bob"));
    CHECK(HEADER("X-USER", MF_OP_ABSENT, "") && !HEADER("x-User", MF_OP_PRESENT, ""));
    headers[1] = (struct mf_pair){S("x-user"), S("bob")};
    CHECK(HEADER("x-user", MF_OP_EXACT, "bob")); /* the last of two counts */
    headers[1].value = mf_slice_of(NULL, 0);     /* there, and no text */
    CHECK(HEADER("x-user", MF_OP_PRESENT, "") && !HEADER("x-user", MF_OP_ABSENT, ""));
    CHECK(!HEADER("x-user", MF_OP_EXACT, "") && !HEADER("x-user", MF_OP_PREFIX, "") &&
          !HEADER("x-user", MF_OP_EXACT, "eve"));
    CHECK(!holds(MF_FIELD_HEADER, "x-user", MF_OP_REGEX, some_bytes(blob), headers, 3));

    CHECK(holds(MF_FIELD_METHOD, "", MF_OP_EXACT, S("add"), NULL, 0));
    CHECK(!holds(MF_FIELD_METHOD, "", MF_OP_EXACT, S("Add"), NULL, 0));
    CHECK(holds(MF_FIELD_METHOD, "", MF_OP_PREFIX, S("a"), NULL, 0));
    CHECK(holds(MF_FIELD_METHOD, "", MF_OP_PRESENT, S(""), NULL, 0));
    CHECK(holds(MF_FIELD_AUTHORITY, "", MF_OP_EXACT, S("com.acme.Cart"), NULL, 0));
    struct mf_pair host = {S("target-host"), S("shop")};
    CHECK(holds(MF_FIELD_AUTHORITY, "", MF_OP_EXACT, S("shop"), &host, 1));
    host.value = S("");
    CHECK(holds(MF_FIELD_AUTHORITY, "", MF_OP_EXACT, S("com.acme.Cart"), &host, 1));
    for (int op = MF_OP_EXACT; op <= MF_OP_ABSENT; op++)
        CHECK(!holds(MF_FIELD_NEVER, "", op, op == MF_OP_REGEX ? some_bytes(blob) : S(""), NULL, 0));
    CHECK(!holds(MF_FIELD_LABEL, "env", MF_OP_PRESENT, S(""), NULL, 0));
    CHECK(holds(MF_FIELD_LABEL, "env", MF_OP_ABSENT, S(""), NULL, 0));
}

/* Rules in order; alternatives within one; all conditions of an alternative. */
static void test_rules(void)
{
    begin();
    rule();
    when(0, 0, MF_FIELD_LABEL, "env", MF_OP_EXACT, S("red"));
    when(0, 0, MF_FIELD_METHOD, "", MF_OP_EXACT, S("drop"));
    when(0, 1, MF_FIELD_LABEL, "env", MF_OP_EXACT, S("blue"));
    to(0, MF_TARGET_LABEL, "env", 1, 0, MF_NO_TARGET);
    CHECK_INT(mf_service_rule(made, 1500), 1);
    when(1, 0, MF_FIELD_LABEL, "env", MF_OP_PRESENT, S(""));
    to(1, MF_TARGET_BASELINE, "env", 1, 0, MF_NO_TARGET);
    publish();
    CHECK_INT(ask("blue", 1), 0);
    CHECK(route.peer == peers[BLUE] && route.rule == 0 && route.timeout_ms == 0);
    CHECK_INT(ask("red", 1), 0); /* the method of the first alternative differs */
    CHECK_INT(route.rule, 1);
    CHECK_INT(route.timeout_ms, 1500);
    CHECK_INT(ask("", 1), MF_EROUTE_RULE);
}

static void test_batch(void)
{
    enum { N = 53 };
    struct mf_slice labels[MF_LABELS] = {{NULL, 0}};
    struct mf_query queries[N];
    struct mf_route outs[N];
    int rcs[N];
    labels[mf_label_intern(table, S("env"))] = S("red");
    begin();
    rule();
    when(0, 0, MF_FIELD_METHOD, "", MF_OP_EXACT, S("add"));
    to(0, MF_TARGET_LABEL, "env", 1, MF_FALLBACK_NO_AVAILABLE, 1);
    to(0, MF_TARGET_SUBSET, "canary", 0, MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET);
    publish();
    CHECK_INT(publish_all(table, "com.", MF_SERVICE_PREFIX, app), 0);
    CHECK_INT(mf_service_new(table, S("norule"), MF_SERVICE_EXACT, &made), 0);
    publish();
    CHECK_INT(mf_service_new(table, S("notarget"), MF_SERVICE_EXACT, &made), 0);
    rule();
    publish();
    const char *services[] = {"com.acme.Cart", "com.other", "norule", "notarget", "unknown", ""};
    for (uint32_t i = 0; i < N; i++)
        queries[i] = (struct mf_query){.service = S(services[i % 6]), .method = S(i % 7 ? "add" : "drop"),
                                       .labels = i % 5 ? labels : NULL, .now = 100, .random = i * 7919};
    down(RED2, true);
    mf_route_lookup_batch(table, queries, 0, outs, rcs);
    mf_route_lookup_batch(table, queries, N, outs, rcs);
    for (uint32_t i = 0; i < N; i++) {
        CHECK_INT(rcs[i], mf_route_lookup(table, &queries[i], &route));
        CHECK(outs[i].peer == route.peer && outs[i].stat == route.stat && outs[i].fallbacks == route.fallbacks &&
              outs[i].rule == route.rule);
    }
    down(RED2, false);
}

/* Texts of the request may end where memory ends, and may be empty with no address at all. */
static void test_guarded(void)
{
    begin();
    rule();
    when(0, 0, MF_FIELD_PATH, "", MF_OP_EXACT, S("/com.acme.Cart/add"));
    to(0, MF_TARGET_ALL, "", 1, 0, MF_NO_TARGET);
    publish();
    struct mf_query query = {.service = guarded(S("com.acme.Cart")), .method = S("add")};
    CHECK_INT(mf_route_lookup(table, &query, &route), 0);
    query = (struct mf_query){.service = S("com.acme.Cart"), .method = guarded(S("add"))};
    CHECK_INT(mf_route_lookup(table, &query, &route), 0);
    query.method = mf_slice_of(NULL, 0);
    CHECK_INT(mf_route_lookup(table, &query, &route), MF_EROUTE_RULE);
    query.service = mf_slice_of(NULL, 0);
    CHECK_INT(mf_route_lookup(table, &query, &route), MF_EROUTE_SERVICE);
    CHECK(!route.stat && !route.peer);
}

int main(void)
{
    set_up();
    test_labels();
    test_cases();
    test_chain();
    test_weights();
    test_health_is_exact();
    test_paths();
    test_conditions();
    test_rules();
    test_batch();
    test_guarded();
    mf_cluster_give(table, app);
    mf_table_reclaim(table);
    mf_table_free(table);
    return test_end("table/route");
}
