/* label: numbers of names, the sources in order, what is remembered under a trace id. */
#include "table/label.h"
#include "table/mesh.h"
#include "table/route.h"

enum { ENV, LANE };

static struct mf_label_source source(enum mf_label_kind kind, const char *text, enum mf_traceid_format format)
{
    return (struct mf_label_source){kind, format, S(text)};
}

/* env: its header, then the trace, then this workload's own; lane: a header only. */
static struct mf_labels plan_of(void)
{
    struct mf_labels plan = {.n_labels = 2, .n_traces = 2};
    plan.labels[0] = (struct mf_label){.name = S("env"), .index = ENV, .id = ENV, .n_sources = 3};
    plan.labels[0].sources[0] = source(MF_LABEL_HEADER, "env", 0);
    plan.labels[0].sources[1] = source(MF_LABEL_CONTEXT, "traceparent", MF_TRACEID_TRACEPARENT);
    plan.labels[0].sources[2] = source(MF_LABEL_LOCAL, "home", 0);
    plan.labels[1] = (struct mf_label){.name = S("lane"), .index = LANE, .id = LANE, .n_sources = 1};
    plan.labels[1].sources[0] = source(MF_LABEL_HEADER, "x-lane", 0);
    plan.traces[0] = source(MF_LABEL_CONTEXT, "traceparent", MF_TRACEID_TRACEPARENT);
    plan.traces[1] = source(MF_LABEL_CONTEXT, "x-request-id", MF_TRACEID_PLAIN);
    return plan;
}

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void test_names(void)
{
    struct mf_table *table;
    char name[16];
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(mf_label_intern(table, S("env")), 0);
    CHECK_INT(mf_label_intern(table, S("lane")), 1);
    CHECK_INT(mf_label_intern(table, S("env")), 0);
    CHECK_STR(mf_label_name(table, 1), "lane");
    CHECK_STR(mf_label_name(table, 2), "");
    CHECK_STR(mf_label_name(table, 999), "");
    CHECK_INT(mf_label_number(table, S("lane")), 1);
    CHECK_INT(mf_label_number(table, S("")), -ENOENT);
    fail_at(1);
    CHECK_INT(mf_label_intern(table, S("more")), -ENOMEM);
    fail_at(0);
    for (int i = 2; i < MF_LABELS; i++) {
        snprintf(name, sizeof name, "l%d", i);
        CHECK_INT(mf_label_intern(table, S(name)), i);
    }
    CHECK_INT(mf_label_intern(table, S("one more")), MF_ELIMIT);
    CHECK_INT(mf_label_intern(table, S("l15")), 15);
    mf_label_give(table, 15);
    CHECK_INT(mf_label_number(table, S("l15")), 15); /* it was asked for twice */
    mf_label_give(table, 15);
    CHECK_INT(mf_label_number(table, S("l15")), -ENOENT);
    CHECK_INT(mf_label_intern(table, S("one more")), 15);
    mf_table_free(table);
}

static void publish_name(struct mf_table *table, const char *name)
{
    struct mf_labels plan = {.n_labels = 1};
    plan.labels[0] = (struct mf_label){.name = S(name), .n_sources = 1};
    plan.labels[0].sources[0] = source(MF_LABEL_HEADER, name, 0);
    CHECK_INT(mf_table_publish_labels(table, &plan), 0);
}

/* A rule that asks for the label `asked` and goes by the label `name`, on instances that are there all the time. */
static void publish_service(struct mf_table *table, struct mf_cluster *cluster, const char *asked, const char *name)
{
    struct mf_service *service;
    CHECK_INT(mf_service_new(table, S("s"), MF_SERVICE_EXACT, &service), 0);
    CHECK_INT(mf_service_rule(service, 0), 0);
    CHECK_INT(mf_service_match(service, 0), 0);
    CHECK_INT(mf_service_condition(table, service, 0, 0, MF_FIELD_LABEL, S(asked), MF_OP_ABSENT, S("")), 0);
    CHECK_INT(mf_service_condition(table, service, 0, 0, MF_FIELD_LABEL, S(asked), MF_OP_ABSENT, S("")), 1);
    CHECK_INT(mf_service_target(table, service, 0, cluster, MF_TARGET_LABEL, S(name), 1, 0, 1), 0);
    CHECK_INT(mf_service_target(table, service, 0, cluster, MF_TARGET_BASELINE, S(name), 0, 0, MF_NO_TARGET), 1);
    CHECK_INT(mf_table_publish(table, service), 0);
}

