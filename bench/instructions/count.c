/* count: does each thing that is counted so many times, for callgrind: count N.
 *
 * What is counted is all that happens below a function count__NAME, and nothing else. Prints NAME TIMES for each. Two
 * runs with different N give the instructions of one (count.py). Nothing in it may depend on time or chance: the clock
 * is ours and moves by 1 us when it is read, the seeds are fixed, and the engine's peers live in its own thread. */
#include "rig_h2.h"
#include "world_policy.h"

#include "codec/traceid.h"

#include <sys/random.h>

enum { BATCH = 16, SERVICES = 10000 };

#define COUNTED __attribute__((noinline)) static void
#define OF_ITS_OWN bench_sink = __LINE__ /* a compiler makes one function of two that do the same */

/* --- in the place of libc's (the linker's --wrap) */

int __wrap_clock_gettime(clockid_t clock, struct timespec *out);
ssize_t __wrap_getrandom(void *to, size_t len, unsigned flags);

int __wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
    static uint64_t now = UINT64_C(1000000000000);
    (void)clock;
    now += 1000;
    out->tv_sec = (time_t)(now / 1000000000);
    out->tv_nsec = (long)(now % 1000000000);
    return 0;
}

ssize_t __wrap_getrandom(void *to, size_t len, unsigned flags)
{
    (void)flags;
    memset(to, 0x5a, len);
    return (ssize_t)len;
}

/* --- the codec */

static struct mf_pair pairs[128 + MF_DUBBO_LEADING];
static uint8_t texts[1024];
static const struct mf_dubbo_room room = {pairs, 128, sizeof texts, texts};
static struct mf_dubbo_request request;
static uint8_t bytes[16384];
static struct mf_slice frame, body;

static void use(struct frame_shape shape)
{
    shape.serialization = shape.serialization ? shape.serialization : MF_DUBBO_HESSIAN2;
    frame = frame_build(bytes, &shape);
    body = mf_slice_of(frame.ptr + MF_DUBBO_HEAD_LEN, frame.len - MF_DUBBO_HEAD_LEN);
}

static void parse(uint8_t serialization, uint64_t n)
{
    const char *why;
    for (uint64_t i = 0; i < n; i++)
        bench_must(mf_dubbo_parse_request(serialization, body, NULL, &room, &request, &why), "a request");
}

COUNTED count__head(uint64_t n)
{
    OF_ITS_OWN;
    struct mf_dubbo_head head;
    for (uint64_t i = 0; i < n; i++)
        bench_must(mf_dubbo_parse_head(frame, 8 << 20, &head), "a head");
}

COUNTED count__request_strings(uint64_t n)
{
    OF_ITS_OWN;
    parse(MF_DUBBO_HESSIAN2, n);
}

COUNTED count__request_five_attachments(uint64_t n)
{
    OF_ITS_OWN;
    parse(MF_DUBBO_HESSIAN2, n);
}

COUNTED count__request_string_argument(uint64_t n)
{
    OF_ITS_OWN;
    parse(MF_DUBBO_HESSIAN2, n);
}

COUNTED count__request_nested_argument(uint64_t n)
{
    OF_ITS_OWN;
    parse(MF_DUBBO_HESSIAN2, n);
}

COUNTED count__request_jsonb(uint64_t n)
{
    OF_ITS_OWN;
    parse(MF_DUBBO_FASTJSON2, n);
}

static void stamp(uint8_t serialization, uint64_t n)
{
    struct mf_pair label = {MF_SLICE("x-mesh-label"), MF_SLICE("dev1")};
    uint8_t tail[512];
    struct mf_dubbo_stamped out;
    for (uint64_t i = 0; i < n; i++)
        bench_must(mf_dubbo_stamp(serialization, body, &request, &label, 1, tail, sizeof tail, &out), "a stamp");
}

COUNTED count__stamp(uint64_t n)
{
    OF_ITS_OWN;
    stamp(MF_DUBBO_HESSIAN2, n);
}

COUNTED count__stamp_jsonb(uint64_t n)
{
    OF_ITS_OWN;
    stamp(MF_DUBBO_FASTJSON2, n);
}

COUNTED count__hessian_skip_nested(uint64_t n)
{
    OF_ITS_OWN;
    struct mf_slice nested = mf_slice_of(bytes, frame_nested(bytes));
    for (uint64_t i = 0; i < n; i++) {
        struct mf_hessian reader;
        mf_hessian_init(&reader, nested, MF_HESSIAN_DEPTH, MF_HESSIAN_CLASSES);
        bench_must(mf_hessian_skip(&reader), "a skip");
    }
}

