/* h2_request, h2_memo: what is recalled of equal requests is what their bytes say, never where they went: shares hold, and
 * from a change of policy, health or label on none goes the old way. */
#define FAKE_CONNS 64
#include "h2_mesh.h"

enum { MANY = 10000, AT_ONCE = 10, PORTS = 10 };

static struct {
    struct peer *caller;
    uint32_t id;                 /* of its next stream */
    uint32_t answers;            /* it was told the end of, and ... */
    uint32_t torn;               /* ... not that */
    uint32_t asked[PORTS];       /* by the last digit of an instance's port */
    char dev[PORTS][8];          /* the label that it was asked with last */
    int port[FAKE_CONNS];
    bool holding;                /* nobody answers, but notes who asked */
    uint32_t held[FAKE_CONNS][64], n_held[FAKE_CONNS];
} run;

static void answer(struct peer *peer, uint32_t id)
{
    say_head(peer, id, OK "\ngrpc-status: 0", true);
}

static void note_request(int conn, uint32_t id, struct mf_slice block)
{
    static struct mf_pair fields[PEER_FIELDS];
    static struct mf_h2_mark marks[PEER_FIELDS];
    static uint8_t scratch[PEER_SCRATCH];
    struct mf_hpack_room room = {fields, marks, scratch, sizeof scratch, PEER_FIELDS, PEER_SCRATCH};
    struct mf_hpack_list list;
    struct peer *peer = &peers[conn];
    int port = run.port[conn];
    if (!peer->memory) {
        peer->memory = malloc(mf_hpack_decoder_room(MF_HPACK_TABLE));
        mf_hpack_decoder_init(&peer->decoder, peer->memory, MF_HPACK_TABLE);
    }
    if (mf_hpack_decode(&peer->decoder, block, &room, &list) < 0 || !mf_slice_eq(fields[2].value, MF_SLICE("/svc/hi")))
        BROKEN("a block of fields that nobody sent");
    run.asked[port]++;
    run.dev[port][0] = 0;
    for (uint32_t i = 0; i < list.n; i++)
        if (mf_slice_eq(fields[i].key, MF_SLICE("dev")))
            snprintf(run.dev[port], sizeof run.dev[port], "%.*s", (int)fields[i].value.len, fields[i].value.ptr);
    if (!run.holding)
        answer(peer, id);
    else if (run.n_held[conn] < 64)
        run.held[conn][run.n_held[conn]++] = id;
}

static void hear_all(int conn)
{
    struct peer *peer = &peers[conn];
    struct mf_h2_head head;
    for (;;) {
        struct mf_slice rest = mf_slice_of(peer->conn->out.ptr + peer->at, peer->conn->out.len - peer->at);
        if (peer->conn->up && !peer->greeted && rest.len >= MF_H2_PREFACE_LEN) {
            peer->greeted = true;
            peer->at += MF_H2_PREFACE_LEN;
            continue;
        }
        if (mf_h2_frame_head(rest, MF_H2_FRAME_MOST, &head) < 0 || rest.len < MF_H2_HEAD_LEN + head.len)
            return;
        peer->at += MF_H2_HEAD_LEN + head.len;
        struct mf_slice payload = mf_slice_of(rest.ptr + MF_H2_HEAD_LEN, head.len);
        if (peer->conn->up && head.type == MF_H2_HEADERS)
            note_request(conn, head.stream, payload);
        else if (peer->conn->up)
            peer->goaways += head.type == MF_H2_GOAWAY;
        else if (head.type == MF_H2_RST_STREAM)
            run.torn++;
        else if (head.type == MF_H2_HEADERS && (head.flags & MF_H2_END_STREAM))
            run.answers++;
    }
}

static void turn(void)
{
    for (int k = 0; k < 4; k++) {
        fake_turn(0);
        for (int i = 0; i < fake.n; i++) {
            struct fake_conn *conn = &fake.conns[i];
            if (conn->sock && conn->up && !conn->answered) {
                fake_answer_connect(conn, fake.refuse ? -ECONNREFUSED : 0);
                run.port[i] = port_of(join(conn));
                say_hello(peer_of(conn), NULL);
            } else if (peers[i].conn) {
                hear_all(i);
            }
        }
    }
}

/* So many equal requests, at once as many as there may be. */
static void call(uint32_t n, const char *lines)
{
    memset(run.asked, 0, sizeof run.asked);
    while (n) {
        for (int i = 0; i < AT_ONCE && n; i++, n--, run.id += 2)
            say_head(run.caller, run.id, lines, true);
        turn();
    }
    turn();
}

static uint32_t all(void)
{
    uint32_t sum = 0;
    for (int i = 0; i < PORTS; i++)
        sum += run.asked[i];
    return sum;
}

