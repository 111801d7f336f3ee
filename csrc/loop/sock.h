#pragma once
/* sock: a stream socket driven by completion: bytes arrive, bytes are taken.
 *
 * Life: 1. mf_sock_open on a connected descriptor, or mf_sock_connect  2. on_connect (connect only), on_read, on_eof,
 * on_drain as they come  3. mf_sock_close, or an error  4. on_close, once, last, from the loop and never from inside
 * another call; after it the memory is the owner's again. No callback but on_close comes after mf_sock_close.
 *
 * Input belongs to the socket: on_read gets a view of all bytes not yet consumed and says how many it took; the rest
 * is given again, with more behind it. While nothing is left over an idle socket holds no input memory (bytes are read
 * into a buffer that the loop's sockets share). A frame that is known to be long is announced with mf_sock_want, so
 * that it is read straight into one block; that block can then be held and sent on from where it lies. It is one that
 * an earlier long frame left (mf_loop_set_spares), or a new one, which grows as bytes really arrive, never ahead of them
 * by more than 64 KiB or three times the bytes already there, and an eighth. Behind a long frame only as much is read as
 * shows the length of the next, so that another long one is read where it will lie from its beginning on.
 *
 * Output belongs to the socket: small writes are copied together, blocks are sent from where they lie, and all goes
 * out once per loop turn, in order. */
#include "base/addr.h"
#include "base/block.h"
#include "base/list.h"
#include "base/slice.h"
#include "loop/loop.h"

/* on_read is needed; without on_eof the socket is closed with MF_CLOSE_FLUSH; the others may be NULL. */
struct mf_sock_events {
    /* How many bytes of `view` are done with, 0..view.len. Slices into it end when this returns, unless held. */
    size_t (*on_read)(struct mf_sock *sock, struct mf_slice view);
    void (*on_eof)(struct mf_sock *sock);            /* the peer will send no more; writing still works */
    void (*on_connect)(struct mf_sock *sock, int rc); /* 0, or a negated errno and on_close follows */
    void (*on_drain)(struct mf_sock *sock);          /* output fell to low after it had been above high */
    void (*on_close)(struct mf_sock *sock, int rc);  /* 0: we closed it; else a negated errno */
};

struct mf_sock_segment; /* sock.c: one run of output */

struct mf_sock {
    const struct mf_sock_events *events;
    struct mf_loop *loop;
    struct mf_list _node;      /* all sockets of the loop */
    struct mf_list _dirty;     /* has output to flush this turn; or lingers */
    struct mf_list _dead;      /* to be looked at again; or to be told on_close */
    int fd;
    int _error;
    uint16_t _state;           /* flags of sock.c and the backends */
    uint16_t _ops;             /* operations the kernel has under way */
    uint8_t _heavy;            /* flags of backend.h: it brings much at a time */
    struct mf_block *_in;      /* left-over input, data[_in_begin.._in_end) */
    size_t _in_begin, _in_end, _want;
    struct mf_sock_segment *_out_first, *_out_last;
    size_t _out_len;           /* bytes queued */
    size_t _out_memory;        /* what its runs take */
    size_t *sum;               /* what the runs of all sockets with this sum take together. May be NULL */
    size_t high, low;          /* watermarks of the output, bytes */
    void *_backend;            /* what a backend keeps per socket */
    uint64_t _linger;          /* until when it waits for the peer's end */
    uint32_t _left;            /* what the peer had not taken when it began to wait */
    uint8_t _stalls;           /* how often in a row that was still so */
    bool cut_resets;           /* ended with output left, by whomever, it is reset: for streams whose FIN means `all` */
    uint64_t bytes_in, bytes_out;
    uint64_t last_read;        /* loop time of the last bytes */
};

/* Takes `fd` (connected, made non-blocking by this) over. `sock` is zeroed but for events, high, low and sum. 0 or a
 * negated errno; on error the descriptor is closed and no callback follows. */
