#pragma once
/* torture: threads, random numbers, and an allocator that poisons what it frees, so that a late reader sees it. */
#include "base/atom.h"
#include "test.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>

enum { POISON = 0xdd };

static void poison_release(void *ptr)
{
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

__attribute__((unused)) static void start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    if (pthread_create(thread, NULL, fn, arg) != 0)
        abort();
}

__attribute__((unused)) static int torture_end(const char *name, uint64_t operations)
{
    printf("%-24s %llu operations, %llu wrong\n", name, (unsigned long long)operations,
           (unsigned long long)torture_wrong);
    return torture_wrong ? 1 : 0;
}
