#pragma once
/* mem: the one place that calls malloc, so that it can be swapped, counted and made to fail. */
#include <stddef.h>
#include <stdint.h>

struct mf_mem_ops {
    void *(*alloc)(size_t size);
    void *(*resize)(void *ptr, size_t size);
    void (*release)(void *ptr);
};

/* Swaps the allocator. Only before anything was allocated: memory must go back where it came from. NULL: libc. */
void mf_mem_use(const struct mf_mem_ops *ops);

/* NULL when there is none: every caller returns -ENOMEM. */
void *mf_alloc(size_t size);
void *mf_zalloc(size_t size);
void *mf_resize(void *ptr, size_t size);
void mf_free(void *ptr);
/* Gives the kernel back what is free. Takes a while: after a rush, not after a call. */
void mf_mem_trim(void);
/* What lies there is needed no more, though it is still allocated: the kernel gets the pages that are wholly in it. */
void mf_mem_forget(void *ptr, size_t len);
enum { MF_HUGE_PAGE = 2 << 20 };

/* Zeroed, and beginning at a cache line; freed by mf_free_line alone. From MF_HUGE_PAGE on it begins at such a page, and
 * the kernel is asked for huge ones. */
void *mf_zalloc_line(size_t size);
void mf_free_line(void *ptr);
/* A copy of `len` bytes with a NUL behind them. */
char *mf_copy(const void *bytes, size_t len);

/* An arena: many small pieces, freed in one go. Zero-initialised is empty. */
struct mf_arena {
    struct mf_arena_page *_pages;
    size_t _used, _size; /* of the newest page */
};

/* 16-byte aligned, or NULL. Lives until reset. */
void *mf_arena_alloc(struct mf_arena *arena, size_t size);
void mf_arena_reset(struct mf_arena *arena);
