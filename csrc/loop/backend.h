#pragma once
/* backend: what the two backends and the common half of the loop share; nobody outside csrc/loop includes it.
 *
 * A backend waits, moves bytes and reports; what bytes, errors and ends mean is decided in sock*.c, once for both. */
#include "base/atom.h"
#include "loop/loop.h"
#include "loop/sock.h"

enum {
    /* Room in front of every read buffer, so that a short left-over is put before new bytes without moving those. */
    MF_READ_FRONT = 4096,
    MF_READ_SIZE = 64 * 1024,
    MF_REST_NS = 100 * 1000 * 1000, /* how long a listener rests when descriptors or memory ran out */
    MF_LINGER_NS = 1000 * 1000 * 1000,
    MF_STALLS = 10, /* how many of them a peer that was told of the end may take nothing of what is left */
    MF_READS = 4,    /* of one socket before the others */
    MF_IOV_MAX = 64, /* runs of output in one send */
    /* Once a turn has read so much, those that bring much at a time wait for the next one: whoever has a small request
     * waits for several turns, and must not wait long. */
    MF_TURN_BYTES = 512 * 1024,
};

/* mf_sock._state */
enum {
    MF_S_CONNECTING = 1 << 0,
    MF_S_PAUSED = 1 << 1,
    MF_S_EOF = 1 << 2,      /* the peer's end was read */
    MF_S_EOF_TOLD = 1 << 3, /* and said */
    MF_S_SHUT = 1 << 4,     /* FIN wanted once the output is gone */
    MF_S_SHUT_DONE = 1 << 5,
    MF_S_FLUSHING = 1 << 6, /* closed by the owner; output left, or it lingers */
    MF_S_CLOSING = 1 << 7,  /* nothing more goes in or out */
    MF_S_DEAD = 1 << 8,     /* on the dead list */
    MF_S_HIGH = 1 << 9,     /* the output has been above high */
    MF_S_RETELL = 1 << 10,  /* resumed: show the left-over without new bytes */
    MF_S_STREAM_TCP = 1 << 11,
    MF_S_READABLE = 1 << 12, /* epoll: the kernel has more for us. io_uring: no use */
    MF_S_BLOCKED = 1 << 13,  /* epoll: the kernel takes no more output */
    MF_S_DRAIN = 1 << 14,    /* epoll: read until the end or EAGAIN, a short read proves nothing */
    MF_S_BROKEN = 1 << 15,   /* writing failed; what the peer had sent is still read */
    MF_S_SILENT = MF_S_FLUSHING | MF_S_CLOSING, /* no callback but on_close */
};

/* mf_sock._heavy */
enum {
    MF_H_PEEK = 1 << 0, /* its last frame was long: of what follows only the beginning is read at first */
    MF_H_MORE = 1 << 1, /* its last go ended with more to read */
};

/* mf_sock._ops; the others are the backend's. */
enum { MF_OP_DIRECT = 1 << 15 }; /* the receive under way is into the socket's own block; no operation of its own */

/* mf_listener._state */
enum { MF_L_CLOSING = 1 << 0, MF_L_RESTING = 1 << 1, MF_L_SHUT = 1 << 2, MF_L_LEFT = 1 << 3, MF_L_STAY = 1 << 4 };

struct mf_loop_ops {
    const char *name;
    int (*init)(struct mf_loop *loop, const struct mf_loop_options *options, const char **why);
    /* Ends all that the kernel has under way; after it no memory of ours is touched. */
    void (*dispose)(struct mf_loop *loop);
    int (*wait)(struct mf_loop *loop, int64_t ns); /* 0 or a negated errno */
    int (*deliver)(struct mf_loop *loop);          /* what the wait brought; how many things */
    int (*fd)(const struct mf_loop *loop);

    int (*sock_add)(struct mf_sock *sock);    /* connected, or MF_S_CONNECTING */
    void (*sock_read)(struct mf_sock *sock);  /* reads what there is, or asks for it, unless paused or at the end */
    void (*sock_flush)(struct mf_sock *sock); /* sends what is queued */
    /* CLOSING was set: lets the descriptor go and calls mf_sock_gone, now or when the kernel has let go of it. May be
     * called again. */
    void (*sock_drop)(struct mf_sock *sock);

    /* Paused, without output: the kernel lets go of the descriptor, which stays open. 0; -EAGAIN: not yet, it was told to. */
    int (*sock_detach)(struct mf_sock *sock);

    int (*listener_add)(struct mf_listener *listener); /* also after a rest */
    void (*listener_rest)(struct mf_listener *listener);
    void (*listener_drop)(struct mf_listener *listener); /* mf_listener_sweep, then mf_listener_gone */

    int (*watch_add)(struct mf_watch *watch);
    int (*watch_modify)(struct mf_watch *watch, uint32_t events);
    void (*watch_remove)(struct mf_watch *watch);
};