int mf_sock_open(struct mf_loop *loop, struct mf_sock *sock, int fd);
/* Starts to connect; on_connect tells. 0 or a negated errno as above. Bytes may be written before on_connect. */
int mf_sock_connect(struct mf_loop *loop, struct mf_sock *sock, const struct mf_addr *addr);

enum mf_sock_how {
    MF_CLOSE_NOW,   /* output that is left is dropped */
    /* Sends what is queued and FIN, then reads and drops what still comes until the peer ends too: a close over unread
     * bytes would reset the connection, and the reset overtakes the last answer. It waits one second for that once the
     * peer has all, and before that as long as the peer takes something of it every ten seconds; how long output may
     * wait here is the owner's to say (mf_sock_left). An error or another mf_sock_close ends it early. */
    MF_CLOSE_FLUSH,
    MF_CLOSE_RESET, /* as NOW, but a TCP peer is told that this is no end (RST); a UNIX peer cannot be */
};
void mf_sock_close(struct mf_sock *sock, enum mf_sock_how how); /* again is harmless */
/* Bytes that the peer has not taken: those queued here and in the kernel (TCP; one system call). While it falls, they
 * move. */
size_t mf_sock_left(const struct mf_sock *sock);
/* Asks a TCP peer that is silent for `idle_s` whether it is there, `count` times, `interval_s` apart; then the connection
 * fails with -ETIMEDOUT. 0 or a negated errno; 0 and no effect on a UNIX socket. */
int mf_sock_keepalive(struct mf_sock *sock, int idle_s, int interval_s, int count);
/* A TCP connection fails with -ETIMEDOUT, too, once bytes that were written have not arrived for `ms`. Likewise. */
int mf_sock_arrive_within(struct mf_sock *sock, uint64_t ms);
/* Whether an error of connecting or writing says something of this machine and nothing of the peer: descriptors
 * (-EMFILE, -ENFILE), memory (-ENOMEM, -ENOBUFS), no local port free (-EADDRNOTAVAIL), a local filter (-EACCES, -EPERM), the
 * interface is down (-ENETDOWN), a UNIX listener's queue is full for the moment (-EAGAIN). */
bool mf_sock_local_error(int rc);

/* Takes the descriptor of a paused socket without output out of the loop: it is the caller's from now on, and on_close(0)
 * follows. What is left over (mf_sock_rest) goes with the socket, and is to be copied before the turn ends. -EAGAIN: output
 * waits, or the kernel has yet to let go of it, as it was told to: ask again in a later turn, and look again what is left
 * over. MF_ECLOSED: it has ended, or is about to. */
int mf_sock_detach(struct mf_sock *sock);
/* Bytes that were read of it before it was opened here: shown in the next turn, before any that come. 0 or -ENOMEM. */
int mf_sock_unread(struct mf_sock *sock, struct mf_slice bytes);

void mf_sock_pause(struct mf_sock *sock);  /* no on_read, no on_eof until resume; may come twice */
void mf_sock_resume(struct mf_sock *sock); /* gives left-over bytes again, in the next turn at the latest */
void mf_sock_want(struct mf_sock *sock, size_t len); /* inside on_read: the frame at the front of what is left over is
                                                        `len` bytes long: no on_read before it is whole */
/* From anywhere but on_read: shows a frame that was wanted although it is not whole, in the next turns. */
void mf_sock_show(struct mf_sock *sock);
/* Inside on_read: a block that keeps `bytes` (part of the view) alive, with a reference for the caller, and sets
 * `*at` to where they are in it. No copy when they lie in the socket's own block. NULL: no memory. */
struct mf_block *mf_sock_hold(struct mf_sock *sock, struct mf_slice bytes, const uint8_t **at);

/* False once writing has failed, or it is closed or shut down: it may be so before on_close tells. */
bool mf_sock_writable(const struct mf_sock *sock);
/* Queue bytes. 0 or -ENOMEM (nothing was queued), or MF_ECLOSED. */
int mf_sock_write(struct mf_sock *sock, struct mf_slice bytes);
/* The same from a block: takes its own reference; short runs are copied all the same. */
int mf_sock_write_block(struct mf_sock *sock, struct mf_block *block, struct mf_slice bytes);
/* Room for `len` bytes at the end of the output, or NULL (no memory, or not writable); then say how many were written.
 * Nothing between the two. */
