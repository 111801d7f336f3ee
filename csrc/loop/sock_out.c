#include "base/mem.h"
#include "loop/backend.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* Output: a queue of runs. A run either has its own room, which is filled at the end while earlier bytes of it may
 * already be with the kernel (so it never moves), or points into a block that it holds. */

enum { RUN = 16 * 1024, SHORT = 2048, SPARES = 64, LINE = 64 };

struct mf_sock_segment {
    struct mf_sock_segment *next;
    struct mf_block *block; /* held, or NULL: own room */
    const uint8_t *ptr;     /* next byte to send */
    size_t weight;          /* what it counts for its socket */
    size_t len;
    size_t cap; /* of the own room; 0: it points into a block */
    uint8_t data[];
};

/* A run of the common size, or an exact one: for more than that, and where output is waiting already for much of it, as
 * the next as long would not fit behind it. */
static struct mf_sock_segment *take_run(const struct mf_sock *sock, size_t cap)
{
    struct mf_loop *loop = sock->loop;
    struct mf_sock_segment *run = loop->spare;
    bool exact = cap > RUN || (cap > RUN / 2 && sock->_out_len > 0);
    if (!exact && run) {
        loop->spare = run->next;
        loop->spares--;
    } else {
        cap = exact ? (cap + LINE - 1) / LINE * LINE : RUN;
        run = mf_alloc(sizeof *run + cap);
        if (!run)
            return NULL;
        run->cap = cap;
    }
    loop->out_memory += sizeof *run + run->cap;
    run->next = NULL;
    run->block = NULL;
    run->ptr = run->data;
    run->len = 0;
    return run;
}

static void give_run(struct mf_loop *loop, struct mf_sock_segment *run)
{
    mf_block_give(run->block);
    loop->out_memory -= sizeof *run + run->cap;
    if (run->cap == RUN && loop->spares < SPARES) {
        run->next = loop->spare;
        loop->spare = run;
        loop->spares++;
    } else {
        mf_free(run);
    }
}

void mf_sock_trim(struct mf_loop *loop)
{
    while (loop->spare) {
        struct mf_sock_segment *next = loop->spare->next;
        mf_free(loop->spare);
        loop->spare = next;
    }
    loop->spares = 0;
}

static void append(struct mf_sock *sock, struct mf_sock_segment *run)
{
    run->weight = sizeof *run + (run->block ? run->len : run->cap); /* others may hold the rest of a block */
    sock->_out_memory += run->weight;
    if (sock->sum)
        *sock->sum += run->weight;
    if (sock->_out_last)
        sock->_out_last->next = run;
    else
        sock->_out_first = run;
    sock->_out_last = run;
}

/* The end of the last run's own room, and how much is free there. */
static size_t tail_room(const struct mf_sock *sock, uint8_t **at)
{
    struct mf_sock_segment *run = sock->_out_last;
    if (!run || run->block)
        return 0;
    size_t used = (size_t)(run->ptr - run->data) + run->len;
    *at = run->data + used;
    return run->cap - used;
}

static void queued(struct mf_sock *sock, size_t len)
{
    sock->_out_len += len;
    if (sock->_out_len > sock->high)
        sock->_state |= MF_S_HIGH;
    if (!(sock->_state & MF_S_CONNECTING))
        mf_sock_dirty(sock);
}

bool mf_sock_writable(const struct mf_sock *sock)
{
    return !(sock->_state & (MF_S_SILENT | MF_S_SHUT | MF_S_BROKEN));
}

int mf_sock_write(struct mf_sock *sock, struct mf_slice bytes)
{
    if (!mf_sock_writable(sock))
        return MF_ECLOSED;
    if (bytes.len == 0)
        return 0;
    uint8_t *at = NULL;
    size_t first = tail_room(sock, &at);
    if (first > bytes.len)
        first = bytes.len;
    struct mf_sock_segment *run = NULL;
    if (first < bytes.len) {
        run = take_run(sock, bytes.len - first);
        if (!run)
            return -ENOMEM;
    }
    if (first) {
        memcpy(at, bytes.ptr, first);
        sock->_out_last->len += first;
    }
    if (run) {
        run->len = bytes.len - first;
        memcpy(run->data, bytes.ptr + first, run->len);
        append(sock, run);
    }
    queued(sock, bytes.len);
    return 0;
}

