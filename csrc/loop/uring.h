#pragma once
/* uring: io_uring by its raw system calls: the two rings, one set of receive buffers, and nothing else.
 *
 * 1. mf_uring_open, on any thread  2. mf_uring_enable, on the thread that stays its owner  3. mf_uring_sqe,
 * mf_uring_enter, mf_uring_peek  4. mf_uring_close. */
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_uring {
    int fd;
    uint32_t sq_mask, cq_mask, sq_entries, cq_entries;
    uint32_t tail;   /* of the submissions, ours until enter publishes it */
    uint32_t queued; /* published or not, the kernel has not taken them */
    uint64_t enters;
    _Atomic(uint32_t) *_sq_head, *_sq_tail, *_sq_flags, *_cq_head, *_cq_tail;
    struct io_uring_sqe *_sqes;
    struct io_uring_cqe *_cqes;
    void *_rings;
    size_t _rings_len, _sqes_len;
};

/* Receive buffers, handed to the kernel through a ring of their own. */
struct mf_uring_buffers {
    uint8_t *base;
    uint32_t count, front, size; /* `front` bytes before each are ours */
    struct io_uring_buf_ring *_ring;
    uint16_t _tail;
    size_t _base_len, _ring_len;
};

/* Sets a ring up, disabled, and probes for all that loop_uring.c uses. 0, or a negated errno with `*why`: static text
 * for an operator. On error nothing is left to close. */
int mf_uring_open(struct mf_uring *ring, uint32_t entries, const char **why);
void mf_uring_close(struct mf_uring *ring);
/* The calling thread becomes the only one that may enter. 0 or a negated errno. */
int mf_uring_enable(struct mf_uring *ring);

/* A zeroed submission, or NULL when the ring is full and the kernel takes none now. */
struct io_uring_sqe *mf_uring_sqe(struct mf_uring *ring);
/* Submits what is queued, runs deferred work and waits until `min` completions are there, `ns` long at most (negative:
 * no limit). 0 or a negated errno; a wait that ran out is 0. */
int mf_uring_enter(struct mf_uring *ring, uint32_t min, int64_t ns);
/* The next completion, taken, or false. */
bool mf_uring_peek(struct mf_uring *ring, struct io_uring_cqe *out);
/* More completions wait in the kernel than the ring had room for: enter brings them. */
bool mf_uring_overflown(const struct mf_uring *ring);

/* Buffer group 0 of `count` (a power of two) buffers. 0 or a negated errno. */
int mf_uring_buffers_open(struct mf_uring *ring, struct mf_uring_buffers *buffers, uint32_t count, uint32_t front,
                          uint32_t size);
void mf_uring_buffers_close(struct mf_uring_buffers *buffers); /* after the ring was closed */
void mf_uring_buffers_give(struct mf_uring_buffers *buffers, uint16_t id);

/* inline */

static inline uint8_t *mf_uring_buffer(const struct mf_uring_buffers *buffers, uint16_t id)
{
    return buffers->base + (size_t)id * (buffers->front + buffers->size) + buffers->front;
}
