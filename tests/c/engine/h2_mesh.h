#pragma once
/* h2_mesh: an engine between callers and providers that speak HTTP/2, all on a loop without a kernel. Service `svc` has up
 * to four instances; the second one carries dev=dev1. */
#include "engine/engine.h"
#include "h2_heard.h"
#include "protocol/h2_ask.h"

static struct {
    struct mf_table *table;
    struct mf_trace *trace;
    struct mf_engine *engine;
    struct mf_limits limits;
} mesh;

#define NEED(call)                                                                                                     \
    do {                                                                                                               \
        int rc_ = (call);                                                                                              \
        if (rc_ < 0)                                                                                                   \
            BROKEN("%s: %s", #call, mf_err_text(rc_));                                                                 \
    } while (0)

static void mesh_publish(int n_peers)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    NEED(mf_cluster_new(mesh.table, MF_SLICE("app"), &cluster));
    for (int i = 0; i < n_peers; i++) {
        char addr[] = "127.0.0.1:1";
        struct mf_pair label = {MF_SLICE("dev"), MF_SLICE("dev1")};
        addr[10] = (char)('1' + i);
        NEED(mf_cluster_add(mesh.table, cluster, mf_slice_str(addr), &label, i == 1, 1));
    }
    NEED(mf_cluster_seal(mesh.table, cluster));
    NEED(mf_service_new(mesh.table, MF_SLICE("svc"), MF_SERVICE_EXACT, &service));
    NEED(mf_service_rule(service, 0));
    NEED(mf_service_target(mesh.table, service, 0, cluster, MF_TARGET_LABEL, MF_SLICE("dev"), 100,
                           MF_FALLBACK_NO_AVAILABLE, 1));
    NEED(mf_service_target(mesh.table, service, 0, cluster, MF_TARGET_BASELINE, MF_SLICE("dev"), 0,
                           MF_FALLBACK_NO_AVAILABLE, MF_NO_TARGET));
    NEED(mf_table_publish(mesh.table, service));
    mf_cluster_give(mesh.table, cluster);
}

static void mesh_labels(void)
{
    struct mf_labels plan = {.n_labels = 1, .n_traces = 1};
    int index = mf_label_intern(mesh.table, MF_SLICE("dev"));
    NEED(index);
    plan.traces[0] = (struct mf_label_source){MF_LABEL_CONTEXT, MF_TRACEID_PLAIN, MF_SLICE("x-request-id")};
    plan.labels[0] = (struct mf_label){.name = MF_SLICE("dev"), .index = (uint32_t)index, .n_sources = 2};
    plan.labels[0].sources[0] = (struct mf_label_source){MF_LABEL_HEADER, MF_TRACEID_PLAIN, MF_SLICE("dev")};
    plan.labels[0].sources[1] = plan.traces[0];
    NEED(mf_table_publish_labels(mesh.table, &plan));
}

/* Limits as they are unless `change` (may be NULL) says otherwise. What comes in goes to 127.0.0.1:9. */
static void mesh_open(enum mf_direction direction, int n_peers, void (*change)(struct mf_limits *limits))
{
    const char *why;
    fake_open();
    mf_limits_default(&mesh.limits);
    if (change)
        change(&mesh.limits);
    NEED(mf_table_new(&mesh.table));
    NEED(mf_trace_new(64, 60000000000, &mesh.trace));
    mesh_labels();
    mesh_publish(n_peers);
    struct mf_engine_options options = {
        .embed = fake.loop, .limits = mesh.limits, .table = mesh.table, .trace = mesh.trace};
    struct mf_listen_options listen = {.direction = direction, .has_forward = direction == MF_INBOUND};
    NEED(mf_addr_parse(MF_SLICE("127.0.0.1:0"), &listen.bind));
    NEED(mf_addr_parse(MF_SLICE("127.0.0.1:9"), &listen.forward));
    NEED(mf_engine_new(&options, &mesh.engine, &why));
    NEED(mf_engine_listen(mesh.engine, &listen, NULL));
    NEED(mf_engine_start(mesh.engine));
}