int mf_sock_write_block(struct mf_sock *sock, struct mf_block *block, struct mf_slice bytes)
{
    if (bytes.len < SHORT)
        return mf_sock_write(sock, bytes);
    if (!mf_sock_writable(sock))
        return MF_ECLOSED;
    struct mf_sock_segment *run = mf_alloc(sizeof *run);
    if (!run)
        return -ENOMEM;
    sock->loop->out_memory += sizeof *run;
    *run = (struct mf_sock_segment){.block = mf_block_take(block), .ptr = bytes.ptr, .len = bytes.len};
    append(sock, run);
    queued(sock, bytes.len);
    return 0;
}

uint8_t *mf_sock_reserve(struct mf_sock *sock, size_t len)
{
    if (!mf_sock_writable(sock))
        return NULL;
    uint8_t *at = NULL;
    if (tail_room(sock, &at) >= len && at)
        return at;
    struct mf_sock_segment *run = take_run(sock, len);
    if (!run)
        return NULL;
    append(sock, run);
    return run->data;
}

void mf_sock_commit(struct mf_sock *sock, size_t len)
{
    if (len == 0)
        return;
    sock->_out_last->len += len;
    queued(sock, len);
}

void mf_sock_tell_drained(struct mf_sock *sock)
{
    if (sock->_out_len > sock->low)
        sock->_state |= MF_S_HIGH;
}

void mf_sock_shutdown(struct mf_sock *sock)
{
    if (!mf_sock_writable(sock))
        return;
    sock->_state |= MF_S_SHUT;
    if (!(sock->_state & MF_S_CONNECTING))
        mf_sock_dirty(sock);
}

int mf_sock_iov(const struct mf_sock *sock, struct iovec *iov, int max, size_t *len)
{
    int n = 0;
    *len = 0;
    for (const struct mf_sock_segment *run = sock->_out_first; run && n < max; run = run->next) {
        if (run->len == 0)
            continue;
        iov[n].iov_base = (void *)(uintptr_t)run->ptr;
        iov[n].iov_len = run->len;
        *len += run->len;
        n++;
    }
    return n;
}

static void shift(struct mf_sock *sock)
{
    struct mf_sock_segment *run = sock->_out_first;
    sock->_out_first = run->next;
    if (!run->next)
        sock->_out_last = NULL;
    sock->_out_memory -= run->weight;
    if (sock->sum)
        *sock->sum -= run->weight;
    give_run(sock->loop, run);
}

void mf_sock_sent(struct mf_sock *sock, size_t len)
{
    sock->bytes_out += len;
    sock->_out_len -= len;
    mf_count(&sock->loop->counts.bytes_out, len);
    while (sock->_out_first && len >= sock->_out_first->len) {
        len -= sock->_out_first->len;
        shift(sock);
    }
    if (len) {
        sock->_out_first->ptr += len;
        sock->_out_first->len -= len;
    }
    if (sock->_out_len == 0) {
        if ((sock->_state & (MF_S_SHUT | MF_S_SHUT_DONE)) == MF_S_SHUT) {
            sock->_state |= MF_S_SHUT_DONE;
            shutdown(sock->fd, SHUT_WR);
        }
        if (sock->_state & MF_S_FLUSHING) {
            mf_sock_flushed(sock);
            return;
        }
    }
    if ((sock->_state & MF_S_HIGH) && sock->_out_len <= sock->low) {
        sock->_state &= (uint16_t)~MF_S_HIGH;
        if (!(sock->_state & MF_S_SILENT) && sock->events->on_drain)
            sock->events->on_drain(sock);
    }
}

void mf_sock_drop_output(struct mf_sock *sock)
{
    while (sock->_out_first)
        shift(sock);
    sock->_out_len = 0;
}
