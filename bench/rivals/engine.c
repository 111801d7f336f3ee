/* engine: meshfast's data plane alone, through its public C header: no Python, no configuration.
 *
 * engine LISTEN UPSTREAM epoll|io_uring [label]: one worker, one service, one instance. With `label` every request is
 * given this workload's own label, routed by it and stamped. For profiles, for counting instructions, and to see what
 * the Python beside the engine costs. */
#include "meshfast.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

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

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: engine LISTEN UPSTREAM epoll|io_uring [label]\n");
        return 2;
    }
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
    publish(options.table, argv[2], argc > 4);
    mf_limits_default(&options.limits);
    must(mf_engine_new(&options, &engine, &why), "engine");
    must(mf_addr_parse(mf_slice_str(argv[1]), &listen.bind), argv[1]);
    must(mf_engine_listen(engine, &listen, &bound), argv[1]);
    must(mf_engine_start(engine), "start");
    int signal_number;
    sigwait(&ends, &signal_number);
    mf_engine_stop(engine);
    mf_engine_free(engine);
    mf_trace_free(options.trace);
    mf_table_free(options.table);
    return 0;
}