/* Instances by the digits of their ports, each with the label dev=devN; `shares`: targets of a subset each, else all. */
static void publish(const char *ports, const uint32_t *shares)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    NEED(mf_cluster_new(mesh.table, MF_SLICE("app"), &cluster));
    for (const char *port = ports; *port; port++) {
        char addr[] = "127.0.0.1:1", value[] = "dev1";
        struct mf_pair label = {MF_SLICE("dev"), mf_slice_str(value)};
        addr[10] = value[3] = *port;
        NEED(mf_cluster_add(mesh.table, cluster, mf_slice_str(addr), &label, 1, 1));
        NEED(mf_cluster_subset(mesh.table, cluster, mf_slice_str(value), &label, 1));
    }
    NEED(mf_cluster_seal(mesh.table, cluster));
    NEED(mf_service_new(mesh.table, MF_SLICE("svc"), MF_SERVICE_EXACT, &service));
    NEED(mf_service_rule(service, 0));
    for (const char *port = ports; shares && *port; port++) {
        char value[] = "dev1";
        value[3] = *port;
        NEED(mf_service_target(mesh.table, service, 0, cluster, MF_TARGET_SUBSET, mf_slice_str(value), shares[port - ports],
                               MF_FALLBACK_NO_INSTANCE, MF_NO_TARGET));
    }
    if (!shares)
        NEED(mf_service_target(mesh.table, service, 0, cluster, MF_TARGET_ALL, MF_SLICE(""), 100, MF_FALLBACK_NO_INSTANCE,
                               MF_NO_TARGET));
    NEED(mf_table_publish(mesh.table, service));
    mf_cluster_give(mesh.table, cluster);
    mf_table_reclaim(mesh.table);
}

static void open_with(const char *ports, const uint32_t *shares)
{
    memset(&run, 0, sizeof run);
    run.id = 1;
    mesh_open(MF_OUTBOUND, 1, NULL);
    publish(ports, shares);
    run.caller = caller();
}

static void close_run(void)
{
    CHECK_INT(COUNTED(answers_local), 0);
    CHECK_INT(run.answers, (run.id - 1) / 2);
    CHECK_INT(run.torn, 0);
    CHECK_INT(COUNTED(calls_active), 0);
    for (int i = 0; i < fake.n; i++) /* what was read here is read */
        if (peers[i].conn)
            peers[i].at = peers[i].conn->out.len;
    mesh_close();
}

static bool about(uint32_t n, uint32_t wanted, uint32_t slack)
{
    return n >= wanted - slack && n <= wanted + slack;
}

/* One in ten, as the rule says, and not nine in ten of the first one's choice. */
static void test_weights(void)
{
    open_with("12", (const uint32_t[]){90, 10});
    call(MANY, CALL);
    CHECK_INT(all(), MANY);
    CHECK(about(run.asked[2], MANY / 10, MANY * 15 / 1000));
    publish("12", (const uint32_t[]){10, 90}); /* turned round in the midst of it */
    call(MANY, CALL);
    CHECK(about(run.asked[1], MANY / 10, MANY * 15 / 1000));
    close_run();
}

static void test_equal(void)
{
    open_with("123", NULL);
    call(MANY, CALL);
    CHECK_INT(all(), MANY);
    for (int i = 1; i <= 3; i++)
        CHECK(about(run.asked[i], MANY / 3, MANY / 3 / 20));
    close_run();
}

/* To other instances, to none of the old ones; and back. */
static void test_policy(void)
{
    open_with("1", NULL);
    call(MANY / 2, CALL);
    CHECK_INT(run.asked[1], MANY / 2);
    publish("2", NULL);
    call(MANY / 2, CALL);
    CHECK_INT(run.asked[2], MANY / 2);
    publish("1", NULL);
    call(100, CALL);
    CHECK_INT(run.asked[1], 100);
    close_run();
}

static void rest_third(void *arg, struct mf_peer *peer)
{
    if (peer->text[strlen(peer->text) - 1] == '3')
        mf_peer_set_down(peer, *(const uint64_t *)arg);
}

static void test_ejected(void)
{
    open_with("123", NULL);
    call(MANY / 2, CALL);
    CHECK(run.asked[3] > 0);
    uint64_t until = fake.now + UINT64_C(3600000000000);
    mf_table_each_peer(mesh.table, rest_third, &until);
    call(MANY / 2, CALL);
    CHECK_INT(run.asked[3], 0);
    CHECK_INT(run.asked[1] + run.asked[2], MANY / 2);
    until = 0;
    mf_table_each_peer(mesh.table, rest_third, &until);
    call(300, CALL);
    CHECK(run.asked[3] > 0);
    close_run();
}

