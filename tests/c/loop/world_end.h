#pragma once
/* world_end: one end of a connection: it records what happened to it, and does what it was told to do then (world.h). */
#include "loop/loop.h"
#include "loop/sock.h"
#include "test.h"

static struct mf_loop *loop;

/* A sock, what it heard, and what its callbacks do. */
struct end {
    struct mf_sock sock;
    uint8_t *got;
    size_t got_len, got_cap;
    int reads, eofs, connects, drains, closes;
    int connect_rc, close_rc;
    int late; /* callbacks after mf_sock_close */
    bool closed_by_us, echo, close_in_read, close_in_eof, close_in_connect, close_in_drain, pause_in_read;
    size_t take; /* at most this many bytes a time; 0: all */
    void (*also)(struct end *, struct mf_slice view);
};

#define END(s) MF_CONTAINER(s, struct end, sock)

static void close_end(struct end *end, enum mf_sock_how how)
{
    end->closed_by_us = true;
    mf_sock_close(&end->sock, how);
}

__attribute__((unused)) static void keep_bytes(struct end *end, struct mf_slice bytes)
{
    if (end->got_len + bytes.len > end->got_cap) {
        end->got_cap = 2 * (end->got_len + bytes.len);
        end->got = realloc(end->got, end->got_cap);
    }
    if (bytes.len)
        memcpy(end->got + end->got_len, bytes.ptr, bytes.len);
    end->got_len += bytes.len;
}

static size_t end_read(struct mf_sock *sock, struct mf_slice view)
{
    struct end *end = END(sock);
    end->reads++;
    end->late += end->closed_by_us;
    if (end->also) {
        end->also(end, view);
        return view.len;
    }
    if (end->take && view.len > end->take)
        view.len = end->take;
    keep_bytes(end, view);
    if (end->echo)
        CHECK_INT(mf_sock_write(sock, view), 0);
    if (end->pause_in_read)
        mf_sock_pause(sock);
    if (end->close_in_read)
        close_end(end, MF_CLOSE_NOW);
    return view.len;
}

static void end_eof(struct mf_sock *sock)
{
    struct end *end = END(sock);
    end->eofs++;
    end->late += end->closed_by_us;
    if (end->close_in_eof)
        close_end(end, MF_CLOSE_FLUSH);
}

static void end_connect(struct mf_sock *sock, int rc)
{
    struct end *end = END(sock);
    end->connects++;
    end->connect_rc = rc;
    end->late += end->closed_by_us;
    if (end->close_in_connect)
        close_end(end, MF_CLOSE_NOW);
}

static void end_drain(struct mf_sock *sock)
{
    struct end *end = END(sock);
    end->drains++;
    end->late += end->closed_by_us;
    if (end->close_in_drain)
        close_end(end, MF_CLOSE_NOW);
}

static void end_close(struct mf_sock *sock, int rc)
{
    END(sock)->closes++;
    END(sock)->close_rc = rc;
}

static const struct mf_sock_events end_events = {end_read, end_eof, end_connect, end_drain, end_close};

__attribute__((unused)) static void end_init(struct end *end)
{
    memset(end, 0, sizeof *end);
    end->sock.events = &end_events;
    end->sock.high = 1 << 20;
    end->sock.low = 1 << 18;
}

__attribute__((unused)) static void end_open(struct end *end, int fd)
{
    end_init(end);
    CHECK_INT(mf_sock_open(loop, &end->sock, fd), 0);
}
