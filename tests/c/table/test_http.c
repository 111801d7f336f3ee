/* http: an HTTP request as rules see it, and instances that speak Dubbo and HTTP at different addresses. */
#include "table/mesh.h"

static struct mf_table *table;
static struct mf_route route;

/* --- conditions */

static struct mf_http_view view;
static struct mf_query request;

static void look_at(const char *method, const char *authority, const char *path, const char *query)
{
    view = (struct mf_http_view){S(method), S("https"), S(authority), S(path), S(query)};
}

/* Whether a rule with one condition matches the request. */
static bool holds_text(enum mf_field field, const char *key, enum mf_op op, struct mf_slice value)
{
    struct mf_service *made;
    struct mf_cluster *app;
    CHECK_INT(make_cluster(table, "app", (struct box[]){BOX("10.0.0.1:1")}, 1, &app), 0);
    CHECK_INT(mf_cluster_seal(table, app), 0);
    CHECK_INT(mf_service_new(table, S("s"), MF_SERVICE_EXACT, &made), 0);
    CHECK_INT(mf_service_rule(made, 0), 0);
    CHECK_INT(mf_service_match(made, 0), 0);
    CHECK_INT(mf_service_condition(table, made, 0, 0, field, S(key), op, value), 0);
    CHECK_INT(mf_service_target(table, made, 0, app, MF_TARGET_ALL, S(""), 1, 0, MF_NO_TARGET), 0);
    CHECK_INT(mf_table_publish(table, made), 0);
    mf_cluster_give(table, app);
    int rc = mf_route_lookup(table, &request, &route);
    CHECK(rc == 0 || rc == MF_EROUTE_RULE);
    return rc == 0;
}

static bool holds(enum mf_field field, const char *key, enum mf_op op, const char *value)
{
    return holds_text(field, key, op, S(value));
}

static void test_own_words(void)
{
    look_at("GET", "Shop.Example:8080", "/a.Cart/add", "x=1");
    request = (struct mf_query){.service = S("s"), .method = S("m"), .http = &view};
    CHECK(holds(MF_FIELD_METHOD, "", MF_OP_EXACT, "GET") && !holds(MF_FIELD_METHOD, "", MF_OP_EXACT, "m"));
    CHECK(!holds(MF_FIELD_METHOD, "", MF_OP_EXACT, "get"));
    CHECK(holds(MF_FIELD_SCHEME, "", MF_OP_EXACT, "https") && !holds(MF_FIELD_SCHEME, "", MF_OP_EXACT, "http"));
    CHECK(holds(MF_FIELD_PATH, "", MF_OP_EXACT, "/a.Cart/add") && !holds(MF_FIELD_PATH, "", MF_OP_EXACT, "/s/m"));
    CHECK(holds(MF_FIELD_PATH, "", MF_OP_PREFIX, "/a.Cart/") && !holds(MF_FIELD_PATH, "", MF_OP_PREFIX, "/a.cart/"));
    CHECK(!holds(MF_FIELD_PATH, "", MF_OP_EXACT, "/a.Cart/add?x=1"));
    CHECK(holds(MF_FIELD_AUTHORITY, "", MF_OP_EXACT, "shop.example:8080"));
    CHECK(!holds(MF_FIELD_AUTHORITY, "", MF_OP_EXACT, "shop.example"));
    CHECK(holds(MF_FIELD_AUTHORITY, "", MF_OP_PREFIX, "SHOP.") && !holds(MF_FIELD_AUTHORITY, "", MF_OP_PREFIX, "hop"));
    CHECK(holds(MF_FIELD_AUTHORITY, "", MF_OP_PRESENT, ""));
    view.authority = view.path = mf_slice_of(NULL, 0);
    CHECK(!holds(MF_FIELD_AUTHORITY, "", MF_OP_PREFIX, "") && !holds(MF_FIELD_AUTHORITY, "", MF_OP_PRESENT, ""));
    CHECK(!holds(MF_FIELD_AUTHORITY, "", MF_OP_EXACT, "s")); /* the service is what stands for it in Dubbo */
    CHECK(!holds(MF_FIELD_PATH, "", MF_OP_PREFIX, "/") && holds(MF_FIELD_PATH, "", MF_OP_ABSENT, ""));
    request.http = NULL;
    CHECK(holds(MF_FIELD_METHOD, "", MF_OP_EXACT, "m") && holds(MF_FIELD_PATH, "", MF_OP_EXACT, "/s/m"));
    CHECK(!holds(MF_FIELD_SCHEME, "", MF_OP_PRESENT, "") && !holds(MF_FIELD_PARAM, "x", MF_OP_PRESENT, ""));
    CHECK(!holds(MF_FIELD_HTTP, "", MF_OP_PRESENT, "") && holds(MF_FIELD_HTTP, "", MF_OP_ABSENT, ""));
    CHECK(holds(MF_FIELD_SCHEME, "", MF_OP_ABSENT, "") && holds(MF_FIELD_AUTHORITY, "", MF_OP_EXACT, "s"));
}