/* Hundreds of names come and go; what one meant is never what the next one in its number means. */
static void test_names_come_and_go(void)
{
    struct mf_table *table;
    struct mf_cluster *cluster;
    struct mf_label_values values = {0};
    char name[16], other[16];
    struct box boxes[] = {BOX("10.0.0.1:1", 1, "n0", "red"), BOX("10.0.0.2:1", 1, "n7", "red"), BOX("10.0.0.3:1")};
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(make_cluster(table, "app", boxes, 3, &cluster), 0);
    CHECK_INT(mf_cluster_seal(table, cluster), 0);
    uint32_t id = UINT32_MAX;
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "n%d", i);
        snprintf(other, sizeof other, "o%d", i);
        publish_name(table, name);
        publish_service(table, cluster, other, name);
        mf_table_reclaim(table);
        const struct mf_labels *plan = mf_table_labels(table);
        CHECK(plan->labels[0].id != id && plan->labels[0].index < 6);
        id = plan->labels[0].id;
        struct mf_pair header = {S(name), S("red")};
        struct mf_query query = {.service = S("s"), .headers = &header, .n_headers = 1, .labels = values.value};
        struct mf_route route;
        mf_label_find(plan, NULL, &query, &values);
        CHECK_INT(mf_route_lookup(table, &query, &route), 0);
        if (i == 0 || i == 7)
            CHECK_TEXT(route.peer->text, i == 0 ? "10.0.0.1:1" : "10.0.0.2:1");
        else
            CHECK_INT(route.fallbacks, 1);
        snprintf(name, sizeof name, "n%d", i - 1);
        CHECK_INT(mf_label_number(table, S(name)), -ENOENT);
    }
    /* A reader that stands still keeps the numbers that it may be looking at. */
    struct mf_epoch *epoch = mf_table_epoch(table);
    int reader = mf_epoch_join(epoch), rc = 0;
    mf_epoch_online(epoch, reader);
    for (int i = 500; rc == 0; i++) {
        snprintf(name, sizeof name, "n%d", i);
        struct mf_labels plan = {.n_labels = 1};
        plan.labels[0] = (struct mf_label){.name = S(name)};
        rc = mf_table_publish_labels(table, &plan);
        mf_table_reclaim(table);
        CHECK(i < 500 + MF_LABELS);
    }
    CHECK_INT(rc, MF_ELIMIT);
    mf_epoch_quiesce(epoch, reader);
    mf_table_reclaim(table);
    publish_name(table, "fits");
    mf_epoch_leave(epoch, reader);

    CHECK_INT(mf_table_remove(table, S("s"), MF_SERVICE_EXACT), 0);
    struct mf_labels none = {0};
    CHECK_INT(mf_table_publish_labels(table, &none), 0);
    mf_table_reclaim(table);
    for (uint32_t i = 0; i < MF_LABELS; i++) /* and nothing is left of any of them */
        CHECK_STR(mf_label_name(table, i), "");
    mf_cluster_give(table, cluster);
    mf_table_free(table);
}

static void find(const struct mf_labels *plan, struct mf_trace *trace, const struct mf_pair *headers, uint32_t n,
                 uint64_t now, struct mf_label_values *out)
{
    struct mf_query query = {.headers = headers, .n_headers = n, .now = now, .fold_names = true};
    mf_label_find(plan, trace, &query, out);
}

static void remember(const struct mf_labels *plan, struct mf_trace *trace, const struct mf_pair *headers, uint32_t n,
                     struct mf_label_kept *counted)
{
    struct mf_query query = {.headers = headers, .n_headers = n, .now = 1, .fold_names = true};
    mf_label_remember(plan, trace, &query, MF_LABELS_KEEP_FIRST, 0, counted);
}