uint8_t *mf_sock_reserve(struct mf_sock *sock, size_t len);
void mf_sock_commit(struct mf_sock *sock, size_t len);
/* on_drain comes although the output is not above high, unless it is not above low. */
void mf_sock_tell_drained(struct mf_sock *sock);
/* Sends FIN once what is queued has gone. */
void mf_sock_shutdown(struct mf_sock *sock);

/* A listening socket that hands out connections. */
struct mf_listener {
    struct mf_loop *_loop;
    struct mf_list _node;
    struct mf_timer _retry;
    int fd;
    uint16_t _state, _ops;
    void *_backend;
    /* `fd` is the callback's from now on. */
    void (*on_accept)(struct mf_listener *listener, int fd, const struct mf_addr *peer);
    void (*on_close)(struct mf_listener *listener); /* memory is the owner's again */
    /* An accept failed for want of descriptors or memory, or for good: it rests 100 ms. May be NULL. */
    void (*on_failed)(struct mf_listener *listener, int rc);
};

/* `fd` listens already, and is the listener's from now on, unless this fails. 0 or a negated errno. Closing does not
 * close `fd`'s other copies. */
int mf_listener_open(struct mf_loop *loop, struct mf_listener *listener, int fd);
/* From the loop: hands all connections out that have come, then closes and tells; on_accept may come until on_close. */
void mf_listener_close(struct mf_listener *listener);
/* Lets nobody new in (mf_listen_shut); who is being let in still comes. A moment before mf_listener_close, so that no
 * handshake is cut off either. */
int mf_listener_shut(struct mf_listener *listener);
/* The same while copies of `fd` go on: they let in who comes from now on. Without `take` who has come stays in the queue,
 * and nobody may hear of him before the next comes: the kernel tells one io_uring alone, and it may have been this. */
void mf_listener_leave(struct mf_listener *listener, bool take);
/* From the loop: takes all that have come. While copies of `fd` go on whoever was told of one may have ended since. */
void mf_listener_look(struct mf_listener *listener);

/* mf_listen_open with what most need (listen.h): alone, or with `reuse_port` joining; a UNIX socket for its user only. */
int mf_sock_listen(const struct mf_addr *addr, int backlog, bool reuse_port);
/* Where a redirected connection was going (SO_ORIGINAL_DST, IPv4 and IPv6): 0 or a negated errno. -ENOENT: it was not
 * redirected. The kernel then names our own address where it tracks connections, and dialling that would never end. */
int mf_sock_original(int fd, struct mf_addr *out);
/* The other end's address, and our own. 0 or a negated errno. */
int mf_sock_peer(int fd, struct mf_addr *out);
int mf_sock_local(int fd, struct mf_addr *out);

/* inline */

static inline size_t mf_sock_pending(const struct mf_sock *sock)
{
    return sock->_out_len;
}

/* Memory that the socket's input and output take: rooms in whole, also where they are half full; of a block that others
 * hold too, the bytes that it has to send. */
static inline size_t mf_sock_memory(const struct mf_sock *sock)
{
    return (sock->_in ? sock->_in->cap : 0) + sock->_out_memory;
}

/* Of it, the output's. */
static inline size_t mf_sock_output(const struct mf_sock *sock)
{
    return sock->_out_memory;
}

/* And the input's. */
static inline size_t mf_sock_input(const struct mf_sock *sock)
{
    return sock->_in ? sock->_in->cap : 0;
}

/* What is left over: read, and not taken by on_read. */
static inline struct mf_slice mf_sock_rest(const struct mf_sock *sock)
{
    return sock->_in ? mf_slice_of(sock->_in->data + sock->_in_begin, sock->_in_end - sock->_in_begin) : (struct mf_slice){0};
}

static inline bool mf_sock_full(const struct mf_sock *sock)
{
    return sock->_out_len > sock->high;
}
