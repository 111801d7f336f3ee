/* explain: the steps of a decision, the same decision as a lookup's. */
#include "table/mesh.h"

static struct mf_table *table;
static char story[2048];

/* The steps as one line: what happened, with the numbers that belong to it. */
static const char *tell(const struct mf_query *query)
{
    static const char *const names[] = {"service", "no-service", "no-match", "match", "target", "no-label",
                                        "no-subset", "empty", "down", "end", "peer"};
    struct mf_route_step steps[64];
    struct mf_route_steps all = {.steps = steps, .room = 64, .n = 99};
    struct mf_route route, plain;
    int rc = mf_route_explain(table, query, &route, &all), at = 0;
    CHECK_INT(mf_route_lookup(table, query, &plain), rc);
    CHECK(route.peer == plain.peer && route.stat == plain.stat && route.rule == plain.rule);
    for (uint32_t i = 0; i < all.n; i++) {
        const struct mf_route_step *s = &steps[i];
        at += snprintf(story + at, sizeof story - (size_t)at, "%s%s", i ? " " : "", names[s->kind]);
        if (s->kind == MF_STEP_NO_MATCH)
            at += snprintf(story + at, sizeof story - (size_t)at, "(%d,%d,%d:%.*s)", s->rule, s->match, s->condition,
                           (int)s->text.len, (const char *)s->text.ptr);
        else if (s->kind == MF_STEP_MATCH)
            at += snprintf(story + at, sizeof story - (size_t)at, "(%d,%d)", s->rule,
                           s->match == MF_NO_MATCH ? -1 : s->match);
        else if (s->kind == MF_STEP_SERVICE || s->kind == MF_STEP_NO_SERVICE)
            at += snprintf(story + at, sizeof story - (size_t)at, "(%.*s)", (int)s->text.len,
                           (const char *)s->text.ptr);
        else
            at += snprintf(story + at, sizeof story - (size_t)at, "(%d,%d:%.*s)", s->rule, s->target,
                           (int)s->text.len, (const char *)s->text.ptr);
    }
    /* The same in less room: cut, never past it. */
    for (uint32_t room = 0; room < all.n; room++) {
        struct mf_route_step few[64];
        memset(few, 0xee, sizeof few);
        struct mf_route_steps cut = {.steps = few, .room = room};
        CHECK_INT(mf_route_explain(table, query, &route, &cut), rc);
        CHECK_INT(cut.n, room);
        CHECK_INT(((uint8_t *)&few[room])[0], 0xee);
    }
    return story;
}

static void build(struct mf_cluster *app)
{
    struct mf_service *service;
    CHECK_INT(mf_service_new(table, S("com.acme."), MF_SERVICE_PREFIX, &service), 0);
    CHECK_INT(mf_service_rule(service, 0), 0);
    CHECK_INT(mf_service_match(service, 0), 0);
    CHECK_INT(mf_service_condition(table, service, 0, 0, MF_FIELD_METHOD, S(""), MF_OP_EXACT, S("add")), 0);
    CHECK_INT(mf_service_condition(table, service, 0, 0, MF_FIELD_HEADER, S("u"), MF_OP_EXACT, S("bob")), 1);
    CHECK_INT(mf_service_match(service, 0), 1);
    CHECK_INT(mf_service_condition(table, service, 0, 1, MF_FIELD_NEVER, S(""), MF_OP_EXACT, S("app=x")), 0);
    CHECK_INT(mf_service_target(table, service, 0, app, MF_TARGET_ALL, S(""), 1, 0, MF_NO_TARGET), 0);
    CHECK_INT(mf_service_rule(service, 0), 1);
    CHECK_INT(mf_service_target(table, service, 1, app, MF_TARGET_LABEL, S("env"), 1, MF_FALLBACK_NO_INSTANCE, 1), 0);
    CHECK_INT(mf_service_target(table, service, 1, app, MF_TARGET_SUBSET, S("gone"), 0, MF_FALLBACK_NO_INSTANCE, 2), 1);
    CHECK_INT(mf_service_target(table, service, 1, app, MF_TARGET_SUBSET, S("empty"), 0, MF_FALLBACK_NO_INSTANCE, 3),
              2);
    CHECK_INT(mf_service_target(table, service, 1, app, MF_TARGET_BASELINE, S("env"), 0, MF_FALLBACK_NO_INSTANCE,
                                MF_NO_TARGET), 3);
    CHECK_INT(mf_table_publish(table, service), 0);
}