static void test_find(void)
{
    struct mf_labels plan = plan_of();
    struct mf_label_values out;
    struct mf_trace *trace;
    bool evicted;
    struct mf_trace_entry blue = {.id = S("4bf92f3577b34da6a3ce929d0e0e4736"), .value = S("blue"), .label = ENV};
    CHECK_INT(mf_trace_new(64, 1000, &trace), 0);
    memset(&out, 0xee, sizeof out);
    plan.n_names = MF_LABELS; /* as if an earlier plan had set them all */
    find(&plan, NULL, NULL, 0, 1, &out);
    CHECK_STR(out.value[ENV], "home");
    CHECK_INT(out.kind[ENV], MF_LABEL_LOCAL);
    CHECK_STR(out.value[LANE], "");
    CHECK_INT(out.kind[LANE], MF_LABEL_NONE);
    CHECK_INT(out.value[MF_LABELS - 1].len, 0);

    struct mf_pair headers[] = {{S("Env"), S("early")}, {S("env"), S("red")}, {S("X-LANE"), S("l1")},
                                {S("TraceParent"), S(PARENT)}};
    find(&plan, trace, headers, 4, 1, &out);
    CHECK_STR(out.value[ENV], "red"); /* names ignore case, the last of two counts */
    CHECK_INT(out.kind[ENV], MF_LABEL_HEADER);
    CHECK_STR(out.value[LANE], "l1");

    CHECK_INT(mf_trace_put(trace, &blue, 1, &evicted), 0);
    find(&plan, trace, headers + 2, 2, 1, &out);
    CHECK_STR(out.value[ENV], "blue");
    CHECK_INT(out.kind[ENV], MF_LABEL_CONTEXT);
    find(&plan, trace, headers + 2, 2, 1001, &out); /* forgotten */
    CHECK_STR(out.value[ENV], "home");
    find(&plan, NULL, headers + 2, 2, 1, &out); /* no memory of traces */
    CHECK_STR(out.value[ENV], "home");

    headers[0].value = S(""); /* an empty header yields nothing */
    headers[1].key = S("other");
    find(&plan, trace, headers, 4, 1, &out);
    CHECK_STR(out.value[ENV], "blue");
    headers[3].value = S("00-zz-00-01"); /* no trace id in it */
    find(&plan, trace, headers, 4, 1, &out);
    CHECK_STR(out.value[ENV], "home");
    headers[3].value = mf_slice_of(NULL, 0); /* no text */
    find(&plan, trace, headers, 4, 1, &out);
    CHECK_STR(out.value[ENV], "home");

    struct mf_pair same[] = {{S("env"), S("red")}, {S("Env"), S("blue")}, {S("x-lane"), S("l1")}};
    struct mf_query exact = {.headers = same, .n_headers = 3, .now = 1};
    mf_label_find(&plan, trace, &exact, &out);
    CHECK_STR(out.value[ENV], "red"); /* another name where case matters */
    same[1].key = S("env");
    mf_label_find(&plan, trace, &exact, &out);
    CHECK_STR(out.value[ENV], "blue");

    same[1].value = mf_slice_of(NULL, 0); /* there, and no text: it is the caller's, and nobody else's is taken */
    mf_label_find(&plan, trace, &exact, &out);
    CHECK_INT(out.value[ENV].len, 0);
    CHECK_INT(out.kind[ENV], MF_LABEL_HEADER);
    CHECK_STR(out.value[LANE], "l1");
    mf_trace_free(trace);
}

static void test_remember(void)
{
    struct mf_labels plan = plan_of();
    struct mf_label_kept counted = {9, 9, 9, 9};
    struct mf_trace *trace;
    uint8_t out[MF_TRACE_VALUE];
    char longest[100];
    CHECK_INT(mf_trace_new(64, 1000, &trace), 0);
    struct mf_pair headers[] = {{S("env"), S("red")}, {S("x-lane"), S("l1")}, {S("traceparent"), S(PARENT)},
                                {S("X-Request-Id"), S("r1")}};
    remember(&plan, trace, headers, 4, &counted);
    CHECK(counted.stored == 4 && !counted.conflicts && !counted.evicted && !counted.refused);
    CHECK_INT(mf_trace_find(trace, S("r1"), LANE, 1, out), 2);
    CHECK_INT(mf_trace_find(trace, S("4bf92f3577b34da6a3ce929d0e0e4736"), ENV, 1, out), 3);
    remember(&plan, trace, headers, 4, &counted); /* known already */
    CHECK(!counted.stored && !counted.conflicts && !counted.refused);
    headers[0].value = S("blue");
    remember(&plan, trace, headers, 3, &counted);
    CHECK(!counted.stored && counted.conflicts == 1);

    CHECK_INT(mf_trace_find(trace, S("4bf92f3577b34da6a3ce929d0e0e4736"), ENV, 1, out), 3); /* the first stays */

    struct mf_query query = {.headers = headers, .n_headers = 3, .now = 1};
    mf_label_remember(&plan, trace, &query, MF_LABELS_STRIP, 0, &counted);
    CHECK(!counted.stored && !counted.conflicts);
    mf_label_remember(&plan, trace, &query, MF_LABELS_TRUST, 0, &counted);
    CHECK(!counted.stored && counted.conflicts == 1);
    CHECK_INT(mf_trace_find(trace, S("4bf92f3577b34da6a3ce929d0e0e4736"), ENV, 1, out), 4);
    headers[0].value = mf_slice_of(NULL, 0);
    mf_label_remember(&plan, trace, &query, MF_LABELS_TRUST, 0, &counted);
    CHECK(!counted.stored && !counted.conflicts);
    headers[0].value = S("blue");

    /* Only what the request itself carries: no label of ours, none without a trace id. */
    struct mf_pair only_id = {S("x-request-id"), S("r2")};
    remember(&plan, trace, &only_id, 1, &counted);
    CHECK_INT(counted.stored, 0);
    remember(&plan, trace, headers, 2, &counted);
    CHECK_INT(counted.stored, 0);
    remember(&plan, NULL, headers, 4, &counted);
    CHECK_INT(counted.stored, 0);
    memset(longest, 'x', sizeof longest);
    headers[3].value = mf_slice_of(longest, sizeof longest);
    headers[2].value = S("");
    remember(&plan, trace, headers, 4, &counted);
    CHECK_INT(counted.refused, 2);
    mf_trace_free(trace);

    /* The numbers are of this request: a memory of one set has to let old ones go. */
    CHECK_INT(mf_trace_new(1, 1000, &trace), 0);
    uint32_t evicted = 0;
    for (int i = 0; i < 12; i++) {
        char id[16];
        snprintf(id, sizeof id, "id%d", i);
        struct mf_pair pairs[] = {{S("x-lane"), S("l")}, {S("x-request-id"), S(id)}};
        remember(&plan, trace, pairs, 2, &counted);
        evicted += counted.evicted;
    }
    CHECK_INT(evicted, 4);
    mf_trace_free(trace);
}

