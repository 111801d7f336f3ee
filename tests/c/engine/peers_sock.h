#pragma once
/* peers_sock: blocking sockets with a time limit (peers.h). */
#include "loop/sock.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

__attribute__((unused)) static int limit_waits(int fd)
{
    struct timeval time = {.tv_sec = 5};
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

__attribute__((unused)) static int waits(struct pollfd *fds, nfds_t n, int ms)
{
    int rc;
    do
        rc = poll(fds, n, ms);
    while (rc < 0 && errno == EINTR);
    return rc;
}

__attribute__((unused)) static int dial(const struct mf_addr *addr)
{
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, &addr->sa, addr->len) < 0) {
        close(fd);
        return -errno;
    }
    return limit_waits(fd);
}

__attribute__((unused)) static int serve(struct mf_addr *bound)
{
    struct mf_addr any;
    mf_addr_parse(MF_SLICE("127.0.0.1:0"), &any);
    int fd = mf_sock_listen(&any, 64, false);
    mf_sock_local(fd, bound);
    return fd;
}

/* The next connection, within 5 s; negative when there is none. */
__attribute__((unused)) static int take(int listener)
{
    struct pollfd poll_fd = {.fd = listener, .events = POLLIN};
    if (waits(&poll_fd, 1, 5000) != 1)
        return -ETIMEDOUT;
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    return fd < 0 ? -errno : limit_waits(fd);
}

__attribute__((unused)) static bool read_all(int fd, uint8_t *to, size_t len)
{
    while (len) {
        ssize_t n = read(fd, to, len);
        if (n < 0 && errno == EINTR) /* io_uring's own work for this process ends a wait, without any signal */
            continue;
        if (n <= 0)
            return false;
        to += n;
        len -= (size_t)n;
    }
    return true;
}

/* Nothing comes within `ms`: no byte, and the peer did not close. */
__attribute__((unused)) static bool silent(int fd, int ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return waits(&poll_fd, 1, ms) == 0;
}

/* The peer closes within 5 s, and sends nothing before. */
__attribute__((unused)) static bool closes(int fd)
{
    uint8_t byte;
    ssize_t n;
    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

__attribute__((unused)) static bool put(int fd, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    while (len) {
        ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}
