#pragma once
/* rig_open: the engine, its policy, the client's and the provider's sockets and frames: made and ended (rig.h). */
#include "bench.h"
#include "frames.h"

#include "meshfast.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

enum { RIG_NOT_READ = 12 /* a serialization that is not read: protostuff */, RIG_STREAMS = 65536 };

struct rig_shape {
    uint32_t connections;
    size_t argument, answer; /* bytes of the one string argument, and of an answer's body */
    bool tcp;                /* over loopback; else over UNIX sockets */
    bool opaque;             /* a serialization that is not read: routed by the listener's service */
    bool label;              /* each request is given this workload's label, routed by it and stamped */
    bool h2;                 /* HTTP/2, which rig_h2.h speaks */
};

struct rig_bytes {
    uint8_t *bytes;
    size_t len, room;
};

struct rig {
    struct rig_shape shape;
    struct mf_table *table;
    struct mf_trace *trace;
    struct mf_loop *loop;
    struct mf_engine *engine;
    void (*turn)(struct rig *); /* by default rig_turn */
    double spent;               /* CPU ns of the turns, by rig_timed_turn */
    uint64_t calls;
    int listener, provider, *clients;
    size_t *sent, *got;                /* of each client in this exchange */
    uint32_t prepared;                 /* for how many calls `asks` and `answers` are made */
    struct rig_bytes request, answer;  /* one frame */
    struct rig_bytes asks, answers;    /* what one client sends, and gets, in an exchange */
    struct rig_bytes in, out, scratch; /* of the provider; what a client has just read */
    size_t out_at;
};

static inline void rig_turn(struct rig *rig)
{
    bench_must(mf_loop_turn(rig->loop, 0), "a turn");
}

static inline void rig_timed_turn(struct rig *rig)
{
    double start = bench_cpu_now();
    rig_turn(rig);
    rig->spent += bench_cpu_now() - start;
}

static inline uint8_t *rig_room(struct rig_bytes *to, size_t more)
{
    if (to->room - to->len < more) {
        to->room = (to->len + more) * 2;
        to->bytes = realloc(to->bytes, to->room);
        if (!to->bytes)
            exit(1);
    }
    return to->bytes + to->len;
}

static inline int rig_call(int rc, const char *what)
{
    if (rc < 0) {
        perror(what);
        exit(1);
    }
    return rc;
}

static inline void rig_address(const struct rig *rig, const char *who, char text[MF_ADDR_TEXT], struct mf_addr *out)
{
    if (rig->shape.tcp)
        snprintf(text, MF_ADDR_TEXT, "127.0.0.1:0");
    else
        snprintf(text, MF_ADDR_TEXT, "unix://@meshfast-rig-%d-%s", (int)getpid(), who);
    bench_must(mf_addr_parse(mf_slice_str(text), out), text);
}

static inline void rig_policy(struct rig *rig, const char *provider)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    struct mf_slice env = rig->shape.label ? MF_SLICE("env") : MF_SLICE("");
    struct mf_pair carried = {MF_SLICE("env"), MF_SLICE("dev1")};
    bench_must(mf_cluster_new(rig->table, MF_SLICE("provider"), &cluster), "a cluster");
    bench_must(mf_cluster_add(rig->table, cluster, mf_slice_str(provider), &carried, rig->shape.label, 1), provider);
    bench_must(mf_cluster_seal(rig->table, cluster), "a seal");
    bench_must(mf_service_new(rig->table, MF_SLICE(FRAMES_SERVICE), MF_SERVICE_EXACT, &service), "a service");
    bench_must(mf_service_rule(service, 0), "a rule");
    bench_must(mf_service_target(rig->table, service, 0, cluster, rig->shape.label ? MF_TARGET_LABEL : MF_TARGET_ALL,
                                 env, 100, MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET), "a target");
    bench_must(mf_table_publish(rig->table, service), "a publish");
    mf_cluster_give(rig->table, cluster);
    if (!rig->shape.label)
        return;
    struct mf_labels plan = {.n_labels = 1};
    int index = mf_label_intern(rig->table, env);
    bench_must(index, "a label");
    plan.labels[0] = (struct mf_label){.name = env, .index = (uint32_t)index, .n_sources = 3};
    plan.labels[0].sources[0] = (struct mf_label_source){MF_LABEL_HEADER, MF_TRACEID_PLAIN, env};
    plan.labels[0].sources[1] =
        (struct mf_label_source){MF_LABEL_CONTEXT, MF_TRACEID_TRACEPARENT, MF_SLICE("traceparent")};
    plan.labels[0].sources[2] = (struct mf_label_source){MF_LABEL_LOCAL, MF_TRACEID_PLAIN, MF_SLICE("dev1")};
    bench_must(mf_table_publish_labels(rig->table, &plan), "labels");
}

