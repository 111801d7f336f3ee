#pragma once
/* net: what the benchmark's programs share to open sockets, read the clock and give up.
 *
 * Independent of csrc/ on purpose: what measures the proxy must not share its mistakes. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Exit codes of every program here. */
enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

__attribute__((noreturn, format(printf, 2, 3))) static inline void die(int code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(code);
}

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* splitmix64: the number behind `z`. */
static inline uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* An option's number; ends the program where it is none of these. */
static inline uint64_t number(const char *text, uint64_t least, uint64_t most)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (end == text || *end || errno || v < least || v > most)
        die(EXIT_USAGE, "'%s' is not a number from %llu to %llu", text, (unsigned long long)least,
            (unsigned long long)most);
    return v;
}

static inline void *must_alloc(size_t size)
{
    void *p = calloc(1, size);
    if (!p)
        die(EXIT_FAILED, "out of memory (%zu bytes)", size);
    return p;
}

/* `text` is a numeric "host:port" or "[v6]:port". */
static inline struct addrinfo *net_resolve(const char *text)
{
    char host[128];
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;
    if (!colon || len == 0 || len >= sizeof host)
        die(EXIT_USAGE, "'%s' is not host:port", text);
    memcpy(host, text, len);
    host[len] = 0;
    char *name = host;
    if (name[0] == '[' && name[len - 1] == ']') {
        name[len - 1] = 0;
        name++;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    int rc = getaddrinfo(name, colon + 1, &hints, &found);
    if (rc)
        die(EXIT_USAGE, "'%s': %s", text, gai_strerror(rc));
    return found;
}

static inline void net_nonblocking(int fd)
{
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK))
        die(EXIT_FAILED, "fcntl: %s", strerror(errno));
}

static inline void net_nodelay(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/* A listening socket that does not block; says "listening host:port" on stdout, so that port 0 is usable. */
static inline int net_listen(const char *text)
{
    struct addrinfo *at = net_resolve(text);
    int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) || bind(fd, at->ai_addr, at->ai_addrlen) ||
        listen(fd, 4096))
        die(EXIT_FAILED, "cannot listen on %s: %s", text, strerror(errno));
    freeaddrinfo(at);
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;
    char host[64], port[16];
    if (getsockname(fd, (struct sockaddr *)&bound, &len) ||
        getnameinfo((struct sockaddr *)&bound, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV))
        die(EXIT_FAILED, "cannot tell the port of %s", text);
    printf("listening %s:%s\n", host, port);
    fflush(stdout);
    return fd;
}

/* The next connection that waits there, not blocking; -1 when none does. */
static inline int net_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        net_nodelay(fd);
    return fd;
}

/* A connected socket that does not block from here on, or -errno. */
static inline int net_connect(const struct addrinfo *to)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, to->ai_addr, to->ai_addrlen)) {
        int error = errno;
        close(fd);
        return -error;
    }
    net_nodelay(fd);
    net_nonblocking(fd);
    return fd;
}

static inline void net_watch(int epoll, int op, int fd, uint32_t events, void *what)
{
    struct epoll_event event = {.events = events, .data.ptr = what};
    if (epoll_ctl(epoll, op, fd, &event))
        die(EXIT_FAILED, "epoll_ctl: %s", strerror(errno));
}
