#include "loop/backend.h"

#include <assert.h>
#include <errno.h>

/* Input. New bytes come in a buffer that the loop's sockets share and are shown from there: with a short left-over put
 * in front of them, or, when the left-over is long or a long frame was announced, behind the left-over in its block.
 *
 * Behind a long frame another one is likely, and bytes of it that come in the shared buffer would have to be moved. So
 * no more than a PEEK is read of it before its length is known, and then it is read into a block from there on. */

enum { AHEAD = 64 * 1024, DIRECT = 16 * 1024, LONG = 32 * 1024, PEEK = 64 };
enum { LONG_READS = 16, FEW = 2 };
enum { PIECE = 256 * 1024 }; /* the most that is read at once where more than a few have long frames */

static size_t left(const struct mf_sock *sock)
{
    return sock->_in_end - sock->_in_begin;
}

static void forget(struct mf_sock *sock)
{
    mf_block_give(sock->_in);
    sock->_in = NULL;
    sock->_in_begin = sock->_in_end = 0;
}

static bool stopped(const struct mf_sock *sock)
{
    return sock->_state & (MF_S_PAUSED | MF_S_SILENT);
}

/* Room for `have` bytes, and for the wanted frame as far as the promise of sock.h goes. */
static size_t sized(const struct mf_sock *sock, size_t have)
{
    if (sock->_want < have)
        return have;
    size_t most = have + (3 * have > AHEAD ? 3 * have : AHEAD);
    if (sock->_want > most)
        return most;
    return mf_block_size(sock->_want + PEEK);
}

/* Makes the block ours alone, with the left-over at its start and room for `cap` bytes. */
static int make_room(struct mf_sock *sock, size_t cap)
{
    struct mf_block *block = sock->_in;
    if (block && !mf_block_shared(block) && block->cap - sock->_in_begin >= cap)
        return 0;
    /* A length that is only announced may take what was allocated before, as long as that has not all been taken. */
    struct mf_block_spares *spares = &sock->loop->blocks;
    struct mf_block *fresh = sock->_want >= LONG ? mf_block_lend(spares, sock->_want + PEEK) : NULL;
    if (!fresh && block && !mf_block_shared(block) && sock->_in_begin == 0) {
        block = mf_block_grow(block, cap);
        if (!block)
            return -ENOMEM;
        sock->_in = block;
        return 0;
    }
    if (!fresh)
        fresh = mf_block_new(cap, spares);
    if (!fresh)
        return -ENOMEM;
    size_t have = left(sock);
    if (have)
        memcpy(fresh->data, block->data + sock->_in_begin, have);
    mf_block_give(block);
    sock->_in = fresh;
    sock->_in_begin = 0;
    sock->_in_end = have;
    return 0;
}

/* Keeps bytes behind the left-over. */
static int keep(struct mf_sock *sock, const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    size_t have = left(sock) + len, cap = sized(sock, have);
    struct mf_block *block = sock->_in;
    if (!block || mf_block_shared(block) || block->cap - sock->_in_end < len) {
        if (block && cap == have && have < 2 * block->cap)
            cap = 2 * block->cap; /* many small pieces while paused: no move for each */
        int rc = make_room(sock, cap);
        if (rc < 0)
            return rc;
    }
    memcpy(sock->_in->data + sock->_in_end, data, len);
    sock->_in_end += len;
    return 0;
}

void mf_sock_set_heavy(struct mf_sock *sock, uint8_t flag, bool on)
{
    uint8_t heavy = (uint8_t)(on ? sock->_heavy | flag : sock->_heavy & ~flag);
    sock->loop->heavies += (uint32_t)(heavy != 0) - (uint32_t)(sock->_heavy != 0);
    sock->_heavy = heavy;
}

static size_t show(struct mf_sock *sock, const uint8_t *ptr, size_t len)
{
    bool was_long = sock->_want >= LONG;
    sock->_want = 0;
    size_t took = sock->events->on_read(sock, mf_slice_of(ptr, len));
    assert(took <= len);
    bool is_long = was_long || sock->_want >= LONG;
    if (is_long || sock->_heavy)
        mf_sock_set_heavy(sock, MF_H_PEEK, is_long || ((sock->_heavy & MF_H_PEEK) && took == 0));
    return took;
}

/* The first bytes of the next frame hold the block of the last no longer than that needs. Without memory they stay. */
static void keep_apart(struct mf_sock *sock, size_t len)
{
    struct mf_block *small = mf_block_new(PEEK, &sock->loop->blocks);
    if (!small)
        return;
    memcpy(small->data, sock->_in->data + sock->_in_begin, len);
    forget(sock);
    sock->_in = small;
    sock->_in_end = len;
}

static void show_block(struct mf_sock *sock)
{
    mf_block_filled(sock->_in);
    sock->_in_begin += show(sock, sock->_in->data + sock->_in_begin, left(sock));
    size_t len = left(sock);
    if (len == 0)
        forget(sock);
    else if (len <= PEEK && sock->_in->cap >= LONG)
        keep_apart(sock, len);
}