/* Found, kept and stamped only in requests of the protocols that carry it. */
static void test_protocols(void)
{
    struct mf_labels plan = plan_of();
    struct mf_pair said[] = {{S("env"), S("dev")}, {S("x-lane"), S("l1")}, {S("x-request-id"), S("r1")}};
    struct mf_label_values values = {0};
    struct mf_label_kept kept;
    struct mf_trace *trace;
    CHECK_INT(mf_trace_new(64, 60000000000, &trace), 0);
    plan.n_names = 2;
    plan.labels[0].except = 1 << MF_SPEAKS_DUBBO | 1 << MF_SPEAKS_HTTP;
    for (uint8_t speaks = MF_SPEAKS_DUBBO; speaks <= MF_SPEAKS_HTTP; speaks++) {
        bool carried = speaks == MF_SPEAKS_TRIPLE || speaks == MF_SPEAKS_GRPC;
        struct mf_query query = {.headers = said, .n_headers = 3, .speaks = speaks, .now = 1};
        mf_label_find(&plan, NULL, &query, &values);
        CHECK_STR(values.value[ENV], carried ? "dev" : "");
        CHECK_INT(values.kind[ENV], carried ? MF_LABEL_HEADER : MF_LABEL_NONE);
        CHECK_STR(values.value[LANE], "l1");
        said[2].value = mf_slice_of(&"0123456789abcdef0123"[speaks], 16);
        mf_label_remember(&plan, trace, &query, MF_LABELS_TRUST, 1, &kept);
        CHECK_INT(kept.stored, carried ? 2 : 1);
    }
    mf_trace_free(trace);
}

/* A blob for texts of bytes above '9': state 1 the start, 2 accepting and staying there, 0 dead. */
static struct mf_slice letters(uint8_t blob[280])
{
    uint16_t n[2] = {3, 2}, next[6] = {0, 0, 0, 2, 0, 2};
    memset(blob, 0, 280);
    memcpy(blob, n, 4);
    memset(blob + 4 + '9' + 1, 1, 256 - '9' - 1);
    blob[260 + 2] = 1;
    memcpy(blob + 264, next, sizeof next);
    return mf_slice_of(blob, 264 + sizeof next);
}

/* Put into requests for some hosts alone, which a publish keeps a copy of. */
static void test_hosts(void)
{
    uint8_t blob[280];
    struct mf_labels plan = plan_of();
    struct mf_http_view http = {.authority = S("shop")}, other = {.authority = S("1")};
    struct mf_query word = {.service = S("shop")}, number = {.service = S("7")};
    struct mf_query by_host = {.service = S("7"), .http = &http}, neither = {.service = S("7"), .http = &other};
    struct mf_table *table;
    CHECK(mf_label_goes_on(&plan.labels[0], &number));
    plan.labels[0].hosts = letters(blob);
    CHECK_INT(mf_table_new(&table), 0);
    CHECK_INT(mf_table_publish_labels(table, &plan), 0);
    memset(blob, 0, sizeof blob);
    const struct mf_labels *kept = mf_table_labels(table);
    CHECK(mf_label_goes_on(&kept->labels[0], &word) && !mf_label_goes_on(&kept->labels[0], &number));
    CHECK(mf_label_goes_on(&kept->labels[0], &by_host) && !mf_label_goes_on(&kept->labels[0], &neither));
    CHECK(mf_label_goes_on(&kept->labels[1], &number));
    CHECK_INT(mf_table_publish_labels(table, &plan), MF_ELIMIT); /* no blob any more */
    mf_table_free(table);
}

int main(void)
{
    test_names();
    test_names_come_and_go();
    test_find();
    test_remember();
    test_protocols();
    test_hosts();
    return test_end("table/label");
}
