#pragma once
/* test: what every C test uses: checks that print where they failed, a guard page, an allocator that fails on demand. */
#include "base/mem.h"
#include "base/slice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int test_failures, test_checks;

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        test_checks++;                                                                                                 \
        if (!(cond)) {                                                                                                 \
            test_failures++;                                                                                           \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);                                         \
        }                                                                                                              \
    } while (0)

#define CHECK_INT(got, want)                                                                                           \
    do {                                                                                                               \
        long long g_ = (long long)(got), w_ = (long long)(want);                                                       \
        test_checks++;                                                                                                 \
        if (g_ != w_) {                                                                                                \
            test_failures++;                                                                                           \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #got, g_, w_);                        \
        }                                                                                                              \
    } while (0)

#define CHECK_STR(got, want)                                                                                           \
    do {                                                                                                               \
        struct mf_slice s_ = (got);                                                                                    \
        const char *t_ = (want);                                                                                       \
        test_checks++;                                                                                                 \
        if (!mf_slice_eq(s_, mf_slice_str(t_))) {                                                                      \
            test_failures++;                                                                                           \
            fprintf(stderr, "%s:%d: %s is '%.*s', not '%s'\n", __FILE__, __LINE__, #got, (int)s_.len,                  \
                    s_.ptr ? (const char *)s_.ptr : "", t_);                                                           \
        }                                                                                                              \
    } while (0)

/* Room for `len` bytes between two pages that must not be touched; `last` is where the second one begins. It is kept
 * for the next call. */
__attribute__((unused)) static uint8_t *fenced(size_t len, uint8_t **last)
{
    static uint8_t *map;
    static size_t room;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (!map || room < len) {
        if (map)
            munmap(map, room + 2 * page);
        room = (len + page) / page * page;
        map = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (map == MAP_FAILED || mprotect(map + page, room, PROT_READ | PROT_WRITE) < 0)
            abort();
    }
    *last = map + page + room;
    return map + page;
}

/* Copies `bytes` so that they end exactly at a page that must not be touched: reading one too far crashes. Good until
 * the next call, which may be given what this one gave. */
__attribute__((unused)) static struct mf_slice guarded(struct mf_slice bytes)
{
    uint8_t *last;
    fenced(bytes.len, &last);
    if (bytes.len)
        memmove(last - bytes.len, bytes.ptr, bytes.len);
    return mf_slice_of(last - bytes.len, bytes.len);
}

/* The same with the page before them: reading one too early crashes. */
__attribute__((unused)) static struct mf_slice guarded_front(struct mf_slice bytes)
{
    uint8_t *last, *first = fenced(bytes.len, &last);
    if (bytes.len)
        memmove(first, bytes.ptr, bytes.len);
    return mf_slice_of(first, bytes.len);
}

/* An allocator that fails the n-th allocation from now: fail_at(n), run, fail_at(0). `fail_seen` counts them. Where
 * other threads allocate, the first fail_at comes before they start. */
static _Atomic long fail_countdown;
__attribute__((unused)) static _Atomic long fail_seen;

static int fail_now(void)
{
    fail_seen++;
    return fail_countdown > 0 && --fail_countdown == 0;
}

static void *fail_alloc(size_t size)
{
    return fail_now() ? NULL : malloc(size);
}

static void *fail_resize(void *ptr, size_t size)
{
    return fail_now() ? NULL : realloc(ptr, size);
}

__attribute__((unused)) static void fail_at(long n)
{
    static const struct mf_mem_ops ops = {fail_alloc, fail_resize, free};
    static int used;
    if (!used)
        mf_mem_use(&ops); /* libc's own underneath: what was allocated before may be given back here */
    used = 1;
    fail_seen = 0;
    fail_countdown = n;
}

/* The last line of every main: prints the plain count and gives the exit code. */
__attribute__((unused)) static int test_end(const char *name)
{
    printf("%-24s %d checks, %d failed\n", name, test_checks, test_failures);
    return test_failures ? 1 : 0;
}
