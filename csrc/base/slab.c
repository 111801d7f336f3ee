#include "base/slab.h"

#include "base/atom.h"
#include "base/mem.h"

#include <string.h>

enum { LINE = MF_CACHE_LINE };

/* The word before a piece says where it came from: its region, plus 1; or what mf_zalloc_line put there, which is
 * even. So a piece's last word belongs to its neighbour. */
struct region {
    struct mf_list node;
    struct mf_list *open;
    struct piece { struct piece *next; } *free;
    uint32_t lines, n, n_fresh, n_most; /* of a piece; pieces in use, ever used, that fit */
    uint32_t skip;                      /* lines before the first piece */
};

_Static_assert(sizeof(struct region) + sizeof(uintptr_t) <= LINE, "the first piece's word is before the second line");

void mf_slab_init(struct mf_slab *slab)
{
    *slab = (struct mf_slab){0};
    for (int i = 0; i <= MF_SLAB_LINES; i++)
        mf_list_init(&slab->_open[i]);
}

static struct region *new_region(struct mf_slab *slab, uint32_t lines)
{
    struct region *region = mf_zalloc_line(MF_HUGE_PAGE);
    if (!region)
        return NULL;
    region->open = &slab->_open[lines];
    region->lines = lines;
    /* Pieces of one size have the lines that are read most at one place in each. Were it the same in all regions, these
     * lines would share a part of the cache's sets, and the rest would lie idle. */
    region->skip = slab->_made[lines]++ % lines;
    region->n_most = (MF_HUGE_PAGE / LINE - 1 - region->skip) / lines;
    mf_list_push(region->open, &region->node);
    return region;
}

static void *take(struct region *region)
{
    size_t size = (size_t)region->lines * LINE;
    void *ptr = region->free;
    if (ptr) {
        region->free = region->free->next;
        memset(ptr, 0, size - sizeof(uintptr_t));
    } else {
        ptr = (char *)region + LINE * (1 + region->skip) + region->n_fresh++ * size;
        ((uintptr_t *)ptr)[-1] = (uintptr_t)region + 1;
    }
    if (++region->n == region->n_most)
        mf_list_remove(&region->node);
    return ptr;
}

void *mf_slab_zalloc(struct mf_slab *slab, size_t size)
{
    size_t lines = (size + sizeof(uintptr_t) + LINE - 1) / LINE;
    if (lines > MF_SLAB_LINES)
        return mf_zalloc_line(size);
    struct mf_list *open = &slab->_open[lines];
    struct region *region = mf_list_empty(open) ? new_region(slab, (uint32_t)lines)
                                                : MF_CONTAINER(open->next, struct region, node);
    return region ? take(region) : NULL;
}

void mf_slab_free(void *ptr)
{
    uintptr_t origin = ptr ? ((uintptr_t *)ptr)[-1] : 0;
    if (!(origin & 1)) {
        mf_free_line(ptr);
        return;
    }
    struct region *region = (struct region *)(origin - 1);
    struct piece *piece = ptr;
    if (region->n-- == region->n_most)
        mf_list_push(region->open, &region->node);
    piece->next = region->free;
    region->free = piece;
    if (region->n == 0) {
        mf_list_remove(&region->node);
        mf_free_line(region);
    }
}
