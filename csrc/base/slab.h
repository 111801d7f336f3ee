#pragma once
/* slab: pieces that begin at a cache line, packed by size into regions of huge pages: for what is read at random in
 * great numbers, where a miss of the TLB costs as much as one of the cache. Not thread-safe. */
#include "base/list.h"

#include <stdint.h>

enum { MF_SLAB_LINES = 16 }; /* a piece of more cache lines has an allocation of its own */

struct mf_slab {
    struct mf_list _open[MF_SLAB_LINES + 1]; /* regions with room, by the lines of a piece */
    uint32_t _made[MF_SLAB_LINES + 1];       /* regions ever made, likewise */
};

void mf_slab_init(struct mf_slab *slab);
/* Zeroed. NULL: no memory. A region goes back when its last piece does. */
void *mf_slab_zalloc(struct mf_slab *slab, size_t size);
/* A piece of mf_slab_zalloc or of mf_zalloc_line (mem.h), or NULL. */
void mf_slab_free(void *ptr);
