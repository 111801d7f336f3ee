/* grow: what an operation costs while one size grows and the others stay. One JSON object a line (bench.h), named
 * AXIS/MEASURE/SIZE. Times in ns; `memory` in bytes.
 *
 * services   of the usual shape: 20 an application, 8 instances
 * labels     values of the label that an application's instances carry, each by one instance; 20 services
 * endpoints  instances of an application that carry no label; 20 services
 * connections, message: the whole engine over loopback TCP (rig.h), CPU time of its turns
 * streams, header_bytes, header_count: the same for gRPC (rig_h2.h): streams of one connection; bytes of one field more
 *   than a request usually has; fields more than that, each with a value of 16 bytes */
#include "rig_h2.h"
#include "world_time.h"

#include <malloc.h>
#include <sys/resource.h>

enum { BATCH = 16, ACTIVE = 16 };

/* --- memory: every allocation of the core goes through here */

static size_t live;

static void *counted_alloc(size_t size)
{
    void *ptr = malloc(size);
    live += malloc_usable_size(ptr);
    return ptr;
}

static void *counted_resize(void *ptr, size_t size)
{
    size_t before = malloc_usable_size(ptr);
    void *grown = realloc(ptr, size);
    if (grown)
        live += malloc_usable_size(grown) - before;
    return grown;
}

static void counted_release(void *ptr)
{
    live -= malloc_usable_size(ptr);
    free(ptr);
}

static const char *named(const char *axis, const char *measure, uint64_t size)
{
    static char name[96];
    snprintf(name, sizeof name, "%s/%s/%llu", axis, measure, (unsigned long long)size);
    return name;
}

static void memory(const char *axis, uint64_t size, size_t base)
{
    double bytes = (double)live - (double)base;
    if (bytes > 0 && bench_wanted(named(axis, "memory", size)))
        bench_print(named(axis, "memory", size), "bytes", &bytes, 1);
}

/* --- the table */

static void publish(void *arg, uint64_t n)
{
    struct world *world = arg;
    for (uint64_t i = 0; i < n; i++) {
        world_publish(world, (uint32_t)(world_random(world) % world->size.services));
        mf_table_reclaim(world->table);
    }
}

static void rebuild(void *arg, uint64_t n)
{
    struct world *world = arg;
    for (uint64_t i = 0; i < n; i++) {
        world_rebuild(world, (uint32_t)(world_random(world) % world->n_clusters));
        mf_table_reclaim(world->table);
    }
}

static void table(const char *axis, uint64_t size, struct world_size shape, enum world_mix mix)
{
    if (size > bench.most)
        return;
    double start = bench_cpu_now();
    struct world *world = world_new(shape);
    double built = bench_cpu_now() - start;
    if (bench_wanted(named(axis, "build", size)))
        bench_print(named(axis, "build", size), "ns", &built, 1);
    memory(axis, size, 0);
    bench_rounds(named(axis, "lookup", size), world_look, &(struct world_job){world, mix, 1});
    bench_rounds(named(axis, "lookup_batch", size), world_look, &(struct world_job){world, mix, BATCH});
    bench_op(named(axis, "publish", size), publish, world);
    bench_op(named(axis, "rebuild", size), rebuild, world);
    world_free(world);
}

/* --- the engine */

struct load {
    struct rig *rig;
    uint32_t active, calls;
};

static double call(void *arg)
{
    struct load *load = arg;
    load->rig->spent = 0;
    load->rig->calls = 0;
    for (double end = bench_now() + bench.ms * 1e6; load->rig->calls == 0 || bench_now() < end;)
        rig_exchange(load->rig, load->active, load->calls);
    return load->rig->spent / (double)load->rig->calls;
}

/* `base`: what one connection and the engine take, so that `memory` is of the connections alone. */
static void connections(uint32_t size)
{
    static size_t base;
    struct rlimit limit;
    if (size > bench.most)
        return;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2 * size + 64) {
        fprintf(stderr, "%u connections are more descriptors than this process may have (%llu)\n", size,
                (unsigned long long)limit.rlim_cur);
        return;
    }
    struct rig *rig = rig_open((struct rig_shape){.connections = size, .argument = 200, .answer = 200, .tcp = true});
    rig->turn = rig_timed_turn;
    rig_exchange(rig, size, 1);
    bench_rounds(named("connections", "call", size), call, &(struct load){rig, size, 1});
    if (size >= ACTIVE)
        bench_rounds(named("connections", "call_beside_idle", size), call, &(struct load){rig, ACTIVE, 1});
    base = size == 1 ? live : base;
    memory("connections", size, base);
    rig_close(rig);
}