static void test_params(void)
{
    look_at("GET", "h", "/", "a=1&b&c=&a=2&d=x=y&%61=3&=5&&e");
    request = (struct mf_query){.service = S("s"), .http = &view};
    view.query = guarded(view.query);
#define PARAM(key, op, text) holds(MF_FIELD_PARAM, key, op, text)
    CHECK(PARAM("a", MF_OP_EXACT, "1") && !PARAM("a", MF_OP_EXACT, "2")); /* the first counts */
    CHECK(PARAM("b", MF_OP_EXACT, "") && PARAM("b", MF_OP_PRESENT, "") && PARAM("c", MF_OP_EXACT, ""));
    CHECK(PARAM("d", MF_OP_EXACT, "x=y") && PARAM("d", MF_OP_PREFIX, "x"));
    CHECK(PARAM("%61", MF_OP_EXACT, "3") && PARAM("", MF_OP_EXACT, "5") && PARAM("e", MF_OP_EXACT, ""));
    CHECK(!PARAM("f", MF_OP_PRESENT, "") && PARAM("f", MF_OP_ABSENT, "") && !PARAM("f", MF_OP_EXACT, ""));
    CHECK(!PARAM("A", MF_OP_PRESENT, "") && !PARAM("aa", MF_OP_PRESENT, ""));
    const char *const none[] = {NULL, ""};
    for (int i = 0; i < 2; i++) {
        view.query = S(none[i]);
        CHECK(!PARAM("a", MF_OP_PRESENT, "") && !PARAM("", MF_OP_PRESENT, ""));
    }
    const char *const bare[] = {"a", "a=", "=a", "&", "="};
    for (int i = 0; i < 5; i++) {
        view.query = guarded(S(bare[i]));
        CHECK_INT(PARAM("a", MF_OP_PRESENT, ""), i < 2);
    }
}

/* A blob for "a,b": states 0 dead, 1 start, 2 to 4 on the way; classes a , b and the rest. */
static struct mf_slice a_and_b(uint8_t blob[512])
{
    uint16_t n[2] = {5, 4}, next[20] = {[1 * 4 + 1] = 2, [2 * 4 + 2] = 3, [3 * 4 + 3] = 4};
    memset(blob, 0, 512);
    memcpy(blob, n, 4);
    blob[4 + 'a'] = 1;
    blob[4 + ','] = 2;
    blob[4 + 'b'] = 3;
    blob[260 + 4] = 1;
    memcpy(blob + 266, next, sizeof next);
    return mf_slice_of(blob, 266 + sizeof next);
}

static void test_lists(void)
{
    uint8_t blob[512];
    struct mf_pair headers[] = {{S("x"), S("a")},     {S("cookie"), S("k=1")}, {S("group"), S("old")},
                                {S("x"), S("b")},     {S("e"), S("")},         {S("cookie"), S("l=2")},
                                {S("group"), S("g")}, {S("e"), S("")},         {S("version"), S("1")}};
    look_at("GET", "h", "/", NULL);
    request = (struct mf_query){.service = S("s"), .http = &view, .headers = headers, .n_headers = 9, .fold_names = true};
#define HEADER(key, op, text) holds(MF_FIELD_HEADER, key, op, text)
    CHECK(HEADER("X", MF_OP_EXACT, "a,b") && !HEADER("x", MF_OP_EXACT, "b") && !HEADER("x", MF_OP_EXACT, "a"));
    CHECK(!HEADER("x", MF_OP_EXACT, "a,b,") && !HEADER("x", MF_OP_EXACT, "a,") && !HEADER("x", MF_OP_EXACT, "ab"));
    CHECK(HEADER("x", MF_OP_PREFIX, "") && HEADER("x", MF_OP_PREFIX, "a") && HEADER("x", MF_OP_PREFIX, "a,"));
    CHECK(HEADER("x", MF_OP_PREFIX, "a,b") && !HEADER("x", MF_OP_PREFIX, "a,b,") && !HEADER("x", MF_OP_PREFIX, "b"));
    CHECK(holds_text(MF_FIELD_HEADER, "x", MF_OP_REGEX, a_and_b(blob)));
    CHECK(!holds_text(MF_FIELD_HEADER, "e", MF_OP_REGEX, a_and_b(blob)));
    CHECK(HEADER("x", MF_OP_PRESENT, "") && !HEADER("x", MF_OP_ABSENT, "") && HEADER("y", MF_OP_ABSENT, ""));
    CHECK(HEADER("Cookie", MF_OP_EXACT, "k=1; l=2") && HEADER("e", MF_OP_EXACT, ","));
    CHECK(HEADER("group", MF_OP_EXACT, "g") && HEADER("version", MF_OP_EXACT, "1"));
    headers[0].value = S("a,b");
    request.n_headers = 1;
    CHECK(HEADER("x", MF_OP_EXACT, "a,b") && holds_text(MF_FIELD_HEADER, "x", MF_OP_REGEX, a_and_b(blob)));
}

