#pragma once
/* pages: pieces of one size, some memory pages each, apart from the heap: for what many need, each for a while. There small
 * things would come to lie between them and keep what was given back from the kernel. Not thread-safe. */
#include "base/list.h"

#include <stddef.h>
#include <stdint.h>

enum { MF_PAGES_PIECES = 12, MF_PAGES_SIZE = 4096 }; /* pieces in a region; they begin at a multiple of this */

struct mf_pages_region;

struct mf_pages {
    struct mf_list _open;         /* regions with room */
    struct mf_pages_region *_home; /* stays, with what its pieces touched; all others go with their last piece */
    size_t _size;
    uint32_t _n;                  /* pieces in use */
};

struct mf_pages_piece {
    void *bytes; /* NULL: none */
    struct mf_pages_region *_region;
};

void mf_pages_init(struct mf_pages *pages, size_t size);
/* All pieces have been given back. */
void mf_pages_dispose(struct mf_pages *pages);
/* Not zeroed; no bytes: no memory. */
struct mf_pages_piece mf_pages_take(struct mf_pages *pages);
void mf_pages_give(struct mf_pages *pages, struct mf_pages_piece piece);
