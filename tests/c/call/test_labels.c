/* labels: what is stamped and what is never stamped over, what is kept from the application, and how much it can be. */
#include "call/labels.h"

#include "base/err.h"
#include "base/mem.h"
#include "codec/dubbo.h"
#include "test.h"

static struct mf_local local;
static struct mf_pair stamps[MF_LABELS_SAID];

static struct mf_slice S(const char *text)
{
    return mf_slice_str(text);
}

static struct mf_label_source header(struct mf_slice name)
{
    return (struct mf_label_source){MF_LABEL_HEADER, MF_TRACEID_PLAIN, name};
}

static struct mf_label_source own(const char *value)
{
    return (struct mf_label_source){MF_LABEL_LOCAL, MF_TRACEID_PLAIN, S(value)};
}

static void open_local(const struct mf_labels *plan)
{
    memset(&local, 0, sizeof local);
    CHECK_INT(mf_table_new(&local.table), 0);
    CHECK_INT(mf_table_publish_labels(local.table, plan), 0);
}

static struct mf_query query_of(const struct mf_pair *headers, uint32_t n)
{
    return (struct mf_query){.headers = headers, .n_headers = n};
}

static uint32_t found(const struct mf_pair *headers, uint32_t n)
{
    struct mf_query query = query_of(headers, n);
    return mf_labels_find(&local, &query, stamps);
}

static uint32_t stripped(const struct mf_pair *headers, uint32_t n)
{
    struct mf_query query = query_of(headers, n);
    return mf_labels_strip(&local, &query, stamps);
}

/* env: its own header first, lane: another's, tier: this workload's alone. Each then the workload's. */
static struct mf_labels three(void)
{
    struct mf_labels plan = {.n_labels = 3};
    plan.labels[0] = (struct mf_label){.name = S("env"), .n_sources = 2, .sources = {header(S("env")), own("e")}};
    plan.labels[1] = (struct mf_label){.name = S("lane"), .n_sources = 2, .sources = {header(S("x-lane")), own("l")}};
    plan.labels[2] = (struct mf_label){.name = S("tier"), .n_sources = 1, .sources = {own("t")}};
    return plan;
}

static void test_never_over_what_is_said(void)
{
    struct mf_labels plan = three();
    open_local(&plan);
    CHECK_INT(found(NULL, 0), 3);
    CHECK(mf_slice_eq(stamps[1].key, S("lane")) && mf_slice_eq(stamps[1].value, S("l")));

    struct mf_slice number = {NULL, 0};
    struct mf_pair said[] = {{S("env"), S("red")}, {S("lane"), S("l1")}, {S("tier"), number}};
    CHECK_INT(found(said, 3), 0);
    said[0].value = number;
    CHECK_INT(found(said, 3), 0);
    CHECK_INT(mf_load_relaxed(&local.counters.labels_stamped), 1);
    for (int i = 0; i < 3; i++)
        said[i].value = S(""); /* is none */
    CHECK_INT(found(said, 3), 3);
    struct mf_pair twice[] = {{S("lane"), S("l1")}, {S("lane"), S("")}, {S("tier"), S("")}, {S("tier"), S("t1")}};
    CHECK_INT(found(twice, 4), 2); /* the last counts */
    CHECK(mf_slice_eq(stamps[0].key, S("env")) && mf_slice_eq(stamps[1].key, S("lane")));
    mf_table_free(local.table);
}

static void test_kept_from_the_application(void)
{
    struct mf_labels plan = three();
    open_local(&plan);
    struct mf_pair said[] = {{S("env"), S("red")},     {S("x-lane"), {NULL, 0}}, {S("lane"), S("no source")},
                             {S("tier"), S("nor so")}, {S("other"), S("x")}};
    CHECK_INT(stripped(said, 5), 2);
    CHECK(mf_slice_eq(stamps[0].key, S("env")) && stamps[0].value.ptr && stamps[0].value.len == 0);
    CHECK(mf_slice_eq(stamps[1].key, S("x-lane")));
    struct mf_pair none[] = {{S("env"), S("red")}, {S("env"), S("")}, {S("Env"), S("red")}};
    CHECK_INT(stripped(none, 3), 0);
    mf_table_free(local.table);
}

