#include "base/ring.h"

#include "base/err.h"
#include "base/mem.h"

#include <errno.h>
#include <string.h>

int mf_ring_init(struct mf_ring *ring, size_t record_size, size_t capacity)
{
    uint64_t n = 1;
    while (n < capacity)
        n *= 2;
    memset(ring, 0, sizeof *ring);
    ring->_records = mf_alloc(n * record_size);
    if (!ring->_records)
        return -ENOMEM;
    ring->_size = record_size;
    ring->_mask = n - 1;
    return 0;
}

void mf_ring_dispose(struct mf_ring *ring)
{
    mf_free(ring->_records);
    ring->_records = NULL;
}

bool mf_ring_full(struct mf_ring *ring)
{
    uint64_t tail = mf_load_relaxed(&ring->_tail); /* our own store */
    if (tail - ring->_seen > ring->_mask) /* pairs with the release in pop: the record at `tail` has been copied out */
        ring->_seen = mf_load_acquire(&ring->_head);
    return tail - ring->_seen > ring->_mask;
}

int mf_ring_push(struct mf_ring *ring, const void *record)
{
    if (mf_ring_full(ring))
        return MF_ERING_FULL;
    uint64_t tail = mf_load_relaxed(&ring->_tail); /* our own store */
    memcpy(ring->_records + (tail & ring->_mask) * ring->_size, record, ring->_size);
    /* Pairs with the acquire in pop: who sees the new tail sees the record. */
    mf_store_release(&ring->_tail, tail + 1);
    return 0;
}

int mf_ring_pop(struct mf_ring *ring, void *record)
{
    uint64_t head = mf_load_relaxed(&ring->_head); /* our own store */
    /* Pairs with the release in push. */
    if (head == mf_load_acquire(&ring->_tail))
        return 0;
    memcpy(record, ring->_records + (head & ring->_mask) * ring->_size, ring->_size);
    /* Pairs with the acquire in push. */
    mf_store_release(&ring->_head, head + 1);
    return 1;
}