static void message(size_t size)
{
    if (size > bench.most)
        return;
    struct rig *rig = rig_open((struct rig_shape){.connections = 1, .argument = size, .answer = size, .tcp = true});
    rig->turn = rig_timed_turn;
    bench_rounds(named("message", "call", size), call, &(struct load){rig, 1, 1});
    bench_rounds(named("message", "call_of_16", size), call, &(struct load){rig, 1, 16});
    rig_close(rig);
}

/* --- gRPC */

struct h2_load {
    struct rig_h2 *it;
    uint32_t calls;
};

static double h2_call(void *arg)
{
    struct h2_load *load = arg;
    struct rig *rig = load->it->rig;
    rig->spent = 0;
    rig->calls = 0;
    for (double end = bench_now() + bench.ms * 1e6; rig->calls == 0 || bench_now() < end;)
        rig_h2_exchange(load->it, 1, load->calls);
    return rig->spent / (double)rig->calls;
}

static struct rig_h2 *h2_open(struct rig_h2_shape shape)
{
    shape.connections = shape.answers = 1;
    shape.message = shape.answer = 100;
    shape.tcp = true;
    struct rig_h2 *it = rig_h2_open(shape);
    it->rig->turn = rig_timed_turn;
    rig_h2_exchange(it, 1, 1);
    return it;
}

/* `memory` of streams that are open at both ends. */
static void streams(uint32_t size)
{
    if (size > bench.most)
        return;
    struct rig_h2 *it = h2_open((struct rig_h2_shape){0});
    bench_rounds(named("streams", "call", size), h2_call, &(struct h2_load){it, size});
    rig_h2_close(it);
    it = h2_open((struct rig_h2_shape){0}); /* which has no memory of streams yet */
    size_t base = live;
    rig_h2_quiet(it, size);
    memory("streams", size, base);
    bench_rounds(named("streams", "call_beside_quiet", size), h2_call, &(struct h2_load){it, ACTIVE});
    rig_h2_close(it);
}

/* The same fields each time only where the tables have room for all of them. */
static void header(const char *axis, uint32_t size, uint32_t fields, size_t len)
{
    if (size > bench.most)
        return;
    for (int fresh = fields * (len + 42) > 2048; fresh < 2; fresh++) {
        struct rig_h2 *it = h2_open((struct rig_h2_shape){.extra = fields, .extra_len = len, .fresh = fresh});
        bench_rounds(named(axis, fresh ? "call_fresh" : "call", size), h2_call, &(struct h2_load){it, ACTIVE});
        rig_h2_close(it);
    }
}

int main(int argc, char **argv)
{
    static const struct mf_mem_ops counted = {counted_alloc, counted_resize, counted_release};
    static const uint32_t sizes[] = {1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000, 100000, 300000, 1000000};
    bench_begin(argc, argv);
    mf_mem_use(&counted);
    for (int i = 2; i < 13; i++)
        table("services", sizes[i], WORLD_USUAL(sizes[i]), WORLD_HALF);
    for (int i = 0; i < 8; i++)
        table("labels", sizes[i], (struct world_size){WORLD_APP, 6, sizes[i], NULL}, WORLD_HIT);
    for (int i = 0; i < 9; i++)
        table("endpoints", sizes[i], (struct world_size){WORLD_APP, sizes[i], 2, NULL}, WORLD_NO_LABEL);
    for (uint32_t size = 1; size <= 4096; size *= 4)
        connections(size);
    for (size_t size = 64; size <= 4 << 20; size *= 4)
        message(size);
    for (uint32_t size = 1; size <= 4096; size *= 4)
        streams(size);
    for (uint32_t size = 16; size <= 8192; size *= 2)
        header("header_bytes", size, 1, size);
    for (uint32_t size = 1; size <= 64; size *= 2)
        header("header_count", size, size, 16);
    return 0;
}
