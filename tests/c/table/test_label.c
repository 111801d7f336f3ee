/* label: numbers of names, the sources in order, what is remembered under a trace id. */
#include "table/label.h"
#include "table/mesh.h"

enum { ENV, LANE };

static struct mf_label_source source(enum mf_label_kind kind, const char *text, enum mf_traceid_format format)
{
    return (struct mf_label_source){kind, format, S(text)};
}

/* env: its header, then the trace, then this workload's own; lane: a header only. */
static struct mf_labels plan_of(void)
{
    struct mf_labels plan = {.n_labels = 2, .n_traces = 2};
    plan.labels[0] = (struct mf_label){.name = S("env"), .index = ENV, .n_sources = 3};
    plan.labels[0].sources[0] = source(MF_LABEL_HEADER, "env", 0);
    plan.labels[0].sources[1] = source(MF_LABEL_CONTEXT, "traceparent", MF_TRACEID_TRACEPARENT);
    plan.labels[0].sources[2] = source(MF_LABEL_LOCAL, "home", 0);
    plan.labels[1] = (struct mf_label){.name = S("lane"), .index = LANE, .n_sources = 1};
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
    fail_at(1);
    CHECK_INT(mf_label_intern(table, S("more")), -ENOMEM);
    fail_at(0);
    for (int i = 2; i < MF_LABELS; i++) {
        snprintf(name, sizeof name, "l%d", i);
        CHECK_INT(mf_label_intern(table, S(name)), i);
    }
    CHECK_INT(mf_label_intern(table, S("one more")), MF_ELIMIT);
    CHECK_INT(mf_label_intern(table, S("l15")), 15);
    mf_table_free(table);
}

static void test_find(void)
{
    struct mf_labels plan = plan_of();
    struct mf_label_values out;
    struct mf_trace *trace;
    bool evicted;
    CHECK_INT(mf_trace_new(64, 1000, &trace), 0);
    memset(&out, 0xee, sizeof out);
    plan.n_names = MF_LABELS; /* as if an earlier plan had set them all */
    mf_label_find(&plan, NULL, NULL, 0, 1, &out);
    CHECK_STR(out.value[ENV], "home");
    CHECK_INT(out.kind[ENV], MF_LABEL_LOCAL);
    CHECK_STR(out.value[LANE], "");
    CHECK_INT(out.kind[LANE], MF_LABEL_NONE);
    CHECK_INT(out.value[MF_LABELS - 1].len, 0);

    struct mf_pair headers[] = {{S("Env"), S("red")}, {S("env"), S("late")}, {S("X-LANE"), S("l1")},
                                {S("TraceParent"), S(PARENT)}};
    mf_label_find(&plan, trace, headers, 4, 1, &out);
    CHECK_STR(out.value[ENV], "red"); /* names ignore case, the first of two wins */
    CHECK_INT(out.kind[ENV], MF_LABEL_HEADER);
    CHECK_STR(out.value[LANE], "l1");

    CHECK_INT(mf_trace_put(trace, S("4bf92f3577b34da6a3ce929d0e0e4736"), ENV, S("blue"), 1, &evicted), 0);
    mf_label_find(&plan, trace, headers + 2, 2, 1, &out);
    CHECK_STR(out.value[ENV], "blue");
    CHECK_INT(out.kind[ENV], MF_LABEL_CONTEXT);
    mf_label_find(&plan, trace, headers + 2, 2, 1001, &out); /* forgotten */
    CHECK_STR(out.value[ENV], "home");
    mf_label_find(&plan, NULL, headers + 2, 2, 1, &out); /* no memory of traces */
    CHECK_STR(out.value[ENV], "home");

    headers[0].value = S(""); /* an empty header yields nothing */
    headers[1].key = S("other");
    mf_label_find(&plan, trace, headers, 4, 1, &out);
    CHECK_STR(out.value[ENV], "blue");
    headers[3].value = S("00-zz-00-01"); /* no trace id in it */
    mf_label_find(&plan, trace, headers, 4, 1, &out);
    CHECK_STR(out.value[ENV], "home");
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
    mf_label_remember(&plan, trace, headers, 4, 1, &counted);
    CHECK(counted.stored == 4 && !counted.conflicts && !counted.evicted && !counted.refused);
    CHECK_INT(mf_trace_find(trace, S("r1"), LANE, 1, out), 2);
    CHECK_INT(mf_trace_find(trace, S("4bf92f3577b34da6a3ce929d0e0e4736"), ENV, 1, out), 3);
    mf_label_remember(&plan, trace, headers, 4, 1, &counted); /* known already */
    CHECK(!counted.stored && !counted.conflicts && !counted.refused);
    headers[0].value = S("blue");
    mf_label_remember(&plan, trace, headers, 3, 1, &counted);
    CHECK(!counted.stored && counted.conflicts == 1);

    /* Only what the request itself carries: no label of ours, none without a trace id. */
    struct mf_pair only_id = {S("x-request-id"), S("r2")};
    mf_label_remember(&plan, trace, &only_id, 1, 1, &counted);
    CHECK_INT(counted.stored, 0);
    mf_label_remember(&plan, trace, headers, 2, 1, &counted);
    CHECK_INT(counted.stored, 0);
    mf_label_remember(&plan, NULL, headers, 4, 1, &counted);
    CHECK_INT(counted.stored, 0);
    memset(longest, 'x', sizeof longest);
    headers[3].value = mf_slice_of(longest, sizeof longest);
    headers[2].value = S("");
    mf_label_remember(&plan, trace, headers, 4, 1, &counted);
    CHECK_INT(counted.refused, 2);
    mf_trace_free(trace);

    /* The numbers are of this request: a memory of one set has to let old ones go. */
    CHECK_INT(mf_trace_new(1, 1000, &trace), 0);
    uint32_t evicted = 0;
    for (int i = 0; i < 12; i++) {
        char id[16];
        snprintf(id, sizeof id, "id%d", i);
        struct mf_pair pairs[] = {{S("x-lane"), S("l")}, {S("x-request-id"), S(id)}};
        mf_label_remember(&plan, trace, pairs, 2, 1, &counted);
        evicted += counted.evicted;
    }
    CHECK_INT(evicted, 4);
    mf_trace_free(trace);
}

int main(void)
{
    test_names();
    test_find();
    test_remember();
    return test_end("table/label");
}