static inline void rig_frames(struct rig *rig)
{
    struct frame_shape shape = {.serialization = MF_DUBBO_HESSIAN2, .attachments = 5};
    shape.argument = rig->shape.argument;
    uint8_t *to = rig_room(&rig->request, 2 * shape.argument + 8192);
    rig->request.len = frame_build(to, &shape).len;
    if (rig->shape.opaque)
        to[2] = (uint8_t)((to[2] & ~MF_DUBBO_SERIALIZATION) | RIG_NOT_READ);
    struct mf_dubbo_head head = {.body_len = (uint32_t)rig->shape.answer, .status = MF_DUBBO_OK};
    head.serialization = MF_DUBBO_HESSIAN2;
    to = rig_room(&rig->answer, MF_DUBBO_HEAD_LEN + rig->shape.answer);
    memset(to, 'x', MF_DUBBO_HEAD_LEN + rig->shape.answer);
    mf_dubbo_put_head(to, &head);
    rig->answer.len = MF_DUBBO_HEAD_LEN + rig->shape.answer;
}

static inline struct rig *rig_open(struct rig_shape shape)
{
    struct rig *rig = calloc(1, sizeof *rig);
    char provider[MF_ADDR_TEXT], text[MF_ADDR_TEXT];
    struct mf_addr at, door;
    const char *why = NULL;
    *rig = (struct rig){.shape = shape, .turn = rig_turn, .provider = -1};
    rig_frames(rig);

    rig_address(rig, "provider", provider, &at);
    rig->listener = mf_sock_listen(&at, 16, false);
    bench_must(rig->listener, provider);
    if (shape.tcp) {
        mf_sock_local(rig->listener, &at);
        mf_addr_format(&at, provider);
    }
    bench_must(mf_table_new(&rig->table), "a table");
    bench_must(mf_trace_new(65536, UINT64_C(300000000000), &rig->trace), "a trace memory");
    rig_policy(rig, provider);

    bench_must(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &rig->loop, &why), "a loop");
    struct mf_engine_options options = {.embed = rig->loop, .table = rig->table, .trace = rig->trace};
    mf_limits_default(&options.limits);
    options.limits.upstream_trials = 0; /* each provider takes one connection */
    if (shape.h2)
        options.limits.h2_streams = options.limits.max_calls_per_connection = RIG_STREAMS;
    bench_must(mf_engine_new(&options, &rig->engine, &why), "an engine");
    struct mf_listen_options listen = {.name = MF_SLICE("rig"), .protocol = MF_LISTEN_DUBBO};
    if (rig->shape.h2)
        listen.protocol = MF_LISTEN_HTTP2;
    if (rig->shape.opaque)
        listen.service = MF_SLICE(FRAMES_SERVICE);
    rig_address(rig, "proxy", text, &listen.bind);
    bench_must(mf_engine_listen(rig->engine, &listen, &door), text);
    bench_must(mf_engine_start(rig->engine), "a start");

    rig->clients = calloc(shape.connections, sizeof *rig->clients);
    rig->sent = calloc(shape.connections, sizeof *rig->sent);
    rig->got = calloc(shape.connections, sizeof *rig->got);
    for (uint32_t i = 0; i < shape.connections; i++) {
        rig->clients[i] = rig_call(socket(door.sa.sa_family, SOCK_STREAM, 0), "a client");
        rig_call(connect(rig->clients[i], &door.sa, door.len), "a client's connect");
        rig_turn(rig); /* accepts it before the queue is full */
    }
    return rig;
}

static inline void rig_close(struct rig *rig)
{
    struct rig_bytes *all[] = {&rig->request, &rig->answer, &rig->asks, &rig->answers, &rig->in, &rig->out,
                               &rig->scratch};
    for (uint32_t i = 0; i < rig->shape.connections; i++)
        close(rig->clients[i]);
    close(rig->provider);
    close(rig->listener);
    mf_engine_free(rig->engine);
    mf_loop_free(rig->loop);
    mf_trace_free(rig->trace);
    mf_table_free(rig->table);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]->bytes);
    free(rig->clients);
    free(rig->sent);
    free(rig->got);
    free(rig);
}
