/* The harness of the micro-benchmarks: what it drops, what it prints, and that its sample frames are real ones. */
#include "../../../bench/c/bench.h"
#include "../../../bench/c/frames.h"
#include "../../../bench/c/rig_h2.h"
#include "../../../bench/c/world.h"
#include "test.h"

static void test_settled(void)
{
    double alike[] = {3, 1, 2};
    CHECK(bench_settled(alike, 3) == 2);
    double interrupted[] = {10, 12, 11, 5000, 11};
    CHECK(bench_settled(interrupted, 5) == 11);
    double one[] = {7};
    CHECK(bench_settled(one, 1) == 7);
}

static void test_frames(void)
{
    static const struct frame_shape shapes[] = {
        {.serialization = MF_DUBBO_HESSIAN2, .attachments = -1},
        {.serialization = MF_DUBBO_HESSIAN2, .attachments = 5},
        {.serialization = MF_DUBBO_HESSIAN2, .attachments = 5, .argument = 64},
        {.serialization = MF_DUBBO_HESSIAN2, .attachments = 5, .argument = 100000, .unit = "\xe4\xb8\x8a"},
        {.serialization = MF_DUBBO_HESSIAN2, .attachments = 5, .nested = true},
        {.serialization = MF_DUBBO_FASTJSON2, .attachments = 0, .argument = 200},
        {.serialization = MF_DUBBO_FASTJSON2, .attachments = 5},
    };
    uint8_t *bytes = calloc(1, 1 << 20);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct mf_pair pairs[8 + MF_DUBBO_LEADING];
        const struct mf_dubbo_room room = {.attachments = pairs, .max_attachments = 8};
        struct mf_dubbo_head head;
        struct mf_dubbo_request request;
        const char *why;
        struct mf_slice in = guarded(frame_build(bytes, &shapes[i]));
        CHECK_INT(mf_dubbo_parse_head(in, 8 << 20, &head), MF_DUBBO_HEAD_LEN);
        CHECK_INT(head.body_len, in.len - MF_DUBBO_HEAD_LEN);
        struct mf_slice body = mf_slice_of(in.ptr + MF_DUBBO_HEAD_LEN, head.body_len);
        CHECK_INT(mf_dubbo_parse_request(head.serialization, body, NULL, &room, &request, &why), 0);
        CHECK(mf_slice_eq(request.service, MF_SLICE(FRAMES_SERVICE)));
        CHECK_INT(request.n_attachments, MF_DUBBO_LEADING + (shapes[i].attachments < 0 ? 0 : shapes[i].attachments));
        CHECK_INT(request.timeout_ms, shapes[i].attachments == 5 ? 3000 : -1);
        CHECK(request.complete == (shapes[i].attachments >= 0));
    }
    free(bytes);
}

/* Each mix of questions goes where it says. */
static void test_world(void)
{
    struct world *world = world_new((struct world_size){.services = 50, .baseline = 3, .labelled = 2});
    static const int fallbacks[] = {-1, 0, 1, 1}; /* of each mix; HALF has both */
    for (int mix = WORLD_HALF; mix <= WORLD_FALLBACK; mix++)
        for (uint32_t batch = 1; batch <= 16; batch += 15) {
            int seen[2] = {0, 0};
            world_ask(world, (enum world_mix)mix);
            world_lookup(world, WORLD_NEAR, batch);
            for (uint32_t i = 0; i < WORLD_NEAR; i++) {
                CHECK_INT(world->near.rcs[i], 0);
                seen[world->near.routes[i].fallbacks]++;
            }
            if (fallbacks[mix] >= 0)
                CHECK_INT(seen[fallbacks[mix]], WORLD_NEAR);
            else
                CHECK(seen[0] > WORLD_NEAR / 4 && seen[1] > WORLD_NEAR / 4);
        }
    world_rebuild(world, 1);
    CHECK_INT(mf_table_n_services(world->table), 50);
    CHECK_INT(mf_table_reclaim(world->table), 0);
    world_free(world);
}

static uint64_t turns;

static void counting_turn(struct rig *rig)
{
    turns++;
    rig_turn(rig);
}

/* Over UNIX sockets an exchange is two turns, however many calls: else what is counted would depend on chance. */
static void test_rig(void)
{
    static const struct rig_shape shapes[] = {
        {.connections = 1, .argument = 200, .answer = 200},
        {.connections = 16, .argument = 200, .answer = 0, .label = true},
        {.connections = 3, .argument = 70000, .answer = 300000, .tcp = true},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct rig *rig = rig_open(shapes[i]);
        rig_exchange(rig, shapes[i].connections, 1); /* the upstream connection is made */
        rig->turn = counting_turn;
        turns = 0;
        for (uint32_t calls = 1; calls <= 64; calls *= 8)
            rig_exchange(rig, shapes[i].connections, shapes[i].connections > 1 && !shapes[i].tcp ? 1 : calls);
        CHECK(shapes[i].tcp ? turns >= 6 : turns == 6);
        struct mf_counters counters;
        mf_engine_counters(rig->engine, &counters);
        CHECK_INT(mf_load_relaxed(&counters.calls_active), 0);
        CHECK_INT(mf_load_relaxed(&counters.calls), rig->calls);
        rig_close(rig);
    }
}

/* The same of gRPC; a stream that windows hold up takes more. */
static void test_rig_h2(void)
{
    static const struct rig_h2_shape shapes[] = {
        {.connections = 1, .message = 100, .answer = 100, .answers = 1},
        {.connections = 16, .message = 100, .answer = 100, .answers = 1, .label = true},
        {.connections = 1, .message = 100, .answer = 100, .answers = 1, .extra = 1, .extra_len = 55, .trace = true, .fresh = true},
        {.connections = 2, .message = 100, .answer = 1000, .answers = 500, .extra = 80, .extra_len = 100, .tcp = true},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct rig_h2 *it = rig_h2_open(shapes[i]);
        struct mf_counters counters;
        uint32_t connections = shapes[i].connections, most = connections == 1 ? 64 : 8;
        for (int n = 0; n < 4; n++) /* all is known, and the upstream connection is made */
            rig_h2_exchange(it, connections, most);
        it->rig->turn = counting_turn;
        turns = 0;
        for (uint32_t calls = 1; calls <= most; calls *= 2)
            rig_h2_exchange(it, connections, calls);
        if (!shapes[i].tcp)
            CHECK_INT(turns, most == 64 ? 14 : 8);
        rig_h2_quiet(it, 50);
        mf_engine_counters(it->rig->engine, &counters);
        CHECK_INT(mf_load_relaxed(&counters.calls_active), 50);
        rig_h2_exchange(it, connections, 3);
        mf_engine_counters(it->rig->engine, &counters);
        CHECK_INT(mf_load_relaxed(&counters.calls), it->rig->calls + 50);
        rig_h2_close(it);
    }
}

int main(void)
{
    test_settled();
    test_frames();
    test_world();
    test_rig();
    test_rig_h2();
    return test_end("bench/c");
}