extern const struct mf_loop_ops mf_loop_epoll, mf_loop_uring;

struct mf_loop {
    uint64_t now; /* first: mf_loop_front */
    const struct mf_loop_ops *ops;
    void *backend;
    struct mf_list guests;
    struct mf_list *next_guest; /* to be called */
    struct mf_loop_guest owner; /* mf_loop_set_hooks */
    struct mf_timers timers;
    struct mf_list socks, listeners, watches;
    struct mf_list again;          /* socks to look at without the kernel's asking */
    struct mf_list later;          /* those of them that were to be read in this turn, and go first in the next */
    struct mf_list dirty;          /* socks with output */
    struct mf_list lingering;      /* closed socks that wait for their peer's end, oldest first */
    struct mf_timer linger_timer;
    struct mf_list dead;           /* socks to be told on_close */
    struct mf_list dead_listeners; /* the same */
    struct mf_block_spares blocks; /* long blocks of input that nobody holds */
    struct mf_sock_segment *spare; /* empty output runs of the common size */
    uint32_t spares;
    size_t out_memory; /* of the runs that are queued */
    uint32_t heavies; /* socks that bring much at a time */
    uint32_t read_size;
    uint64_t turn_from; /* counts.bytes_in when the turn began */
    bool in_turn;
    struct mf_watch wake; /* an eventfd */
    struct {              /* one writer, the turn's thread; read from anywhere */
        mf_atom64 turns, waits, syscalls, reads, writes, accepts, accept_failures, bytes_in, bytes_out;
    } counts;
};

/* sock.c: life */
void mf_sock_connected(struct mf_sock *sock, int rc);
void mf_sock_fail(struct mf_sock *sock, int rc);       /* ends in on_close(rc) */
void mf_sock_gone(struct mf_sock *sock); /* the kernel has let go; the descriptor is closed */
void mf_sock_again(struct mf_sock *sock);
void mf_sock_later(struct mf_sock *sock); /* the same, before those that had their go in this turn */
void mf_sock_flushed(struct mf_sock *sock); /* FLUSHING, and the output is gone */

/* sock_in.c: input */
/* New bytes at `data`; `front` bytes before them are free to be written. */
void mf_sock_feed(struct mf_sock *sock, uint8_t *data, size_t len, size_t front);
/* How much of a long frame may be read straight behind the left-over, and where; 0: read elsewhere and feed. */
size_t mf_sock_space(struct mf_sock *sock, uint8_t **at);
/* How much to read elsewhere: where a long frame is likely, no more than shows its length. */
size_t mf_sock_shared(const struct mf_sock *sock);
/* How often a socket that brings much is read before the others: long frames more often, as each read may be a whole one;
 * but where only few sockets have such, what was read goes on the sooner. 0: this turn has read enough. */
int mf_sock_reads(const struct mf_sock *sock);
void mf_sock_set_heavy(struct mf_sock *sock, uint8_t flag, bool on);
void mf_sock_filled(struct mf_sock *sock, size_t len);
void mf_sock_drop_input(struct mf_sock *sock);
size_t mf_sock_missing(const struct mf_sock *sock); /* of a frame that was announced */
void mf_sock_retell(struct mf_sock *sock);

/* sock_out.c: output */
struct iovec;
int mf_sock_iov(const struct mf_sock *sock, struct iovec *iov, int max, size_t *len);
void mf_sock_sent(struct mf_sock *sock, size_t len);
void mf_sock_drop_output(struct mf_sock *sock);
void mf_sock_trim(struct mf_loop *loop); /* frees the spare runs */

/* sock_step.c: both */
void mf_sock_write_fail(struct mf_sock *sock, int rc); /* mf_sock_fail, after what the peer had sent is read */
void mf_sock_at_eof(struct mf_sock *sock);
void mf_sock_look(struct mf_sock *sock); /* from the again list */
void mf_sock_bury(struct mf_sock *sock); /* frees what it holds */

/* listener.c */
void mf_listener_accepted(struct mf_listener *listener, int fd, const struct mf_addr *peer);
/* What a failed accept means: true: go on accepting; false: it rests now. */
bool mf_listener_failed(struct mf_listener *listener, int rc);
/* Hands out what waits to be accepted, before the descriptor is closed. */
void mf_listener_sweep(struct mf_listener *listener);
void mf_listener_gone(struct mf_listener *listener);

/* inline */

static inline bool mf_loop_sated(const struct mf_loop *loop)
{
    return mf_load_relaxed(&loop->counts.bytes_in) - loop->turn_from >= MF_TURN_BYTES;
}

static inline void mf_sock_dirty(struct mf_sock *sock)
{
    if (mf_list_empty(&sock->_dirty))
        mf_list_push(&sock->loop->dirty, &sock->_dirty);
}
