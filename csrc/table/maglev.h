#pragma once
/* maglev: a table of places, each some member's, so that a hash names a member in one look, members have places by their
 * weights, and where one comes or goes nearly only its own places change hands. Source: Eisenbud and others, Maglev, section
 * 3.4; as Envoy weighs it. Immutable once made. */
#include "base/slice.h"
#include "table/hash.h"

enum {
    MF_MAGLEV_MOST = 5000011, /* places: fewer than so many */
    MF_MAGLEV_FEW = 128, MF_MAGLEV_SOME = 1024, /* members, of which each has 31 places at least */
    MF_MAGLEV_SMALL = 4093, MF_MAGLEV_MIDDLE = 32749, MF_MAGLEV_LARGE = 262139, /* primes */
};

struct mf_maglev {
    uint32_t size;  /* places, a prime */
    uint32_t width; /* of one, bytes: 1, 2 or 4 */
    uint8_t _places[];
};

struct mf_maglev_member {
    struct mf_slice name; /* where its places lie depends on it alone */
    uint32_t weight;
};

/* How many places where nobody says: enough for shares within 1 of 31, and at most 64 KiB for a thousand. */
uint32_t mf_maglev_size(uint32_t n);
/* `n` and `size` are not 0. The same for everyone who has the same members, in whatever order. NULL: no memory. */
struct mf_maglev *mf_maglev_new(const struct mf_maglev_member *members, uint32_t n, uint32_t size);
void mf_maglev_free(struct mf_maglev *maglev); /* NULL: nothing */
size_t mf_maglev_bytes(const struct mf_maglev *maglev);

/* inline */

/* The number of the member whose place this is, so wide. */
static inline uint32_t mf_maglev_of(const void *place, uint32_t width)
{
    if (width == 1)
        return *(const uint8_t *)place;
    return width == 2 ? *(const uint16_t *)place : *(const uint32_t *)place;
}

static inline uint32_t mf_maglev_at(const struct mf_maglev *maglev, uint32_t place)
{
    return mf_maglev_of(maglev->_places + (size_t)place * maglev->width, maglev->width);
}
