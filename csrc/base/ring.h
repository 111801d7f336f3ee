#pragma once
/* ring: a bounded queue of fixed-size records from one thread to one other, without locks.
 *
 * 1. one side, always the same thread: mf_ring_push
 * 2. the other side, always the same thread: mf_ring_pop
 * A full ring refuses: the writer counts the record as dropped and never waits. */
#include "base/atom.h"

#include <stdbool.h>
#include <stddef.h>

struct mf_ring {
    uint8_t *_records;
    size_t _size;    /* bytes a record */
    uint64_t _mask;  /* capacity - 1 */
    uint64_t _seen;  /* the writer's last look at _head */
    char _pad0[MF_CACHE_LINE];
    mf_atom64 _tail; /* next to write; stored by the writer only */
    char _pad1[MF_CACHE_LINE];
    mf_atom64 _head; /* next to read; stored by the reader only */
};

/* `capacity` is rounded up to a power of two. 0 or -ENOMEM. */
int mf_ring_init(struct mf_ring *ring, size_t record_size, size_t capacity);
void mf_ring_dispose(struct mf_ring *ring);
/* Copies one record in: 0 or MF_ERING_FULL. */
int mf_ring_push(struct mf_ring *ring, const void *record);
bool mf_ring_full(struct mf_ring *ring); /* a push would be refused; for who pushes */
/* Copies one record out: 1, or 0 when there is none. */
int mf_ring_pop(struct mf_ring *ring, void *record);
