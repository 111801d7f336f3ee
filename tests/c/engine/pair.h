#pragma once
/* pair: an engine between fake callers and fake providers, and what must hold whatever they send.
 *
 * What each side was given is read here once more, by a reader of its own (apart from csrc/codec), and gives what is
 * due: every two-way request gets one answer with its own id, on its own connection, unless that connection ends; no
 * other answer comes; what was built here with a mark comes out where it belongs; plain TCP passes as it is; what the
 * engine writes is whole frames. A breach aborts. */
#include "pair_read.h"
#include "pair_send.h"

/* --- begin and end */

#define PAIR_NEED(call)                                                                                                \
    do {                                                                                                               \
        int rc_ = (call);                                                                                              \
        if (rc_ < 0)                                                                                                   \
            BROKEN("%s: %s", #call, mf_err_text(rc_));                                                                 \
    } while (0)

/* `svc`: the second provider carries dev=dev1; a call goes where its label says, else to the others. */
static void pair_publish(int n_peers)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    PAIR_NEED(mf_cluster_new(pair.table, MF_SLICE("app"), &cluster));
    for (int i = 0; i < n_peers; i++) {
        char addr[] = "127.0.0.1:1";
        struct mf_pair label = {MF_SLICE("dev"), MF_SLICE("dev1")};
        addr[10] = (char)('1' + i);
        PAIR_NEED(mf_cluster_add(pair.table, cluster, mf_slice_str(addr), &label, i == 1, 1));
    }
    PAIR_NEED(mf_cluster_seal(pair.table, cluster));
    PAIR_NEED(mf_service_new(pair.table, MF_SLICE("svc"), MF_SERVICE_EXACT, &service));
    PAIR_NEED(mf_service_rule(service, 0));
    PAIR_NEED(mf_service_target(pair.table, service, 0, cluster, MF_TARGET_LABEL, MF_SLICE("dev"), 100,
                                MF_FALLBACK_NO_AVAILABLE, 1));
    PAIR_NEED(mf_service_target(pair.table, service, 0, cluster, MF_TARGET_BASELINE, MF_SLICE("dev"), 0,
                                MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET));
    PAIR_NEED(mf_table_publish(pair.table, service));
    mf_cluster_give(pair.table, cluster);
}

static void pair_label_plan(void)
{
    struct mf_labels plan = {.n_labels = 1, .n_traces = 1};
    int index = mf_label_intern(pair.table, MF_SLICE("dev"));
    PAIR_NEED(index);
    plan.traces[0] = (struct mf_label_source){MF_LABEL_CONTEXT, MF_TRACEID_B3, MF_SLICE("b3")};
    plan.labels[0] = (struct mf_label){.name = MF_SLICE("dev"), .index = (uint32_t)index, .n_sources = 3};
    plan.labels[0].sources[0] = (struct mf_label_source){MF_LABEL_HEADER, MF_TRACEID_PLAIN, MF_SLICE("dev")};
    plan.labels[0].sources[1] = plan.traces[0];
    plan.labels[0].sources[2] = (struct mf_label_source){MF_LABEL_LOCAL, MF_TRACEID_PLAIN, MF_SLICE("dev1")};
    PAIR_NEED(mf_table_publish_labels(pair.table, &plan));
}

static uint32_t pair_sample; /* of the access log */

static void pair_open(const struct mf_limits *limits, const struct mf_listen_options *listen, int n_peers)
{
    const char *why;
    fake_open();
    memset(&pair, 0, sizeof pair);
    for (int i = 0; i < FAKE_CONNS; i++)
        pair.sides[i].counted = true;
    pair.limits = *limits;
    pair.max_body = limits->max_body;
    PAIR_NEED(mf_table_new(&pair.table));
    PAIR_NEED(mf_trace_new(64, 1000000000, &pair.trace));
    pair_label_plan();
    pair_publish(n_peers);
    struct mf_engine_options options = {
        .embed = fake.loop, .limits = *limits, .table = pair.table, .trace = pair.trace,
        .access_sample = pair_sample};
    PAIR_NEED(mf_engine_new(&options, &pair.engine, &why));
    PAIR_NEED(mf_engine_listen(pair.engine, listen, NULL));
    PAIR_NEED(mf_engine_start(pair.engine));
}

/* Nothing is due any more on a connection that is there. */
static void pair_check_paid(void)
{
    for (int i = 0; i < fake.n; i++) {
        const struct side *side = &pair.sides[i];
        if (fake.conns[i].sock && !fake.conns[i].up && !side->opaque && side->n_due)
            BROKEN("caller %d waits for %d answers, first to %llu", i, side->n_due,
                   (unsigned long long)side->due[0].id);
    }
}

/* Lets every peer go, and looks whether all is paid and nothing is left. */
static void pair_close(void)
{
    enum { LONG = 2000000000 };
    for (int i = 0; i < fake.n; i++)
        fake_open_window(&fake.conns[i], FAKE_ANY);
    pair_turn(0);
    pair_pass(LONG);
    fake.refuse = ECONNREFUSED;
    for (int i = 0; i < fake.n; i++)
        if (fake.conns[i].up)
            fake.conns[i].reset = true;
    pair_pass(LONG);
    pair_check_paid();
    struct mf_counters counters;
    mf_engine_counters(pair.engine, &counters);
    if (counters.calls_active)
        BROKEN("%llu calls are in flight", (unsigned long long)counters.calls_active);
    mf_engine_free(pair.engine);
    mf_table_free(pair.table);
    mf_trace_free(pair.trace);
    for (int i = 0; i < fake.n; i++) {
        free(pair.sides[i].said.rest.ptr);
        free(pair.sides[i].heard.rest.ptr);
        free(pair.sides[i].sent.ptr);
    }
    fake_close();
}
