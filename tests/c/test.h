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

/* An allocator that fails on demand: fail_at(n) fails the n-th allocation from now, fail_from(n) every later one too;
 * then run; fail_at(0) heals. `fail_seen` counts those asked for, `fail_failed` those refused, `fail_live` those not
 * given back. Where other threads allocate, the first of them comes before they start. */
static _Atomic long fail_countdown;
static _Atomic int fail_stays, fail_on;
__attribute__((unused)) static _Atomic long fail_seen, fail_failed, fail_live;

static int fail_now(void)
{
    fail_seen++;
    if (!fail_on && !(fail_countdown > 0 && --fail_countdown == 0))
        return 0;
    fail_on = fail_stays;
    fail_failed++;
    return 1;
}

static void *fail_alloc(size_t size)
{
    void *ptr = fail_now() ? NULL : malloc(size);
    fail_live += ptr != NULL;
    return ptr;
}

static void *fail_resize(void *ptr, size_t size)
{
    void *moved = fail_now() ? NULL : realloc(ptr, size);
    fail_live += !ptr && moved;
    return moved;
}

static void fail_release(void *ptr)
{
    fail_live--;
    free(ptr);
}

__attribute__((unused)) static void fail_set(long n, int stays)
{
    static const struct mf_mem_ops ops = {fail_alloc, fail_resize, fail_release};
    static int used;
    if (!used)
        mf_mem_use(&ops); /* libc's own underneath: what was allocated before may be given back here */
    used = 1;
    fail_seen = fail_failed = 0;
    fail_on = 0;
    fail_stays = stays;
    fail_countdown = n;
}

__attribute__((unused)) static void fail_at(long n)
{
    fail_set(n, 0);
}

__attribute__((unused)) static void fail_from(long n)
{
    fail_set(n, 1);
}

/* The last line of every main: prints the plain count and gives the exit code. */
__attribute__((unused)) static int test_end(const char *name)
{
    printf("%-24s %d checks, %d failed\n", name, test_checks, test_failures);
    return test_failures ? 1 : 0;
}
