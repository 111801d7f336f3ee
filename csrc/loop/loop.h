#pragma once
/* loop: waits for the kernel, one turn at a time. Knows sockets, descriptors and timers; no protocol, no route.
 *
 * A turn: wait; deliver what came (sock.h, watch below); run due timers; the turn-end hook; flush every socket that
 * has output, once; let go of what was closed. Everything happens on the thread that calls mf_loop_turn, except
 * mf_loop_wake. */
#include "base/err.h"
#include "base/list.h"
#include "loop/timer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_loop;
struct mf_sock;

enum mf_loop_backend { MF_LOOP_AUTO, MF_LOOP_EPOLL, MF_LOOP_URING };

struct mf_loop_options {
    enum mf_loop_backend backend; /* AUTO: io_uring where the kernel offers all that we use, else epoll */
    uint32_t read_size;           /* bytes of the shared read buffer, 0: 64 KiB */
    uint32_t ring_entries;        /* io_uring submission entries, 0: 1024 */
};

/* Around the wait and at the end of a turn: the proxy's epoch lives here. Any may be NULL. */
struct mf_loop_hooks {
    void (*before_wait)(void *arg);
    void (*after_wait)(void *arg);
    void (*turn_end)(void *arg); /* before the flush */
    void *arg;
};

/* Somebody who has hooks in a loop, among others. */
struct mf_loop_guest {
    struct mf_loop_hooks hooks;
    struct mf_list _node; /* zeroed, or left, before it joins */
};

/* 0, or a negated errno: with MF_LOOP_URING -ENOSYS, -EPERM or whatever the kernel said. AUTO falls back to epoll
 * without error. `*why` (may be NULL): static text that says why AUTO did not choose io_uring, else NULL. */
int mf_loop_new(const struct mf_loop_options *options, struct mf_loop **out, const char **why);
/* Closes every socket, listener and watch that is left, without calling them back; their memory must still be there.
 * On the thread of the turns and outside a turn, or after that thread has ended. */
void mf_loop_free(struct mf_loop *loop);
const char *mf_loop_name(const struct mf_loop *loop); /* "epoll", "io_uring" */
/* The guest lives in its owner's memory until it leaves; guests are called in the order in which they joined. Leaving may
 * come from a hook, and is harmless for who never joined. */
void mf_loop_join(struct mf_loop *loop, struct mf_loop_guest *guest);
void mf_loop_leave(struct mf_loop *loop, struct mf_loop_guest *guest);
/* For a loop with one owner: a copy of `hooks` in the loop, in place of the one before. */
void mf_loop_set_hooks(struct mf_loop *loop, const struct mf_loop_hooks *hooks);

/* One turn; waits at most `max_wait_ns` (negative: until something happens; 0: does not wait). Returns how many
 * things were delivered, or a negated errno (-EBUSY from inside a turn). A signal ends the wait as if the time had run out:
 * that is no error.
 * mf_loop_new and the first sockets may come from another thread, but the thread of the first turn is the only one
 * that may turn (-EEXIST with io_uring). */
int mf_loop_turn(struct mf_loop *loop, int64_t max_wait_ns);
/* Ends another thread's wait. Thread-safe and signal-safe. */
void mf_loop_wake(struct mf_loop *loop);
/* Monotonic ns, read once per turn. */
static inline uint64_t mf_loop_now(const struct mf_loop *loop);
uint64_t mf_clock_ns(void); /* the clock itself */
struct mf_timers *mf_loop_timers(struct mf_loop *loop);
/* How much memory is kept for long frames to come, or lent to those that have announced their length; 32 MiB unless
 * set. It was all used by long frames at one time: the loop takes none in advance. */
void mf_loop_set_spares(struct mf_loop *loop, size_t max);
/* Frees what of it was not needed since the last call; how many blocks were freed meanwhile because of the limit. */
uint64_t mf_loop_trim(struct mf_loop *loop);
/* Memory that all sockets' input and output take, each block once, and blocks that were held or made by mf_loop_block and
 * not yet given up. What is kept for long frames to come is not in it. On the thread of the turns. */
size_t mf_loop_memory(const struct mf_loop *loop);
size_t mf_loop_kept(const struct mf_loop *loop); /* kept for long frames to come */
struct mf_block;
/* A block whose memory counts as the loop's, the caller's; NULL: no memory. */
struct mf_block *mf_loop_block(struct mf_loop *loop, size_t cap);
/* For embedding in another loop: readable when the kernel has something for a turn. What was asked for between turns
 * (writes, closes, timers) needs a turn of its own. */
int mf_loop_fd(const struct mf_loop *loop);

/* watch: readiness of any descriptor, level-triggered, for eventfds and for the Python selectors. */
enum { MF_WATCH_READ = 1, MF_WATCH_WRITE = 2, MF_WATCH_ERROR = 4 }; /* ERROR is only ever reported */

struct mf_watch {
    struct mf_loop *_loop;
    struct mf_list _node;
    int fd;
    uint32_t events;
    uint32_t _armed, _slot;
    void *_op; /* what a completion-based backend has under way */
    void (*on_ready)(struct mf_watch *, uint32_t events);
};

/* Watches `watch->fd` for `watch->events`. 0, or a negated errno (-EPERM: a regular file; -EBADF). The watch lives in
 * the caller's memory until mf_watch_remove returns. The caller keeps the descriptor. */
int mf_watch_add(struct mf_loop *loop, struct mf_watch *watch);
int mf_watch_modify(struct mf_watch *watch, uint32_t events);
void mf_watch_remove(struct mf_watch *watch); /* no on_ready after this */

/* What a loop has done, for the metrics. */
struct mf_loop_counts {
    uint64_t turns, waits, syscalls, reads, writes, accepts, accept_failures, bytes_in, bytes_out;
};
void mf_loop_counts(const struct mf_loop *loop, struct mf_loop_counts *out);

/* inline */

/* What every loop begins with: the clock is looked at several times a call. */
struct mf_loop_front {
    uint64_t now;
};

static inline uint64_t mf_loop_now(const struct mf_loop *loop)
{
    return ((const struct mf_loop_front *)(const void *)loop)->now;
}
