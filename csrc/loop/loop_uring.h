#pragma once
/* loop_uring: what the two halves of the io_uring backend share: loop_uring.c has the turn, sockets and listeners,
 * watch_uring.c the watches. */
#include "loop/backend.h"
#include "loop/uring.h"

#include <sys/types.h>

/* The low bits of user_data; the rest is the owner of the operation. */
enum { KIND_NONE, KIND_RECV, KIND_SEND, KIND_CONNECT, KIND_ACCEPT, KIND_POLL, KIND_MASK = 7 };

struct uring {
    struct mf_uring ring;
    struct mf_uring_buffers buffers;
    bool enabled;
    pid_t owner;
    size_t asked;                /* since the last wait, of sockets that bring much at a time: bytes */
    uint64_t under_way;          /* operations whose last completion has not come */
    struct mf_list polls, todo;  /* watch_uring.c's operations: all; those to be asked for or cancelled */
};

struct poll_op; /* watch_uring.c */

int mf_uring_watch_add(struct mf_watch *watch);
int mf_uring_watch_modify(struct mf_watch *watch, uint32_t events);
void mf_uring_watch_remove(struct mf_watch *watch);
void mf_uring_watches_ask(struct mf_loop *loop); /* asks for all polls that are not under way */
int mf_uring_watch_done(struct mf_loop *loop, struct poll_op *op, const struct io_uring_cqe *cqe);
void mf_uring_watches_dispose(struct uring *uring);

/* inline */

static inline struct uring *of(const struct mf_loop *loop)
{
    return loop->backend;
}

/* A submission for `owner`, counted as under way, or NULL: not now. */
static inline struct io_uring_sqe *ask(struct uring *uring, uint8_t opcode, int fd, void *owner, unsigned kind)
{
    struct io_uring_sqe *sqe = uring->enabled ? mf_uring_sqe(&uring->ring) : NULL;
    if (!sqe)
        return NULL;
    sqe->opcode = opcode;
    sqe->fd = fd;
    sqe->user_data = (uint64_t)(uintptr_t)owner | kind;
    uring->under_way++;
    return sqe;
}

static inline uint32_t poll_word(uint32_t events)
{
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? events << 16 : events; /* the kernel's halves are swapped there */
}

/* Cancels `owner`'s operation; its last completion tells when. False: not now. */
static inline bool cancel(struct uring *uring, void *owner, unsigned kind)
{
    struct io_uring_sqe *sqe = mf_uring_sqe(&uring->ring);
    if (!sqe)
        return false;
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->fd = -1;
    sqe->addr = (uint64_t)(uintptr_t)owner | kind;
    sqe->user_data = KIND_NONE; /* how it went is seen by the last completion of what was cancelled */
    return true;
}