/* --- where each is spoken */

struct place {
    const char *dubbo, *http, *env;
};

static int make(const struct place *places, int n, struct mf_cluster **out)
{
    int rc = mf_cluster_new(table, S("app"), out);
    for (int i = 0; rc == 0 && i < n; i++) {
        const struct mf_slice addrs[MF_FAMILIES] = {S(places[i].dubbo), S(places[i].http)};
        struct mf_pair env = {S("env"), S(places[i].env)};
        rc = mf_cluster_add_apart(table, *out, addrs, &env, places[i].env != NULL, (uint32_t)i + 1);
        if (rc != 0)
            mf_cluster_give(table, *out);
    }
    return rc;
}

/* By the label env, then the baseline, then the subset of all. */
static int offer(const struct place *places, int n)
{
    struct mf_cluster *app;
    struct mf_service *made;
    int rc = make(places, n, &app);
    if (rc != 0)
        return rc;
    rc = mf_cluster_subset(table, app, S("all"), NULL, 0);
    if (rc == 0)
        rc = mf_cluster_seal(table, app);
    if (rc == 0)
        rc = mf_service_new(table, S("s"), MF_SERVICE_EXACT, &made);
    if (rc < 0) {
        mf_cluster_give(table, app);
        return rc;
    }
    rc = mf_service_rule(made, 0);
    if (rc >= 0)
        rc = mf_service_target(table, made, 0, app, MF_TARGET_LABEL, S("env"), 1, MF_FALLBACK_NO_INSTANCE, 1);
    if (rc >= 0)
        rc = mf_service_target(table, made, 0, app, MF_TARGET_BASELINE, S("env"), 0, MF_FALLBACK_NO_INSTANCE, 2);
    if (rc >= 0)
        rc = mf_service_target(table, made, 0, app, MF_TARGET_SUBSET, S("all"), 0, MF_FALLBACK_NO_INSTANCE, MF_NO_TARGET);
    if (rc >= 0)
        rc = mf_table_publish(table, made);
    if (rc < 0)
        mf_service_free(table, made);
    mf_cluster_give(table, app);
    return rc;
}

/* Where a call with that label goes, and by how many fallbacks; the batch says the same. */
static const char *way(bool http, const char *env)
{
    static char text[64];
    struct mf_slice labels[MF_LABELS] = {{NULL, 0}};
    int number = mf_label_number(table, S("env"));
    labels[number < 0 ? 0 : number] = S(env);
    struct mf_query query = {.service = S("s"), .labels = labels, .http = http ? &view : NULL, .random = 1};
    struct mf_route other;
    int rc = mf_route_lookup(table, &query, &route), rc2;
    mf_route_lookup_batch(table, &query, 1, &other, &rc2);
    CHECK(rc == rc2 && route.peer == other.peer && route.fallbacks == other.fallbacks && route.stat == other.stat);
    snprintf(text, sizeof text, "%s +%d", rc == 0 ? route.peer->text : mf_err_name(rc), route.fallbacks);
    return text;
}

static void test_apart(void)
{
    const struct place places[] = {{"10.0.0.1:1", "10.0.0.1:2", "red"}, {"10.0.0.2:1", NULL, "blue"},
                                   {NULL, "10.0.0.3:2", "green"},       {"10.0.0.4:9", "10.0.0.4:9", "both"},
                                   {"10.0.0.5:1", "10.0.0.5:2", NULL}};
    CHECK_INT(offer(places, 5), 0);
    CHECK_INT(n_peers(table), 7);
    CHECK_TEXT(way(false, "red"), "10.0.0.1:1 +0");
    CHECK_TEXT(way(true, "red"), "10.0.0.1:2 +0");
    CHECK_TEXT(way(false, "blue"), "10.0.0.2:1 +0");
    CHECK_TEXT(way(true, "blue"), "10.0.0.5:2 +1"); /* that environment has none for it: the baseline's */
    CHECK_TEXT(way(false, "green"), "10.0.0.5:1 +1");
    CHECK_TEXT(way(true, "green"), "10.0.0.3:2 +0");
    CHECK_TEXT(way(false, "both"), "10.0.0.4:9 +0");
    CHECK_TEXT(way(true, "both"), "10.0.0.4:9 +0");
    CHECK_TEXT(way(true, ""), "10.0.0.5:2 +1");
}