/* Shows left-over and new bytes as one run; what is not taken is the new left-over. */
static int show_joined(struct mf_sock *sock, uint8_t *data, size_t len)
{
    size_t have = left(sock);
    if (have) {
        data -= have;
        len += have;
        memcpy(data, sock->_in->data + sock->_in_begin, have);
        forget(sock);
    }
    size_t took = show(sock, data, len);
    if (sock->_state & MF_S_CLOSING)
        return 0;
    return keep(sock, data + took, len - took);
}

void mf_sock_feed(struct mf_sock *sock, uint8_t *data, size_t len, size_t front)
{
    sock->bytes_in += len;
    sock->last_read = sock->loop->now;
    mf_count(&sock->loop->counts.bytes_in, len);
    int rc = 0;
    while (len > 0 && rc == 0) {
        if (sock->_state & MF_S_SILENT)
            return;
        size_t have = left(sock);
        if (stopped(sock) || sock->_want > have + len) {
            rc = keep(sock, data, len);
            break;
        }
        if (have <= front) {
            rc = show_joined(sock, data, len);
            break;
        }
        size_t take = sock->_want > have ? sock->_want - have : len;
        rc = keep(sock, data, take);
        if (rc == 0)
            show_block(sock);
        data += take;
        len -= take;
        front += take;
    }
    if (rc < 0)
        mf_sock_fail(sock, rc);
}

int mf_sock_unread(struct mf_sock *sock, struct mf_slice bytes)
{
    int rc = keep(sock, bytes.ptr, bytes.len);
    if (rc == 0 && bytes.len) {
        sock->_state |= MF_S_RETELL;
        mf_sock_again(sock);
    }
    return rc;
}

size_t mf_sock_space(struct mf_sock *sock, uint8_t **at)
{
    size_t have = left(sock), missing = mf_sock_missing(sock);
    if (missing == 0 || (missing < DIRECT && sock->_want < LONG) || stopped(sock))
        return 0;
    const struct mf_block *block = sock->_in;
    bool roomy = block && !mf_block_shared(block) && block->cap - sock->_in_end >= (missing < AHEAD ? missing : AHEAD);
    if (!roomy && make_room(sock, sized(sock, have)) < 0)
        return 0; /* read elsewhere; if memory is still short then, feed says so */
    *at = sock->_in->data + sock->_in_end;
    size_t space = sock->_in->cap - sock->_in_end;
    if (space > missing + PEEK)
        space = missing + PEEK;
    uint32_t many = sock->loop->heavies;
    if (many <= FEW || space <= AHEAD)
        return space;
    size_t piece = MF_TURN_BYTES / many;
    piece = piece < AHEAD ? AHEAD : piece > PIECE ? PIECE : piece;
    return space < piece ? space : piece;
}

size_t mf_sock_shared(const struct mf_sock *sock)
{
    return (sock->_heavy & MF_H_PEEK) && left(sock) < PEEK ? PEEK : sock->loop->read_size;
}

int mf_sock_reads(const struct mf_sock *sock)
{
    if (mf_loop_sated(sock->loop))
        return 0;
    return (sock->_heavy & MF_H_PEEK) && sock->loop->heavies > FEW ? LONG_READS : MF_READS;
}

void mf_sock_drop_input(struct mf_sock *sock)
{
    mf_sock_set_heavy(sock, MF_H_PEEK | MF_H_MORE, false);
    forget(sock);
}

void mf_sock_filled(struct mf_sock *sock, size_t len)
{
    sock->_in_end += len;
    sock->bytes_in += len;
    sock->last_read = sock->loop->now;
    mf_count(&sock->loop->counts.bytes_in, len);
    if (left(sock) >= sock->_want && !stopped(sock))
        show_block(sock);
}

size_t mf_sock_missing(const struct mf_sock *sock)
{
    return sock->_want > left(sock) ? sock->_want - left(sock) : 0;
}

void mf_sock_retell(struct mf_sock *sock)
{
    if (left(sock) > 0 && sock->_want <= left(sock) && !stopped(sock))
        show_block(sock);
}

void mf_sock_want(struct mf_sock *sock, size_t len)
{
    sock->_want = len;
}

void mf_sock_show(struct mf_sock *sock)
{
    if (stopped(sock) || left(sock) == 0)
        return;
    sock->_want = 0;
    sock->_state |= MF_S_RETELL;
    mf_sock_again(sock);
}

struct mf_block *mf_sock_hold(struct mf_sock *sock, struct mf_slice bytes, const uint8_t **at)
{
    struct mf_block *block = sock->_in;
    if (block && bytes.ptr >= block->data && bytes.ptr + bytes.len <= block->data + sock->_in_end) {
        *at = bytes.ptr;
        return mf_block_take(block);
    }
    block = mf_block_new(bytes.len, &sock->loop->blocks);
    if (!block)
        return NULL;
    if (bytes.len)
        memcpy(block->data, bytes.ptr, bytes.len);
    *at = block->data;
    return block;
}
