#pragma once
/* torture: threads, random numbers, and an allocator that poisons what it frees, so that a late reader sees it.
 *
 * The first argument of each program is how many operations it does. Built as `weak`, every access to a shared word
 * may be delayed and every store may wait: see tests/c/weak.h. */
#include "base/atom.h"
#include "test.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>

#ifdef MF_WEAK
#include "table/weak_buffer.h"
#else
static void weak_flush(void)
{
}
static void weak_seed(uint64_t seed)
{
    (void)seed;
}
#endif

enum { POISON = 0xdd };

static void poison_release(void *ptr)
{
    weak_flush(); /* a store that waits must not land in what the memory is used for next */
    if (ptr)
        memset(ptr, POISON, malloc_usable_size(ptr));
    free(ptr);
}

__attribute__((unused)) static void poison_what_is_freed(void)
{
    static const struct mf_mem_ops ops = {malloc, realloc, poison_release};
    mf_mem_use(&ops);
}

/* For checks on many threads: counted once, at the end. */
static mf_atom64 torture_wrong;

#define MUST(cond)                                                                                                     \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            if (atomic_fetch_add(&torture_wrong, 1) < 10)                                                              \
                fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);                                     \
        }                                                                                                              \
    } while (0)

__attribute__((unused)) static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ x >> 27;
}

/* How many operations the program was asked for. */
__attribute__((unused)) static uint64_t operations(int argc, char **argv, uint64_t few)
{
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : few;
    return n < 1000 ? 1000 : n;
}

struct torture_task {
    void *(*fn)(void *);
    void *arg;
    uint64_t seed;
};

static uint64_t torture_seed; /* of the delays; TORTURE_SEED */

static void *run_task(void *arg)
{
    struct torture_task task = *(struct torture_task *)arg;
    free(arg);
    weak_seed(task.seed);
    void *out = task.fn(task.arg);
    weak_flush();
    return out;
}

__attribute__((unused)) static void start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    static uint64_t n;
    struct torture_task *task = malloc(sizeof *task);
    if (!task)
        abort();
    if (!n && getenv("TORTURE_SEED"))
        torture_seed = strtoull(getenv("TORTURE_SEED"), NULL, 10);
    *task = (struct torture_task){fn, arg, torture_seed * 1000 + ++n};
    weak_flush();
    if (pthread_create(thread, NULL, run_task, task) != 0)
        abort();
}

__attribute__((unused)) static void join(pthread_t thread)
{
    weak_flush();
    pthread_join(thread, NULL);
}

__attribute__((unused)) static int torture_end(const char *name, uint64_t n)
{
    weak_flush();
    printf("%-24s %llu operations, %llu wrong\n", name, (unsigned long long)n, (unsigned long long)torture_wrong);
    return torture_wrong ? 1 : 0;
}
