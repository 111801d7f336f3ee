#pragma once
/* fake_state: what a loop without a kernel (fake.h) knows of its connections, and the bytes on their way. */
#include "base/mem.h"
#include "loop/backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#ifndef FAKE_CONNS
#define FAKE_CONNS 32 /* a test may want more */
#endif
enum { FAKE_ROOM = 1 << 20, FAKE_ANY = 1 << 30 };

struct fake_bytes {
    uint8_t *ptr;
    size_t len, cap;
};

/* One connection of the engine, and the peer at its other end. */
struct fake_conn {
    struct mf_sock *sock;   /* NULL once the engine has closed it */
    int fd;
    bool up;                /* the engine dialled it */
    bool connecting, answered; /* being made; the peer has let it in or refused it */
    int answer;
    bool fin;               /* the engine has ended its output */
    bool eof, reset;        /* the peer has ended its own, or all */
    size_t window;          /* bytes that the peer still takes */
    struct fake_bytes in;   /* from the peer, not yet read */
    struct fake_bytes out;  /* from the engine */
};

static struct {
    bool on;
    uint64_t now;
    int refuse;             /* errno of the next connects, 0: they go on */
    struct fake_conn conns[FAKE_CONNS];
    int n;
    struct mf_loop *loop;
    struct mf_listener *listener;
    bool knocking;          /* somebody connects in the next turn */
    struct mf_loop_ops ops;
    uint8_t *map, *end;     /* what is read lies before `end`, which must not be touched */
} fake;

#define BROKEN(...)                                                                                                    \
    do {                                                                                                               \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                                \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        fputc('\n', stderr);                                                                                           \
        abort();                                                                                                       \
    } while (0)

static void fake_add(struct fake_bytes *to, const void *bytes, size_t len)
{
    if (to->len + len > to->cap) {
        to->cap = 2 * (to->len + len);
        to->ptr = realloc(to->ptr, to->cap);
    }
    if (len)
        memcpy(to->ptr + to->len, bytes, len);
    to->len += len;
}

static void fake_take(struct fake_bytes *from, size_t len)
{
    from->len -= len;
    if (from->len)
        memmove(from->ptr, from->ptr + len, from->len);
}