__attribute__((unused)) static uint64_t mesh_counter(size_t offset)
{
    struct mf_counters all;
    mf_engine_counters(mesh.engine, &all);
    return mf_load_relaxed((mf_atom64 *)(void *)((char *)&all + offset));
}
#define COUNTED(name) mesh_counter(offsetof(struct mf_counters, name))

static void settle(void)
{
    for (int i = 0; i < 8; i++)
        fake_turn(0);
}

/* Time passes, in steps that wake what waits. */
static void pass(uint64_t ms)
{
    for (uint64_t end = fake.now + ms * 1000000; fake.now < end;) {
        uint64_t left = end - fake.now;
        fake_turn((int64_t)(left < 5000000 ? left : 5000000));
    }
    settle();
}

/* Everybody goes, and nothing is left. */
static void mesh_close(void)
{
    for (int i = 0; i < fake.n; i++) {
        if (peers[i].conn)
            hear(&peers[i]);
        fake_open_window(&fake.conns[i], FAKE_ANY);
        fake.conns[i].reset = true;
    }
    fake.refuse = ECONNREFUSED;
    settle();
    pass(10);
    CHECK_INT(COUNTED(calls_active), 0);
    mf_engine_free(mesh.engine);
    mf_table_free(mesh.table);
    mf_trace_free(mesh.trace);
    peers_forget();
    fake_close();
}

/* --- who calls and who is called */

static struct peer *join(struct fake_conn *conn)
{
    struct peer *peer = peer_of(conn);
    peer->conn = conn;
    return peer;
}

/* A caller that has said hello. `settings`: as say_hello. */
__attribute__((unused)) static struct peer *caller_with(const uint32_t *settings)
{
    struct fake_conn *conn = fake_connect();
    if (!conn)
        BROKEN("nobody listens");
    struct peer *peer = join(conn);
    say_hello(peer, settings);
    settle();
    return peer;
}

__attribute__((unused)) static struct peer *caller(void)
{
    return caller_with(NULL);
}

/* The next connection that the engine makes, which is let in without a word; NULL: there is none. */
static struct peer *dialled(void)
{
    settle();
    for (int i = 0; i < fake.n; i++) {
        if (!fake.conns[i].up || fake.conns[i].answered || !fake.conns[i].sock)
            continue;
        fake_answer_connect(&fake.conns[i], 0);
        struct peer *peer = join(&fake.conns[i]);
        settle();
        return peer;
    }
    return NULL;
}

/* The same, and it says hello. */
static struct peer *provider_with(const uint32_t *settings)
{
    struct peer *peer = dialled();
    if (!peer)
        BROKEN("nobody was asked");
    say_hello(peer, settings);
    settle();
    return peer;
}

__attribute__((unused)) static struct peer *provider(void)
{
    return provider_with(NULL);
}

/* The last digit of the port that was dialled. */
__attribute__((unused)) static int port_of(const struct peer *peer)
{
    const struct mf_h2_up *up = (const struct mf_h2_up *)(const void *)peer->conn->sock;
    char text[MF_ADDR_TEXT];
    return text[mf_addr_format(&up->link.pool->addr, text) - 1] - '0';
}

/* --- what is said: gRPC, and HTTP of others */

#define FIELDS(path, type) ":method: POST\n:scheme: http\n:path: " path "\n:authority: svc\ncontent-type: " type
#define CALL FIELDS("/svc/hi", "application/grpc")
#define PLAIN ":method: GET\n:scheme: http\n:path: /hi\n:authority: svc"
#define OK ":status: 200\ncontent-type: application/grpc"
#define DONE "grpc-status: 0"
/* as they are told */
#define T_CALL "<:method=POST :scheme=http :path=/svc/hi :authority=svc content-type=application/grpc>"
#define T_OK "<:status=200 content-type=application/grpc>"
#define T_DONE "<grpc-status=0>|"

#define CHECK_TOLD(peer, id, want) CHECK_STR(mf_slice_str((settle(), told(peer, id))), want)
#define CHECK_STARTS(text, want) CHECK(strncmp(text, want, strlen(want)) == 0)