/* Each of the targets that the weights pick from can be asked for, however small its share. */
static void branches(struct mf_cluster *app)
{
    struct mf_service *service;
    CHECK_INT(mf_service_new(table, S("org.y"), MF_SERVICE_EXACT, &service), 0);
    CHECK_INT(mf_service_rule(service, 0), 0);
    for (int t = 0; t < 3; t++)
        CHECK_INT(mf_service_target(table, service, 0, app, MF_TARGET_ALL, S(""), t == 0 ? 2147483647 : 1, 0,
                                    MF_NO_TARGET), t);
    CHECK_INT(mf_table_publish(table, service), 0);
    struct mf_query query = {.service = S("org.y"), .now = 1};
    for (uint32_t branch = 0; branch <= 4; branch++) { /* 0 and 4, which is none: as drawn */
        struct mf_route_step steps[8];
        struct mf_route_steps all = {.steps = steps, .room = 8, .branch = branch};
        struct mf_route route;
        CHECK_INT(mf_route_explain(table, &query, &route, &all), 0);
        CHECK_INT(all.n, 4);
        CHECK_INT(steps[2].target, branch % 4 ? branch - 1 : 0);
    }
}

static void down(void *arg, struct mf_peer *peer)
{
    (void)arg;
    mf_peer_set_down(peer, 5);
}

int main(void)
{
    struct mf_cluster *app;
    struct box boxes[] = {BOX("10.0.0.1:1", 1, "env", "red"), BOX("10.0.0.2:1")};
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(make_cluster(table, "app", boxes, 2, &app), 0);
    CHECK_INT(mf_cluster_subset(table, app, S("empty"), &(struct mf_pair){S("env"), S("green")}, 1), 0);
    CHECK_INT(mf_cluster_seal(table, app), 0);
    build(app);
    branches(app);
    mf_cluster_give(table, app);

    struct mf_slice labels[MF_LABELS] = {{NULL, 0}};
    struct mf_pair user = {S("u"), S("eve")};
    struct mf_query query = {.service = S("org.x"), .method = S("add"), .labels = labels, .headers = &user,
                             .n_headers = 1, .now = 1};
    CHECK_TEXT(tell(&query), "no-service(org.x)");
    query.service = S("com.acme.Cart");
    labels[0] = S("red");
    CHECK_TEXT(tell(&query), "service(com.acme.*) no-match(0,0,1:eve) no-match(0,1,0:) match(1,-1) "
                             "target(1,0:red) peer(1,0:10.0.0.1:1)");
    user.value = S("bob");
    query.random = 1;
    CHECK(strncmp(tell(&query), "service(com.acme.*) match(0,0) target(0,0:) peer(0,0:10.0.0.", 60) == 0);
    query.method = S("drop");
    labels[0] = S("");
    CHECK_TEXT(tell(&query), "service(com.acme.*) no-match(0,0,0:drop) no-match(0,1,0:) match(1,-1) target(1,0:) "
                             "no-label(1,0:env) target(1,1:gone) no-subset(1,1:gone) target(1,2:empty) "
                             "empty(1,2:empty) target(1,3:baseline) peer(1,3:10.0.0.2:1)");
    labels[0] = S("blue");
    CHECK(strstr(tell(&query), "target(1,0:blue) no-subset(1,0:blue) target(1,1:gone)") != NULL);
    mf_table_each_peer(table, down, NULL);
    labels[0] = S("red");
    CHECK(strstr(tell(&query), "match(1,-1) target(1,0:red) down(1,0:red) end(1,0:)") != NULL);
    mf_table_free(table);
    return test_end("table/explain");
}
