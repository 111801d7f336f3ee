#include "base/mem.h"

#include "base/atom.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct mf_mem_ops libc_ops = {malloc, realloc, free};
static const struct mf_mem_ops *ops = &libc_ops;

void mf_mem_use(const struct mf_mem_ops *use)
{
    ops = use ? use : &libc_ops;
}

void *mf_alloc(size_t size)
{
    return ops->alloc(size);
}

void *mf_zalloc(size_t size)
{
    /* Fresh pages are zero as they come: what is large and hardly used (trace.c) is not made resident here. */
    if (ops == &libc_ops)
        return calloc(1, size);
    void *ptr = ops->alloc(size);
    if (ptr)
        memset(ptr, 0, size);
    return ptr;
}

void *mf_resize(void *ptr, size_t size)
{
    return ops->resize(ptr, size);
}

void mf_free(void *ptr)
{
    if (ptr)
        ops->release(ptr);
}

void mf_mem_trim(void)
{
#ifdef __GLIBC__
    if (ops == &libc_ops)
        malloc_trim(0);
#endif
}

void mf_mem_forget(void *ptr, size_t len)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)ptr + page - 1) / page * page;
    uintptr_t end = ((uintptr_t)ptr + len) / page * page;
    if (ops == &libc_ops && begin < end) /* what another allocator gives may be no memory of its process alone */
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* Where the allocation begins stands before the line. */
void *mf_zalloc_line(size_t size)
{
    size_t align = size < MF_HUGE_PAGE ? MF_CACHE_LINE : MF_HUGE_PAGE;
    void *start = mf_zalloc(size + sizeof start + align - 1);
    if (!start)
        return NULL;
    uintptr_t at = (uintptr_t)start + sizeof start + align - 1;
    void **line = (void **)(at - at % align);
    if (align == MF_HUGE_PAGE)
        madvise(line, size - size % align, MADV_HUGEPAGE); /* refused: then in small pages */
    line[-1] = start;
    return line;
}

void mf_free_line(void *ptr)
{
    if (ptr)
        mf_free(((void **)ptr)[-1]);
}

char *mf_copy(const void *bytes, size_t len)
{
    char *copy = mf_alloc(len + 1);
    if (copy) {
        if (len)
            memcpy(copy, bytes, len);
        copy[len] = 0;
    }
    return copy;
}

struct mf_arena_page {
    struct mf_arena_page *next;
    size_t _pad; /* keeps data 16-byte aligned */
    unsigned char data[];
};

/* Most arenas are small, and live long. */
enum { FIRST = 1024 - sizeof(struct mf_arena_page), PAGE = 4096 - sizeof(struct mf_arena_page) };

void *mf_arena_alloc(struct mf_arena *arena, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (!arena->_pages || arena->_size - arena->_used < size) {
        size_t usual = arena->_pages ? PAGE : FIRST, room = size > usual ? size : usual;
        struct mf_arena_page *page = mf_alloc(sizeof *page + room);
        if (!page)
            return NULL;
        page->next = arena->_pages;
        arena->_pages = page;
        arena->_used = 0;
        arena->_size = room;
    }
    void *ptr = arena->_pages->data + arena->_used;
    arena->_used += size;
    return ptr;
}

void mf_arena_reset(struct mf_arena *arena)
{
    while (arena->_pages) {
        struct mf_arena_page *next = arena->_pages->next;
        mf_free(arena->_pages);
        arena->_pages = next;
    }
    arena->_used = arena->_size = 0;
}
