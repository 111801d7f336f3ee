#include "loop/uring.h"

#include "base/atom.h"

#include <errno.h>
#include <linux/time_types.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Orders with the kernel: our tail of submissions is released after the entries are written; its tail of completions
 * is acquired before they are read, and our head released after. */

static int setup(uint32_t entries, struct io_uring_params *params)
{
    int fd = (int)syscall(SYS_io_uring_setup, entries, params);
    return fd < 0 ? -errno : fd;
}

static int enroll(int fd, unsigned op, void *arg, unsigned n)
{
    return syscall(SYS_io_uring_register, fd, op, arg, n) < 0 ? -errno : 0;
}

/* Multishot receive, DEFER_TASKRUN and its companions came with Linux 6.0 and 6.1; an older kernel refuses the flags
 * at setup, so what remains to probe is what a build without it or a filter may have taken away. */
static int probe(const struct mf_uring *ring, uint32_t features, const char **why)
{
    static const uint32_t need = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE |
                                 IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG;
    static const uint8_t ops[] = {IORING_OP_POLL_ADD, IORING_OP_ACCEPT, IORING_OP_ASYNC_CANCEL, IORING_OP_SEND,
                                  IORING_OP_RECV};
    if ((features & need) != need) {
        *why = "this kernel's io_uring lacks a feature";
        return -ENOSYS;
    }
    _Alignas(struct io_uring_probe) char room[sizeof(struct io_uring_probe) + 64 * sizeof(struct io_uring_probe_op)];
    struct io_uring_probe *got = (void *)room;
    memset(room, 0, sizeof room);
    int rc = enroll(ring->fd, IORING_REGISTER_PROBE, got, 64);
    if (rc < 0) {
        *why = "io_uring_register is not permitted here";
        return rc;
    }
    for (size_t i = 0; i < sizeof ops; i++)
        if (ops[i] > got->last_op || !(got->ops[ops[i]].flags & IO_URING_OP_SUPPORTED)) {
            *why = "this kernel's io_uring lacks an operation";
            return -ENOSYS;
        }
    /* A disabled ring answers EBADFD; a filter that lets setup pass and this not has another errno. */
    if (syscall(SYS_io_uring_enter, ring->fd, 0, 0, 0, NULL, 0) < 0 && errno != EBADFD) {
        *why = "io_uring_enter is not permitted here";
        return -errno;
    }
    return 0;
}

static int map(struct mf_uring *ring, const struct io_uring_params *params)
{
    size_t sq = params->sq_off.array + params->sq_entries * sizeof(uint32_t);
    size_t cq = params->cq_off.cqes + params->cq_entries * sizeof(struct io_uring_cqe);
    size_t len = sq > cq ? sq : cq;
    uint8_t *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
    if (at == MAP_FAILED)
        return -errno;
    ring->_rings = at;
    ring->_rings_len = len;
    len = params->sq_entries * sizeof *ring->_sqes;
    void *sqes = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
    if (sqes == MAP_FAILED)
        return -errno;
    ring->_sqes = sqes;
    ring->_sqes_len = len;
    ring->sq_entries = params->sq_entries;
    ring->cq_entries = params->cq_entries;
    ring->sq_mask = params->sq_entries - 1;
    ring->cq_mask = params->cq_entries - 1;
    ring->_sq_head = (void *)(at + params->sq_off.head);
    ring->_sq_tail = (void *)(at + params->sq_off.tail);
    ring->_sq_flags = (void *)(at + params->sq_off.flags);
    ring->_cq_head = (void *)(at + params->cq_off.head);
    ring->_cq_tail = (void *)(at + params->cq_off.tail);
    ring->_cqes = (void *)(at + params->cq_off.cqes);
    uint32_t *array = (void *)(at + params->sq_off.array);
    for (uint32_t i = 0; i < params->sq_entries; i++)
        array[i] = i;
    return 0;
}

int mf_uring_open(struct mf_uring *ring, uint32_t entries, const char **why)
{
    *ring = (struct mf_uring){.fd = -1};
    /* Four completions to a submission: a multishot operation has many. */
    struct io_uring_params params = {
        .flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE,
        .cq_entries = 4 * entries,
    };
    int rc = setup(entries, &params);
    if (rc < 0) {
        *why = rc == -ENOSYS   ? "this kernel has no io_uring"
               : rc == -EINVAL ? "this kernel is older than Linux 6.1"
               : rc == -EPERM || rc == -EACCES
                   ? "io_uring is not permitted here (a seccomp filter, or sysctl kernel.io_uring_disabled)"
                   : "io_uring_setup failed";
        return rc;
    }
    ring->fd = rc;
    rc = probe(ring, params.features, why);
    if (rc == 0 && (rc = map(ring, &params)) < 0)
        *why = "the rings cannot be mapped";
    if (rc < 0)
        mf_uring_close(ring);
    return rc;
}

