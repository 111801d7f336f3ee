/* serve: an engine with 0 workers in a C program's own loop, with meshfast.h and libmeshfast.a alone.
 *
 * serve LISTEN INSTANCE epoll|io_uring SERVICE: calls to SERVICE, of whatever protocol, go to the one instance. Prints where
 * it listens, and ends when its input does, with what it counted. */
#include "meshfast.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TURN_NS = 5000000 };

static void must(int rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "%s: %s\n", what, mf_err_text(rc));
    exit(1);
}

static void publish(struct mf_table *table, struct mf_slice name, const char *instance)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    must(mf_cluster_new(table, MF_SLICE("demo"), &cluster), "cluster");
    must(mf_cluster_add(table, cluster, mf_slice_str(instance), NULL, 0, 1), instance);
    must(mf_cluster_seal(table, cluster), "cluster");
    must(mf_service_new(table, name, MF_SERVICE_EXACT, &service), "service");
    must(mf_service_rule(service, 0), "rule");
    must(mf_service_target(table, service, 0, cluster, MF_TARGET_ALL, MF_SLICE(""), 100, MF_FALLBACK_NO_AVAILABLE,
                           MF_NO_TARGET), "target");
    must(mf_table_publish(table, service), "publish");
    mf_cluster_give(table, cluster);
}

static bool input_ended(void)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: serve LISTEN INSTANCE epoll|io_uring SERVICE\n");
        return 2;
    }
    struct mf_engine_options options = {.workers = 0};
    options.loop.backend = strcmp(argv[3], "epoll") == 0 ? MF_LOOP_EPOLL : MF_LOOP_URING;
    struct mf_listen_options listen = {.name = MF_SLICE("out"), .direction = MF_OUTBOUND};
    struct mf_engine *engine;
    struct mf_addr bound;
    const char *why = "";
    char text[MF_ADDR_TEXT];
    must(mf_loop_new(&options.loop, &options.embed, &why), "loop");
    must(mf_table_new(&options.table), "table");
    publish(options.table, mf_slice_str(argv[4]), argv[2]);
    mf_limits_default(&options.limits);
    must(mf_engine_new(&options, &engine, &why), "engine");
    must(mf_addr_parse(mf_slice_str(argv[1]), &listen.bind), argv[1]);
    must(mf_engine_listen(engine, &listen, &bound), argv[1]);
    must(mf_engine_start(engine), "start");
    printf("%.*s\n", (int)mf_addr_format(&bound, text), text);
    fflush(stdout);
    while (!input_ended())
        must(mf_loop_turn(options.embed, TURN_NS), "turn");

    struct mf_counters counters;
    mf_engine_counters(engine, &counters);
    printf("%llu calls, %llu answers\n", (unsigned long long)mf_load_relaxed(&counters.calls),
           (unsigned long long)mf_load_relaxed(&counters.answers));
    must(mf_engine_stop(engine), "stop");
    mf_engine_free(engine);
    mf_table_free(options.table);
    mf_loop_free(options.embed);
    return 0;
}
