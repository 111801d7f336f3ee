/* match: what conditions ask of a call's arguments. */
#include "table/match.h"

#include "mesh.h"

/* A call's arguments: one that has no address is there and is none. */
struct said {
    const struct mf_slice *texts;
    uint32_t n, asked;
    char room[16]; /* where each is shown: the next one takes the place of the one before */
};

static bool argument(void *of, uint32_t index, struct mf_slice *out)
{
    struct said *said = of;
    said->asked++;
    if (index >= said->n || !said->texts[index].ptr)
        return false;
    memset(said->room, 'x', sizeof said->room);
    memcpy(said->room, said->texts[index].ptr, said->texts[index].len);
    *out = mf_slice_of(said->room, said->texts[index].len);
    return true;
}

static struct mf_table *table;
static struct mf_cluster *cluster;

struct wish {
    const char *key;
    enum mf_op op;
    const char *value;
};

/* Publishes a service whose first rule has these in one match; the second has none. */
static int publish(const struct wish *wishes, uint32_t n)
{
    struct mf_service *service;
    int rc = mf_service_new(table, S("s"), MF_SERVICE_EXACT, &service);
    for (uint16_t r = 0; rc >= 0 && r < 2; r++) {
        rc = mf_service_rule(service, 0);
        if (rc >= 0)
            rc = mf_service_target(table, service, r, cluster, MF_TARGET_ALL, S(""), 1, MF_FALLBACK_NO_INSTANCE, MF_NO_TARGET);
    }
    if (rc >= 0)
        rc = mf_service_match(service, 0);
    for (uint32_t i = 0; rc >= 0 && i < n; i++)
        rc = mf_service_condition(table, service, 0, 0, MF_FIELD_ARGUMENT, S(wishes[i].key), wishes[i].op, S(wishes[i].value));
    if (rc >= 0)
        rc = mf_table_publish(table, service);
    if (rc < 0)
        mf_service_free(table, service);
    return rc;
}

static bool matches(struct said *said, const struct mf_http_view *http)
{
    struct mf_query query = {.service = S("s"), .method = S("m"), .http = http, .argument = said ? argument : NULL, .of = said};
    struct mf_route route, batched;
    int rc = 0;
    CHECK_INT(mf_route_lookup(table, &query, &route), 0);
    mf_route_lookup_batch(table, &query, 1, &batched, &rc);
    CHECK_INT(rc, 0);
    CHECK_INT(batched.rule, route.rule);
    return route.rule == 0;
}

static struct said called;

static bool holds_of(const char *key, enum mf_op op, const char *value)
{
    CHECK_INT(publish(&(struct wish){key, op, value}, 1), 0);
    return matches(&called, NULL);
}

static void test_one(void)
{
    const struct mf_slice texts[] = {S("7"), S("bob"), S(NULL), S("")};
    called = (struct said){texts, 4, 0, {0}};
    CHECK(holds_of("0", MF_OP_EXACT, "7") && !holds_of("0", MF_OP_EXACT, "8") && !holds_of("0", MF_OP_EXACT, "77"));
    CHECK(holds_of("1", MF_OP_PREFIX, "bo") && !holds_of("1", MF_OP_PREFIX, "bobb"));
    CHECK(holds_of("01", MF_OP_EXACT, "bob"));
    CHECK(holds_of("3", MF_OP_EXACT, "") && holds_of("3", MF_OP_PRESENT, "") && !holds_of("3", MF_OP_ABSENT, ""));
    for (int i = 0; i < 4; i++) { /* an object; beyond them; a number that nobody has */
        const char *none = (const char *const[]){"2", "4", "65535", "99999999999999999999"}[i];
        CHECK(holds_of(none, MF_OP_ABSENT, "") && !holds_of(none, MF_OP_PRESENT, ""));
        CHECK(!holds_of(none, MF_OP_EXACT, "") && !holds_of(none, MF_OP_PREFIX, ""));
    }
    CHECK_INT(publish(&(struct wish){"0", MF_OP_EXACT, "7"}, 1), 0);
    CHECK(!matches(NULL, NULL)); /* nobody to ask */
    const struct mf_http_view http = {.path = S("/s/m")};
    CHECK(!matches(&called, &http));
    CHECK_INT(publish(&(struct wish){"0", MF_OP_ABSENT, ""}, 1), 0);
    CHECK(matches(NULL, NULL) && matches(&called, &http));
}

static void test_two(void)
{
    const struct mf_slice texts[] = {S("red"), S("blue")};
    called = (struct said){texts, 2, 0, {0}};
    CHECK_INT(publish((struct wish[]){{"0", MF_OP_EXACT, "red"}, {"1", MF_OP_EXACT, "blue"}}, 2), 0);
    CHECK(matches(&called, NULL));
    CHECK_INT(publish((struct wish[]){{"1", MF_OP_EXACT, "blue"}, {"0", MF_OP_EXACT, "blue"}}, 2), 0);
    CHECK(!matches(&called, NULL));
    CHECK_INT(publish((struct wish[]){{"0", MF_OP_PREFIX, "r"}, {"0", MF_OP_EXACT, "red"}, {"5", MF_OP_ABSENT, ""}}, 3), 0);
    CHECK(matches(&called, NULL));
}

/* Who does not ask is not answered. */
static void test_unasked(void)
{
    called = (struct said){0};
    CHECK_INT(publish(NULL, 0), 0);
    CHECK(matches(&called, NULL));
    CHECK_INT(called.asked, 0);
}

static void test_refused(void)
{
    static const char *const keys[] = {"", "-1", "+1", "x", "1x", " 1", "0.5"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        CHECK_INT(publish(&(struct wish){keys[i], MF_OP_PRESENT, ""}, 1), MF_ELIMIT);
    CHECK_INT(publish(&(struct wish){"0", MF_OP_REGEX, "no blob"}, 1), MF_ELIMIT);
}

int main(void)
{
    CHECK_INT(mf_table_new(&table), 0);
    const struct box boxes[] = {BOX("10.0.0.1:1")};
    CHECK_INT(make_cluster(table, "app", boxes, 1, &cluster), 0);
    CHECK_INT(mf_cluster_seal(table, cluster), 0);
    test_one();
    test_two();
    test_unasked();
    test_refused();
    mf_cluster_give(table, cluster);
    mf_table_free(table);
    return test_end("table/argument");
}