void mf_uring_close(struct mf_uring *ring)
{
    if (ring->_sqes)
        munmap(ring->_sqes, ring->_sqes_len);
    if (ring->_rings)
        munmap(ring->_rings, ring->_rings_len);
    if (ring->fd >= 0)
        close(ring->fd);
    *ring = (struct mf_uring){.fd = -1};
}

int mf_uring_enable(struct mf_uring *ring)
{
    return enroll(ring->fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

int mf_uring_enter(struct mf_uring *ring, uint32_t min, int64_t ns)
{
    struct __kernel_timespec time = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    struct io_uring_getevents_arg arg = {.ts = ns < 0 ? 0 : (uint64_t)(uintptr_t)&time};
    mf_store_release(ring->_sq_tail, ring->tail); /* pairs with the kernel's acquire in enter */
    ring->enters++;
    long n = syscall(SYS_io_uring_enter, ring->fd, ring->queued, min, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
                     &arg, sizeof arg);
    int rc = n < 0 ? -errno : 0;
    ring->queued = ring->tail - mf_load_acquire(ring->_sq_head);
    return rc == -ETIME ? 0 : rc;
}

struct io_uring_sqe *mf_uring_sqe(struct mf_uring *ring)
{
    if (ring->queued == ring->sq_entries) {
        mf_uring_enter(ring, 0, 0);
        if (ring->queued == ring->sq_entries)
            return NULL;
    }
    struct io_uring_sqe *sqe = &ring->_sqes[ring->tail & ring->sq_mask];
    memset(sqe, 0, sizeof *sqe);
    ring->tail++;
    ring->queued++;
    return sqe;
}

bool mf_uring_peek(struct mf_uring *ring, struct io_uring_cqe *out)
{
    uint32_t head = mf_load_relaxed(ring->_cq_head); /* ours: no partner */
    if (head == mf_load_acquire(ring->_cq_tail))     /* pairs with the kernel's release of a completion */
        return false;
    const struct io_uring_cqe *cqe = &ring->_cqes[head & ring->cq_mask];
    out->user_data = cqe->user_data;
    out->res = cqe->res;
    out->flags = cqe->flags;
    mf_store_release(ring->_cq_head, head + 1); /* the kernel may write over it only after the copy */
    return true;
}

bool mf_uring_overflown(const struct mf_uring *ring)
{
    return mf_load_relaxed(ring->_sq_flags) & IORING_SQ_CQ_OVERFLOW;
}

int mf_uring_buffers_open(struct mf_uring *ring, struct mf_uring_buffers *buffers, uint32_t count, uint32_t front,
                          uint32_t size)
{
    *buffers = (struct mf_uring_buffers){.count = count, .front = front, .size = size};
    size_t base_len = (size_t)count * (front + size), ring_len = count * sizeof(struct io_uring_buf);
    void *base = mmap(NULL, base_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return -errno;
    buffers->base = base;
    buffers->_base_len = base_len;
    void *at = mmap(NULL, ring_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        int rc = -errno;
        mf_uring_buffers_close(buffers);
        return rc;
    }
    buffers->_ring = at;
    buffers->_ring_len = ring_len;
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)at, .ring_entries = count};
    int rc = enroll(ring->fd, IORING_REGISTER_PBUF_RING, &reg, 1);
    if (rc < 0) {
        mf_uring_buffers_close(buffers);
        return rc;
    }
    for (uint32_t i = 0; i < count; i++)
        mf_uring_buffers_give(buffers, (uint16_t)i);
    return 0;
}

void mf_uring_buffers_close(struct mf_uring_buffers *buffers)
{
    if (buffers->_ring)
        munmap(buffers->_ring, buffers->_ring_len);
    if (buffers->base)
        munmap(buffers->base, buffers->_base_len);
    *buffers = (struct mf_uring_buffers){0};
}

void mf_uring_buffers_give(struct mf_uring_buffers *buffers, uint16_t id)
{
    struct io_uring_buf *buf = &buffers->_ring->bufs[buffers->_tail & (buffers->count - 1)];
    buf->addr = (uint64_t)(uintptr_t)mf_uring_buffer(buffers, id);
    buf->len = buffers->size;
    buf->bid = id;
    /* The tail lies in the unused bits of the first entry; released after the entry, for the kernel's acquire. */
    _Atomic(uint16_t) *tail = (void *)&buffers->_ring->tail;
    mf_store_release(tail, ++buffers->_tail);
}
