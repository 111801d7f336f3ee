#pragma once
/* rig: the whole engine between a client and a provider that are scripted in the same thread: nothing happens but when
 * it is told to, so a count of instructions does not depend on who ran when.
 *
 * 1. rig_open  2. rig_exchange: every active connection sends so many calls at once, and all answers are awaited and
 *    compared byte by byte  3. rig_close
 * Over UNIX sockets what is written is there at once: an exchange that fits their buffers is exactly two turns of the
 * loop. */
#include "bench.h"
#include "frames.h"

#include "meshfast.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

enum { RIG_PATIENCE_S = 20 }; /* when nothing has moved for so long, it is a bug */

struct rig_shape {
    uint32_t connections;
    size_t argument, answer; /* bytes of the one string argument, and of an answer's body */
    bool tcp;                /* over loopback; else over UNIX sockets */
    bool opaque; /* the requests are of a serialization that is not read */
    bool label;              /* each request is given this workload's label, routed by it and stamped */
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
        to[2] = (uint8_t)((to[2] & ~MF_DUBBO_SERIALIZATION) | 12);
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
    bench_must(mf_engine_new(&options, &rig->engine, &why), "an engine");
    struct mf_listen_options listen = {.name = MF_SLICE("rig"), .protocol = MF_LISTEN_DUBBO};
    if (rig->shape.opaque) listen.service = MF_SLICE(FRAMES_SERVICE);
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

/* Calls with the ids 1 to `calls`, and the answers to them. */
static inline void rig_prepare(struct rig *rig, uint32_t calls)
{
    if (rig->prepared == calls)
        return;
    rig->prepared = calls;
    rig->asks.len = rig->answers.len = 0;
    for (uint32_t i = 1; i <= calls; i++) {
        uint8_t *ask = memcpy(rig_room(&rig->asks, rig->request.len), rig->request.bytes, rig->request.len);
        uint8_t *answer = memcpy(rig_room(&rig->answers, rig->answer.len), rig->answer.bytes, rig->answer.len);
        mf_put64(ask + 4, i);
        mf_put64(answer + 4, i);
        rig->asks.len += rig->request.len;
        rig->answers.len += rig->answer.len;
    }
}

static inline size_t rig_send(int fd, const uint8_t *bytes, size_t len)
{
    ssize_t n = len ? send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (n < 0 && errno != EAGAIN)
        rig_call(-1, "a send");
    return n < 0 ? 0 : (size_t)n;
}

static inline size_t rig_recv(int fd, uint8_t *bytes, size_t len)
{
    ssize_t n = recv(fd, bytes, len, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        rig_call(-1, "a receive");
    return n < 0 ? 0 : (size_t)n;
}

/* The provider answers every whole request. Returns how many bytes have moved. */
static inline size_t rig_provide(struct rig *rig)
{
    size_t moved = 0, n;
    if (rig->provider < 0) {
        rig->provider = accept4(rig->listener, NULL, NULL, SOCK_NONBLOCK);
        if (rig->provider < 0)
            return 0;
    }
    while ((n = rig_recv(rig->provider, rig_room(&rig->in, 1 << 18), 1 << 18))) {
        rig->in.len += n;
        moved += n;
    }
    uint8_t *p = rig->in.bytes, *end = p + rig->in.len;
    while (end - p >= MF_DUBBO_HEAD_LEN && (size_t)(end - p) >= MF_DUBBO_HEAD_LEN + (size_t)mf_get32(p + 12)) {
        uint8_t *to = memcpy(rig_room(&rig->out, rig->answer.len), rig->answer.bytes, rig->answer.len);
        memcpy(to + 4, p + 4, 8);
        rig->out.len += rig->answer.len;
        p += MF_DUBBO_HEAD_LEN + mf_get32(p + 12);
    }
    rig->in.len = (size_t)(end - p);
    memmove(rig->in.bytes, p, rig->in.len);
    n = rig_send(rig->provider, rig->out.bytes + rig->out_at, rig->out.len - rig->out_at);
    rig->out_at += n;
    if (rig->out_at == rig->out.len)
        rig->out_at = rig->out.len = 0;
    return moved + n;
}

static inline size_t rig_receive(struct rig *rig, uint32_t client)
{
    size_t want = rig->answers.len - rig->got[client];
    if (!want)
        return 0;
    rig->scratch.len = 0;
    uint8_t *to = rig_room(&rig->scratch, want);
    size_t n = rig_recv(rig->clients[client], to, want);
    if (memcmp(to, rig->answers.bytes + rig->got[client], n)) {
        fprintf(stderr, "client %u got a wrong answer\n", client);
        exit(1);
    }
    rig->got[client] += n;
    return n;
}

/* The first `active` connections send `calls` each; returns when all are answered. */
static inline void rig_exchange(struct rig *rig, uint32_t active, uint32_t calls)
{
    rig_prepare(rig, calls);
    memset(rig->sent, 0, active * sizeof *rig->sent);
    memset(rig->got, 0, active * sizeof *rig->got);
    uint32_t left = active;
    double idle_since = 0;
    while (left) {
        size_t moved = 0;
        for (uint32_t i = 0; i < active; i++)
            if (rig->sent[i] < rig->asks.len) {
                size_t n = rig_send(rig->clients[i], rig->asks.bytes + rig->sent[i], rig->asks.len - rig->sent[i]);
                rig->sent[i] += n;
                moved += n;
            }
        rig->turn(rig);
        moved += rig_provide(rig);
        rig->turn(rig);
        for (uint32_t i = 0; i < active; i++) {
            size_t n = rig_receive(rig, i);
            moved += n;
            left -= n && rig->got[i] == rig->answers.len;
        }
        if (moved) {
            idle_since = 0;
            continue;
        }
        sched_yield(); /* loopback TCP may leave the delivery to a kernel thread */
        idle_since = idle_since > 0 ? idle_since : bench_now();
        if (bench_now() - idle_since > RIG_PATIENCE_S * 1e9) {
            fprintf(stderr, "%u of %u connections wait for answers that do not come\n", left, active);
            exit(1);
        }
    }
    rig->calls += (uint64_t)active * calls;
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
