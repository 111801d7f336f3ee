/* Preloaded: refuses the n-th allocation that is asked for from within one range of code. Python's own go through. */
#include <stddef.h>
#include <stdint.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *ptr, size_t size);

static uintptr_t first, last;
static long countdown, seen, refused;

void refuse_within(uintptr_t from, uintptr_t to)
{
    first = from;
    last = to;
}

void refuse_at(long n)
{
    countdown = n;
    seen = refused = 0;
}

long refuse_seen(void)
{
    return seen;
}

long refuse_refused(void)
{
    return refused;
}

static int now(const void *caller)
{
    if ((uintptr_t)caller < first || (uintptr_t)caller >= last)
        return 0;
    seen++;
    if (countdown <= 0 || --countdown > 0)
        return 0;
    refused++;
    return 1;
}

void *malloc(size_t size)
{
    return now(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return now(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *ptr, size_t size)
{
    return now(__builtin_return_address(0)) ? NULL : __libc_realloc(ptr, size);
}