/* Nothing is known of a trace id that came, whatever the case of its name where that means nothing. */
static void test_lost(void)
{
    struct mf_labels plan = {.n_labels = 1, .n_traces = 1};
    plan.labels[0] = (struct mf_label){.name = S("env"), .n_sources = 1, .sources = {header(S("env"))}};
    plan.traces[0] = (struct mf_label_source){MF_LABEL_CONTEXT, MF_TRACEID_PLAIN, S("EagleEye-TraceID")};
    struct mf_pair said[] = {{S("eagleeye-traceid"), S("t1")}};
    open_local(&plan);
    CHECK_INT(mf_trace_new(64, 60000000000, &local.trace), 0);
    struct mf_query query = query_of(said, 1);
    CHECK_INT(mf_labels_find(&local, &query, stamps), 0);
    CHECK_INT(mf_load_relaxed(&local.counters.labels_lost), 0);
    query.fold_names = true;
    CHECK_INT(mf_labels_find(&local, &query, stamps), 0);
    CHECK_INT(mf_load_relaxed(&local.counters.labels_lost), 1);
    said[0].value = S("");
    CHECK_INT(mf_labels_find(&local, &query, stamps), 0);
    CHECK_INT(mf_load_relaxed(&local.counters.labels_lost), 1);
    CHECK_INT(mf_load_relaxed(&local.counters.labels_none), 2);
    mf_trace_free(local.trace);
    mf_table_free(local.table);
}

/* The longest plan, and a request that says all of it. */
static void test_the_most(void)
{
    static char names[MF_LABELS_SAID][MF_LABEL_TEXT + 2];
    static struct mf_pair said[MF_LABELS_SAID];
    struct mf_labels plan = {.n_labels = MF_PLAN_LABELS};
    for (uint32_t i = 0; i < MF_LABELS_SAID; i++) {
        snprintf(names[i], sizeof names[i], "%0*u", MF_LABEL_TEXT, i);
        struct mf_label *label = &plan.labels[i / MF_LABEL_SOURCES];
        if (label->n_sources == 0)
            label->name = S(names[i]);
        label->sources[label->n_sources++] = header(S(names[i]));
        said[i] = (struct mf_pair){S(names[i]), S("v")};
    }
    open_local(&plan);
    CHECK_INT(stripped(said, MF_LABELS_SAID), MF_LABELS_SAID);
    size_t most = 16384; /* what dubbo_request has */
    CHECK(mf_dubbo_stamp_room(stamps, MF_LABELS_SAID) <= most);

    struct mf_labels longer = plan;
    snprintf(names[0], sizeof names[0], "%0*u", MF_LABEL_TEXT + 1, 0);
    longer.labels[0].name = S(names[0]);
    CHECK_INT(mf_table_publish_labels(local.table, &longer), MF_ELIMIT);
    longer.labels[0].name = S("short");
    longer.labels[0].sources[0] = header(S(names[0]));
    CHECK_INT(mf_table_publish_labels(local.table, &longer), MF_ELIMIT);
    longer.labels[0].sources[0] = own(names[0]);
    CHECK_INT(mf_table_publish_labels(local.table, &longer), MF_ELIMIT);
    longer.labels[0].sources[0] = (struct mf_label_source){MF_LABEL_CONTEXT, MF_TRACEID_PLAIN, S(names[0])};
    CHECK_INT(mf_table_publish_labels(local.table, &longer), 0); /* that is never written */
    mf_table_free(local.table);

    struct mf_labels values = {.n_labels = MF_PLAN_LABELS};
    for (uint32_t i = 0; i < MF_PLAN_LABELS; i++)
        values.labels[i] = (struct mf_label){.name = S(names[1 + i]), .n_sources = 1, .sources = {own(names[1])}};
    open_local(&values);
    CHECK_INT(found(NULL, 0), MF_PLAN_LABELS);
    CHECK(mf_dubbo_stamp_room(stamps, MF_PLAN_LABELS) <= most);
    mf_table_free(local.table);
}

int main(void)
{
    test_never_over_what_is_said();
    test_kept_from_the_application();
    test_lost();
    test_the_most();
    return test_end("labels");
}
