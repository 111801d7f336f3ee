#pragma once
/* rig: an engine with one listener, three providers' sockets and a label `dev`, on either loop; and its counters. */
#include "loops.h"
#include "peers.h"

struct rig {
    struct mf_table *table;
    struct mf_trace *trace;
    struct mf_engine *engine;
    struct mf_addr proxy;
    struct mf_addr addrs[3];
    int listeners[3]; /* providers; the second one carries dev=dev1 */
};

__attribute__((unused)) static uint64_t counter(const struct rig *rig, size_t offset)
{
    struct mf_counters all;
    mf_engine_counters(rig->engine, &all);
    return mf_load_relaxed((mf_atom64 *)(void *)((char *)&all + offset));
}
#define COUNTER(rig, name) counter(rig, offsetof(struct mf_counters, name))

/* Waits until a counter has reached a value: the engine runs on its own thread. */
__attribute__((unused)) static bool reaches(const struct rig *rig, size_t offset, uint64_t want)
{
    for (int i = 0; i < 5000; i++) {
        if (counter(rig, offset) >= want)
            return true;
        usleep(1000);
    }
    return false;
}
#define REACHES(rig, name, want) reaches(rig, offsetof(struct mf_counters, name), want)

static void publish(struct rig *rig, int n_peers)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    CHECK_INT(mf_cluster_new(rig->table, MF_SLICE("app"), &cluster), 0);
    for (int i = 0; i < n_peers; i++) {
        char text[MF_ADDR_TEXT];
        struct mf_slice addr = mf_slice_of(text, mf_addr_format(&rig->addrs[i], text));
        struct mf_pair label = {MF_SLICE("dev"), MF_SLICE("dev1")};
        CHECK_INT(mf_cluster_add(rig->table, cluster, addr, &label, i == 1, 1), 0);
    }
    CHECK_INT(mf_cluster_seal(rig->table, cluster), 0);
    CHECK_INT(mf_service_new(rig->table, MF_SLICE("svc"), MF_SERVICE_EXACT, &service), 0);
    CHECK_INT(mf_service_rule(service, 0), 0);
    CHECK_INT(mf_service_target(rig->table, service, 0, cluster, MF_TARGET_LABEL, MF_SLICE("dev"), 100,
                                MF_FALLBACK_NO_AVAILABLE, 1), 0);
    CHECK_INT(mf_service_target(rig->table, service, 0, cluster, MF_TARGET_BASELINE, MF_SLICE("dev"), 0,
                                MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET), 1);
    CHECK_INT(mf_table_publish(rig->table, service), 0);
    mf_cluster_give(rig->table, cluster);
}

static void label_plan(struct rig *rig)
{
    struct mf_labels plan = {.n_labels = 1, .n_traces = 1};
    int index = mf_label_intern(rig->table, MF_SLICE("dev"));
    CHECK(index >= 0);
    plan.traces[0] = (struct mf_label_source){MF_LABEL_CONTEXT, MF_TRACEID_PLAIN, MF_SLICE("x-request-id")};
    plan.labels[0] = (struct mf_label){.name = MF_SLICE("dev"), .index = (uint32_t)index, .n_sources = 2};
    plan.labels[0].sources[0] = (struct mf_label_source){MF_LABEL_HEADER, MF_TRACEID_PLAIN, MF_SLICE("dev")};
    plan.labels[0].sources[1] = plan.traces[0];
    CHECK_INT(mf_table_publish_labels(rig->table, &plan), 0);
}

struct setting {
    const char *limit;
    uint64_t value;
};

__attribute__((unused)) static void open_rig(struct rig *rig, int n_peers, enum mf_direction direction, const struct setting *settings)
{
    const char *why = NULL;
    struct mf_engine_options options = {.workers = 1, .loop.backend = backend};
    for (int i = 0; i < 3; i++)
        rig->listeners[i] = serve(&rig->addrs[i]);
    CHECK_INT(mf_table_new(&rig->table), 0);
    CHECK_INT(mf_trace_new(1024, 60000000000, &rig->trace), 0);
    label_plan(rig);
    publish(rig, n_peers);
    options.table = rig->table;
    options.trace = rig->trace;
    mf_limits_default(&options.limits);
    for (; settings && settings->limit; settings++)
        CHECK_INT(mf_limits_set(&options.limits, settings->limit, settings->value), 0);
    CHECK_INT(mf_engine_new(&options, &rig->engine, &why), 0);
    struct mf_listen_options listen = {.name = MF_SLICE("test"), .direction = direction};
    mf_addr_parse(MF_SLICE("127.0.0.1:0"), &listen.bind);
    listen.has_forward = direction == MF_INBOUND;
    listen.forward = rig->addrs[2];
    CHECK_INT(mf_engine_listen(rig->engine, &listen, &rig->proxy), 0);
    CHECK_INT(mf_engine_start(rig->engine), 0);
}

__attribute__((unused)) static void close_rig(struct rig *rig)
{
    mf_engine_free(rig->engine);
    for (int i = 0; i < 3; i++)
        if (rig->listeners[i] >= 0)
            close(rig->listeners[i]);
    mf_table_free(rig->table);
    mf_trace_free(rig->trace);
}