COUNTED count__traceparent(uint64_t n)
{
    OF_ITS_OWN;
    struct mf_slice key = MF_SLICE("traceparent");
    struct mf_slice value = MF_SLICE("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    for (uint64_t i = 0; i < n; i++)
        bench_sink += mf_traceid_of(mf_traceid_format_of(key), value).len;
}

static void done(const char *name, uint64_t n)
{
    printf("%s %llu\n", name, (unsigned long long)n);
}
#define DO(name, n) (count__##name(n), done(#name, n))

static void codec(uint64_t n)
{
    use((struct frame_shape){.attachments = -1});
    DO(head, n);
    DO(request_strings, n);
    use((struct frame_shape){.attachments = 5});
    DO(request_five_attachments, n);
    use((struct frame_shape){.attachments = 5, .argument = 200});
    DO(request_string_argument, n);
    DO(stamp, n);
    use((struct frame_shape){.attachments = 5, .nested = true});
    DO(request_nested_argument, n);
    use((struct frame_shape){.serialization = MF_DUBBO_FASTJSON2, .attachments = 5, .argument = 200});
    DO(request_jsonb, n);
    DO(stamp_jsonb, n);
    DO(hessian_skip_nested, n);
    DO(traceparent, n);
}

/* --- the table */

COUNTED count__lookup_label(struct world *world)
{
    OF_ITS_OWN;
    world_lookup(world, WORLD_NEAR, 1);
}

COUNTED count__lookup_no_label(struct world *world)
{
    OF_ITS_OWN;
    world_lookup(world, WORLD_NEAR, 1);
}

COUNTED count__lookup_fallback(struct world *world)
{
    OF_ITS_OWN;
    world_lookup(world, WORLD_NEAR, 1);
}

COUNTED count__lookup_batch(struct world *world)
{
    OF_ITS_OWN;
    world_lookup(world, WORLD_NEAR, BATCH);
}

COUNTED count__lookup_least_request(struct world *world)
{
    OF_ITS_OWN;
    world_lookup(world, WORLD_NEAR, BATCH);
}

COUNTED count__lookup_levels(struct world *world)
{
    OF_ITS_OWN;
    world_lookup(world, WORLD_NEAR, BATCH);
}

COUNTED count__lookup_maglev(struct world *world)
{
    OF_ITS_OWN;
    world_lookup(world, WORLD_NEAR, BATCH);
}

COUNTED count__lookup_weighted(struct world *world)
{
    OF_ITS_OWN;
    world_lookup(world, WORLD_NEAR, BATCH);
}

COUNTED count__publish(struct world *world, uint64_t n)
{
    OF_ITS_OWN;
    for (uint64_t i = 0; i < n; i++) {
        world_publish(world, (uint32_t)(world_random(world) % SERVICES));
        mf_table_reclaim(world->table);
    }
}

static void look(struct world *world, const char *name, void (*count)(struct world *), enum world_mix mix, uint64_t n)
{
    uint64_t blocks = n / WORLD_NEAR;
    for (uint64_t i = 0; i < blocks; i++) {
        world_ask(world, mix);
        count(world);
        world_check(world, WORLD_NEAR);
    }
    done(name, blocks * WORLD_NEAR);
}

static void table(uint64_t n)
{
    struct world *world = world_new(WORLD_USUAL(SERVICES));
    look(world, "lookup_label", count__lookup_label, WORLD_HIT, n);
    look(world, "lookup_no_label", count__lookup_no_label, WORLD_NO_LABEL, n);
    look(world, "lookup_fallback", count__lookup_fallback, WORLD_FALLBACK, n);
    look(world, "lookup_batch", count__lookup_batch, WORLD_HALF, n);
    count__publish(world, n);
    done("publish", n);
    world_free(world);
}

/* In batches, of 1,000 services with a policy, beside those without one. */
static void policy(const char *name, void (*count)(struct world *), const struct mf_policy *policy, uint64_t n)
{
    struct world_size size = WORLD_USUAL(1000);
    size.policy = policy;
    struct world *world = world_new(size);
    look(world, name, count, WORLD_NO_LABEL, n);
    world_free(world);
}

static void policies(uint64_t n)
{
    static struct world_policy own;
    policy("lookup_weighted", count__lookup_weighted, NULL, n);
    policy("lookup_least_request", count__lookup_least_request, world_balance(&own, MF_BALANCER_LEAST_REQUEST), n);
    policy("lookup_levels", count__lookup_levels, world_levels(&own, WORLD_USUAL(1000)), n);
    policy("lookup_maglev", count__lookup_maglev, world_balance(&own, MF_BALANCER_HASH), n);
}

/* --- a call through the whole engine; the kernel is not counted, and the peers are not */

COUNTED count__call_1(struct rig *rig)
{
    OF_ITS_OWN;
    rig_turn(rig);
}

COUNTED count__call_16(struct rig *rig)
{
    OF_ITS_OWN;
    rig_turn(rig);
}

COUNTED count__call_64(struct rig *rig)
{
    OF_ITS_OWN;
    rig_turn(rig);
}

COUNTED count__call_opaque_64(struct rig *rig)
{
    rig_turn(rig);
    OF_ITS_OWN;
}

COUNTED count__call_16_connections(struct rig *rig)
{
    OF_ITS_OWN;
    rig_turn(rig);
}

COUNTED count__call_label_16(struct rig *rig)
{
    OF_ITS_OWN;
    rig_turn(rig);
}

static void calls(const char *name, void (*turn)(struct rig *), struct rig_shape shape, uint32_t each, uint64_t n)
{
    shape.argument = shape.answer = 200;
    struct rig *rig = rig_open(shape);
    for (int i = 0; i < 8; i++)
        rig_exchange(rig, shape.connections, each); /* the upstream connection is made, the memory is there */
    rig->turn = turn;
    rig->calls = 0;
    while (rig->calls < n)
        rig_exchange(rig, shape.connections, each);
    done(name, rig->calls);
    rig_close(rig);
}

COUNTED count__grpc_1x1(struct rig *rig)
{
    OF_ITS_OWN;
    rig_turn(rig);
}

COUNTED count__grpc_1x100(struct rig *rig)
{
    OF_ITS_OWN;
    rig_turn(rig);
}

COUNTED count__grpc_16x64(struct rig *rig)
{
    OF_ITS_OWN;
    rig_turn(rig);
}

COUNTED count__grpc_label_1x100(struct rig *rig)
{
    OF_ITS_OWN;
    rig_turn(rig);
}

COUNTED count__grpc_trace_1x100(struct rig *rig)
{
    OF_ITS_OWN;
    rig_turn(rig);
}

COUNTED count__grpc_stream(struct rig *rig)
{
    OF_ITS_OWN;
    rig_turn(rig);
}

/* Of a message where answers have many. */
static void grpc(const char *name, void (*turn)(struct rig *), struct rig_h2_shape shape, uint32_t each, uint64_t n)
{
    shape.message = 100;
    shape.answer = shape.answers ? 1024 : 100;
    shape.answers = shape.answers ? shape.answers : 1;
    struct rig_h2 *it = rig_h2_open(shape);
    for (int i = 0; i < 8; i++)
        rig_h2_exchange(it, shape.connections, each);
    it->rig->turn = turn;
    it->rig->calls = 0;
    while (it->rig->calls * shape.answers < n)
        rig_h2_exchange(it, shape.connections, each);
    done(name, it->rig->calls * shape.answers);
    rig_h2_close(it);
}

int main(int argc, char **argv)
{
    long n = argc == 2 ? atol(argv[1]) : 0;
    if (n < WORLD_NEAR || n % WORLD_NEAR) {
        fprintf(stderr, "usage: count N, a multiple of %d\n", WORLD_NEAR);
        return 2;
    }
    codec((uint64_t)n);
    table((uint64_t)n);
    policies((uint64_t)n);
    calls("call_1", count__call_1, (struct rig_shape){.connections = 1}, 1, (uint64_t)n);
    calls("call_16", count__call_16, (struct rig_shape){.connections = 1}, 16, (uint64_t)n);
    calls("call_64", count__call_64, (struct rig_shape){.connections = 1}, 64, (uint64_t)n);
    calls("call_opaque_64", count__call_opaque_64, (struct rig_shape){.connections = 1, .opaque = true}, 64, (uint64_t)n);
    calls("call_16_connections", count__call_16_connections, (struct rig_shape){.connections = 16}, 1, (uint64_t)n);
    calls("call_label_16", count__call_label_16, (struct rig_shape){.connections = 1, .label = true}, 16, (uint64_t)n);
    grpc("grpc_1x1", count__grpc_1x1, (struct rig_h2_shape){.connections = 1}, 1, (uint64_t)n);
    grpc("grpc_1x100", count__grpc_1x100, (struct rig_h2_shape){.connections = 1}, 100, (uint64_t)n);
    grpc("grpc_16x64", count__grpc_16x64, (struct rig_h2_shape){.connections = 16}, 64, (uint64_t)n);
    struct rig_h2_shape label = {.connections = 1, .label = true};
    grpc("grpc_label_1x100", count__grpc_label_1x100, label, 100, (uint64_t)n);
    struct rig_h2_shape trace = {.connections = 1, .extra = 1, .extra_len = 55, .trace = true, .fresh = true};
    grpc("grpc_trace_1x100", count__grpc_trace_1x100, trace, 100, (uint64_t)n);
    grpc("grpc_stream", count__grpc_stream, (struct rig_h2_shape){.connections = 1, .answers = 1024}, 1, (uint64_t)n);
    return 0;
}
