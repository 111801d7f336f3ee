/* engine: meshfast's data plane alone, through its public C header: no Python, no configuration.
 *
 * engine LISTEN UPSTREAM epoll|io_uring [label] [SERVICES [UPDATES]]: one worker, one service, one instance. With
 * `label` every request is given this workload's own label, routed by it and stamped. SERVICES: so many more beside the
 * one that is called; UPDATES: how many of them, and of it, are published anew in a second while it runs. For profiles,
 * for counting instructions, and to see what the Python beside the engine costs. */
#include "meshfast.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TICK_MS = 10 }; /* between two batches of updates */

static void must(int rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, mf_err_text(rc));
    exit(1);
}

static void publish(struct mf_table *table, const char *upstream, bool label)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    struct mf_pair carried = {MF_SLICE("env"), MF_SLICE("dev1")};
    must(mf_cluster_new(table, MF_SLICE("provider"), &cluster), "cluster");
    must(mf_cluster_add(table, cluster, mf_slice_str(upstream), &carried, label, 1), "instance");
    must(mf_cluster_seal(table, cluster), "cluster");
    must(mf_service_new(table, MF_SLICE("org.meshfast.bench.Echo"), MF_SERVICE_EXACT, &service), "service");
    must(mf_service_rule(service, 0), "rule");
    must(mf_service_target(table, service, 0, cluster, label ? MF_TARGET_LABEL : MF_TARGET_ALL,
                           label ? MF_SLICE("env") : MF_SLICE(""), 100, MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET),
         "target");
    must(mf_table_publish(table, service), "publish");
    mf_cluster_give(table, cluster);
    if (!label)
        return;
    struct mf_labels plan = {.n_labels = 1};
    int index = mf_label_intern(table, MF_SLICE("env"));
    must(index, "label");
    plan.labels[0] = (struct mf_label){.name = MF_SLICE("env"), .index = (uint32_t)index, .n_sources = 3};
    plan.labels[0].sources[0] = (struct mf_label_source){MF_LABEL_HEADER, MF_TRACEID_PLAIN, MF_SLICE("env")};
    plan.labels[0].sources[1] =
        (struct mf_label_source){MF_LABEL_CONTEXT, MF_TRACEID_TRACEPARENT, MF_SLICE("traceparent")};
    plan.labels[0].sources[2] = (struct mf_label_source){MF_LABEL_LOCAL, MF_TRACEID_PLAIN, MF_SLICE("dev1")};
    must(mf_table_publish_labels(table, &plan), "labels");
}

/* One of those beside the called one: two rules, the first by method, to three instances of their own. */
static void publish_other(struct mf_table *table, unsigned number)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    char name[64], addr[32];
    int len = snprintf(name, sizeof name, "org.meshfast.bench.other.Service%u", number);
    struct mf_slice text = {(const uint8_t *)name, (size_t)len};
    must(mf_cluster_new(table, text, &cluster), "cluster");
    for (unsigned i = 0; i < 3; i++) {
        snprintf(addr, sizeof addr, "10.%u.%u.%u:20880", i + 1, number >> 8 & 255, number & 255);
        must(mf_cluster_add(table, cluster, mf_slice_str(addr), NULL, 0, 1), "instance");
    }
    must(mf_cluster_seal(table, cluster), "cluster");
    must(mf_service_new(table, text, MF_SERVICE_EXACT, &service), "service");
    for (uint16_t rule = 0; rule < 2; rule++) {
        must(mf_service_rule(service, 0), "rule");
        must(mf_service_target(table, service, rule, cluster, MF_TARGET_ALL, MF_SLICE(""), 100,
                               MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET), "target");
    }
    must(mf_service_match(service, 0), "match");
    must(mf_service_condition(table, service, 0, 0, MF_FIELD_METHOD, MF_SLICE(""), MF_OP_PREFIX, MF_SLICE("get")),
         "condition");
    must(mf_table_publish(table, service), "publish");
    mf_cluster_give(table, cluster);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Publishes `rate` services a second, each in its turn and the called one ever and again, until told to end. */
static void update(struct mf_table *table, const char *upstream, bool label, unsigned services, unsigned rate,
                   const sigset_t *ends)
{
    struct timespec tick = {.tv_nsec = TICK_MS * 1000000l};
    double start = seconds();
    unsigned long done = 0;
    while (sigtimedwait(ends, NULL, &tick) < 0) {
        for (double due = (seconds() - start) * rate; (double)done < due; done++) {
            if (done % 16 == 0)
                publish(table, upstream, label);
            else
                publish_other(table, (unsigned)(done % services));
        }
        mf_table_reclaim(table);
    }
    fprintf(stderr, "%lu updates in %.1f s\n", done, seconds() - start);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: engine LISTEN UPSTREAM epoll|io_uring [label] [SERVICES [UPDATES]]\n");
        return 2;
    }
    bool label = argc > 4 && !strcmp(argv[4], "label");
    unsigned services = argc > 4 + label ? (unsigned)strtoul(argv[4 + label], NULL, 10) : 0;
    unsigned updates = argc > 5 + label ? (unsigned)strtoul(argv[5 + label], NULL, 10) : 0;
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL); /* the worker inherits this: the signal is ours to wait for */

    struct mf_engine_options options = {.workers = 1};
    options.loop.backend = !strcmp(argv[3], "epoll") ? MF_LOOP_EPOLL : MF_LOOP_URING;
    struct mf_listen_options listen = {.name = MF_SLICE("dubbo"), .direction = MF_OUTBOUND, .protocol = MF_LISTEN_DUBBO};
    struct mf_engine *engine;
    struct mf_addr bound;
    const char *why = NULL;
    must(mf_table_new(&options.table), "table");
    must(mf_trace_new(65536, UINT64_C(300000000000), &options.trace), "trace");
    publish(options.table, argv[2], label);
    for (unsigned i = 0; i < services; i++)
        publish_other(options.table, i);
    mf_limits_default(&options.limits);
    must(mf_engine_new(&options, &engine, &why), "engine");
    must(mf_addr_parse(mf_slice_str(argv[1]), &listen.bind), argv[1]);
    must(mf_engine_listen(engine, &listen, &bound), argv[1]);
    must(mf_engine_start(engine), "start");
    if (services && updates) {
        update(options.table, argv[2], label, services, updates, &ends);
    } else {
        int signal_number;
        sigwait(&ends, &signal_number);
    }
    mf_engine_stop(engine);
    mf_engine_free(engine);
    mf_trace_free(options.trace);
    mf_table_free(options.table);
    return 0;
}