/* This workload's own label, which is stamped: another one from one request to the next, then none. */
static void own_label(const char *value)
{
    struct mf_labels plan = {.n_labels = 1};
    int index = mf_label_intern(mesh.table, MF_SLICE("dev"));
    NEED(index);
    plan.labels[0] = (struct mf_label){.name = MF_SLICE("dev"), .index = (uint32_t)index, .n_sources = value ? 2 : 1};
    plan.labels[0].sources[0] = (struct mf_label_source){MF_LABEL_HEADER, MF_TRACEID_PLAIN, MF_SLICE("dev")};
    if (value)
        plan.labels[0].sources[1] = (struct mf_label_source){MF_LABEL_LOCAL, MF_TRACEID_PLAIN, mf_slice_str(value)};
    NEED(mf_table_publish_labels(mesh.table, &plan));
    mf_label_give(mesh.table, (uint32_t)index);
}

static void publish_by_label(void)
{
    struct mf_cluster *cluster;
    struct mf_service *service;
    NEED(mf_cluster_new(mesh.table, MF_SLICE("app"), &cluster));
    for (int i = 1; i <= 3; i++) {
        char addr[] = "127.0.0.1:1", value[] = "dev1";
        struct mf_pair label = {MF_SLICE("dev"), mf_slice_str(value)};
        addr[10] = value[3] = (char)('0' + i);
        NEED(mf_cluster_add(mesh.table, cluster, mf_slice_str(addr), &label, i < 3, 1));
    }
    NEED(mf_cluster_seal(mesh.table, cluster));
    NEED(mf_service_new(mesh.table, MF_SLICE("svc"), MF_SERVICE_EXACT, &service));
    NEED(mf_service_rule(service, 0));
    NEED(mf_service_target(mesh.table, service, 0, cluster, MF_TARGET_LABEL, MF_SLICE("dev"), 100, MF_FALLBACK_NO_AVAILABLE, 1));
    NEED(mf_service_target(mesh.table, service, 0, cluster, MF_TARGET_BASELINE, MF_SLICE("dev"), 0, MF_FALLBACK_NO_AVAILABLE,
                           MF_NO_TARGET));
    NEED(mf_table_publish(mesh.table, service));
    mf_cluster_give(mesh.table, cluster);
}

static void test_own_label(void)
{
    static const char *const labels[] = {"dev1", "dev2", NULL, "dev2", "dev1"};
    open_with("1", NULL);
    publish_by_label();
    for (int i = 0; i < 5; i++) {
        int to = !labels[i] ? 3 : labels[i][3] - '0';
        own_label(labels[i]);
        call(MANY / 5, CALL);
        CHECK_INT(run.asked[to], MANY / 5);
        CHECK_STR(mf_slice_str(run.dev[to]), labels[i] ? labels[i] : "");
        call(20, CALL "\ndev: dev1"); /* what the request says comes first */
        CHECK_INT(run.asked[1], 20);
    }
    close_run();
}

/* Calls are spread, not connections: one that is added has its share at once, one that is removed keeps what it has, and
 * that ends well. */
static void test_added_and_removed(void)
{
    enum { HELD = 50 };
    open_with("123", NULL);
    call(MANY, CALL);
    for (int i = 1; i <= 3; i++)
        CHECK(about(run.asked[i], MANY / 3, MANY / 3 / 20));
    publish("1234", NULL);
    call(MANY, CALL);
    for (int i = 1; i <= 4; i++)
        CHECK(about(run.asked[i], MANY / 4, MANY / 4 / 20));
    run.holding = true;
    publish("1", NULL);
    call(HELD, CALL);
    CHECK_INT(run.asked[1], HELD);
    publish("234", NULL);
    run.holding = false;
    for (int s = 0; s < 5; s++) {
        call(MANY / 5, CALL);
        CHECK_INT(run.asked[1], 0);
        CHECK_INT(all(), MANY / 5);
        fake_turn(1000000000);
    }
    uint32_t held = 0;
    for (int i = 0; i < fake.n; i++)
        for (uint32_t k = 0; k < run.n_held[i]; k++, held++)
            answer(&peers[i], run.held[i][k]);
    CHECK_INT(held, HELD);
    turn();
    mf_table_reclaim(mesh.table);
    pass(3000);
    turn();
    int of_removed = 0; /* connections to it */
    for (int i = 0; i < fake.n; i++)
        of_removed += peers[i].conn && peers[i].conn->up && run.port[i] == 1 && peers[i].conn->sock && !peers[i].conn->fin;
    CHECK_INT(of_removed, 0);
    close_run();
}

int main(void)
{
    test_weights();
    test_equal();
    test_policy();
    test_ejected();
    test_own_label();
    test_added_and_removed();
    return test_end("h2_spread");
}