/* Weights are those of the instances that take the call; one that is down is passed over. */
static void test_weights(void)
{
    const struct place places[] = {{"10.0.0.1:1", "10.0.0.1:2", NULL}, {"10.0.0.2:1", NULL, NULL},
                                   {NULL, "10.0.0.3:2", NULL}};
    int seen[3] = {0};
    CHECK_INT(offer(places, 3), 0);
    for (uint64_t i = 0; i < 8000; i++) {
        struct mf_query query = {.service = S("s"), .http = &view, .random = i * UINT64_C(0xd6e8feb86659fd93)};
        CHECK_INT(mf_route_lookup(table, &query, &route), 0);
        seen[route.peer->text[7] - '1']++;
        CHECK(strcmp(route.peer->text + 8, ":2") == 0);
    }
    CHECK(seen[1] == 0 && seen[0] > 1800 && seen[0] < 2200); /* 1 to 3 */
    struct mf_query query = {.service = S("s"), .http = &view, .random = 1, .now = 5};
    CHECK_INT(mf_route_lookup(table, &query, &route), 0);
    mf_peer_set_down(route.peer, 9);
    struct mf_peer *first = route.peer;
    CHECK_INT(mf_route_lookup(table, &query, &route), 0);
    CHECK(route.peer != first);
    mf_peer_set_down(route.peer, 9);
    CHECK_INT(mf_route_lookup(table, &query, &route), MF_EROUTE_DOWN);
    query.http = NULL;
    CHECK_INT(mf_route_lookup(table, &query, &route), 0);
    mf_peer_set_up(first);
}

static uint32_t kinds(bool http, enum mf_route_step_kind kind)
{
    struct mf_route_step steps[32];
    struct mf_route_steps all = {.steps = steps, .room = 32};
    struct mf_query query = {.service = S("s"), .http = http ? &view : NULL};
    uint32_t n = 0;
    mf_route_explain(table, &query, &route, &all);
    for (uint32_t i = 0; i < all.n; i++)
        n += steps[i].kind == kind;
    return n;
}

static void test_one_only(void)
{
    CHECK_INT(offer(&(struct place){"10.0.0.1:1", NULL, NULL}, 1), 0);
    CHECK_TEXT(way(true, ""), "MF_EROUTE_PEER +2");
    CHECK_TEXT(way(false, ""), "10.0.0.1:1 +1");
    CHECK_INT(kinds(true, MF_STEP_NO_PORT), 2);
    CHECK_INT(kinds(true, MF_STEP_EMPTY), 0);
    CHECK_INT(offer(&(struct place){NULL, "10.0.0.1:1", NULL}, 1), 0);
    CHECK_TEXT(way(false, ""), "MF_EROUTE_PEER +2");
    CHECK_TEXT(way(true, ""), "10.0.0.1:1 +1");
    CHECK_INT(kinds(false, MF_STEP_NO_PORT), 2);
    CHECK_INT(offer(NULL, 0), 0);
    CHECK_INT(kinds(true, MF_STEP_EMPTY), 2);
    CHECK_INT(kinds(false, MF_STEP_NO_PORT), 0);
    struct mf_cluster *app;
    CHECK_INT(make(&(struct place){NULL, NULL, NULL}, 1, &app), MF_EADDR);
    CHECK_INT(make(&(struct place){"10.0.0.1:1", "app:1", NULL}, 1, &app), MF_EADDR);
}

static void test_memory(void)
{
    const struct place places[] = {{"10.9.0.1:1", "10.9.0.1:2", "red"}, {"10.9.0.2:1", "10.9.0.2:1", "blue"},
                                   {NULL, "10.9.0.3:2", NULL}};
    mf_table_free(table);
    CHECK_INT(mf_table_new(&table), 0);
    for (long i = 1;; i++) {
        fail_at(i);
        int rc = offer(places, 3);
        bool failed = fail_failed > 0;
        fail_at(0);
        mf_table_reclaim(table);
        if (!failed && rc == 0)
            break;
        CHECK(rc == -ENOMEM || rc == 0);
        if (rc != 0)
            CHECK_INT(n_peers(table), 0);
    }
    CHECK_INT(n_peers(table), 4);
    CHECK_INT(mf_table_remove(table, S("s"), MF_SERVICE_EXACT), 0);
    mf_table_reclaim(table);
    mf_table_reclaim(table);
    CHECK_INT(n_peers(table), 0);
}

int main(void)
{
    CHECK_INT(mf_table_new(&table), 0);
    test_own_words();
    test_params();
    test_lists();
    look_at("POST", "h", "/s/m", NULL);
    test_apart();
    test_weights();
    test_one_only();
    test_memory();
    mf_table_free(table);
    return test_end("table/http");
}
