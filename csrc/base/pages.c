#include "base/pages.h"

#include "base/mem.h"

#include <assert.h>

#define ALL ((UINT32_C(1) << MF_PAGES_PIECES) - 1)

struct mf_pages_region {
    struct mf_list node;
    uint32_t used; /* a bit for each piece */
    uint8_t *first;
};

void mf_pages_init(struct mf_pages *pages, size_t size)
{
    *pages = (struct mf_pages){._size = (size + MF_PAGES_SIZE - 1) / MF_PAGES_SIZE * MF_PAGES_SIZE};
    mf_list_init(&pages->_open);
}

void mf_pages_dispose(struct mf_pages *pages)
{
    assert(pages->_n == 0);
    mf_free(pages->_home);
}

static struct mf_pages_region *new_region(struct mf_pages *pages)
{
    struct mf_pages_region *region = mf_alloc(sizeof *region + MF_PAGES_SIZE - 1 + MF_PAGES_PIECES * pages->_size);
    if (!region)
        return NULL;
    uintptr_t at = (uintptr_t)(region + 1) + MF_PAGES_SIZE - 1;
    *region = (struct mf_pages_region){.first = (uint8_t *)(at - at % MF_PAGES_SIZE)};
    mf_list_push(&pages->_open, &region->node);
    if (!pages->_home)
        pages->_home = region;
    return region;
}

struct mf_pages_piece mf_pages_take(struct mf_pages *pages)
{
    struct mf_pages_region *region = pages->_home;
    if (!region || region->used == ALL)
        region = mf_list_empty(&pages->_open) ? new_region(pages) : MF_CONTAINER(pages->_open.next, struct mf_pages_region, node);
    if (!region)
        return (struct mf_pages_piece){0};
    uint32_t n = (uint32_t)__builtin_ctz(~region->used);
    region->used |= UINT32_C(1) << n;
    pages->_n++;
    if (region->used == ALL)
        mf_list_remove(&region->node);
    return (struct mf_pages_piece){region->first + n * pages->_size, region};
}

void mf_pages_give(struct mf_pages *pages, struct mf_pages_piece piece)
{
    struct mf_pages_region *region = piece._region;
    if (!piece.bytes)
        return;
    if (region->used == ALL)
        mf_list_push(&pages->_open, &region->node);
    region->used &= ~(UINT32_C(1) << (size_t)((uint8_t *)piece.bytes - region->first) / pages->_size);
    pages->_n--;
    if (region == pages->_home)
        return;
    mf_mem_forget(piece.bytes, pages->_size);
    if (region->used == 0) {
        mf_list_remove(&region->node);
        mf_free(region);
    }
}
