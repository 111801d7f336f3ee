#pragma once
/* world: a loop of either backend, ends that record what happened to them, and a limit on turns instead of sleeps. */
#include "base/addr.h"
#include "loop/loop.h"
#include "loop/sock.h"
#include "test.h"
#include "world_end.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

static enum mf_loop_backend backend;

/* Runs turns until `cond`; a world where it never comes fails here rather than hangs. */
#define UNTIL(cond)                                                                                                    \
    do {                                                                                                               \
        uint64_t end_ = mf_clock_ns() + 5000000000;                                                                    \
        while (!(cond) && mf_clock_ns() < end_)                                                                        \
            turn(20000000);                                                                                            \
        CHECK(cond);                                                                                                   \
    } while (0)

static int turn(int64_t ns)
{
    int rc = mf_loop_turn(loop, ns);
    CHECK(rc >= 0);
    return rc;
}

/* Turns until nothing is left to do. */
__attribute__((unused)) static void settle(void)
{
    for (int quiet = 0, n = 0; quiet < 3 && n < 10000; n++)
        quiet = turn(0) > 0 ? 0 : quiet + 1;
}

__attribute__((unused)) static int listen_tcp(struct mf_addr *at, int backlog)
{
    CHECK_INT(mf_addr_parse(mf_slice_str("tcp://127.0.0.1:0"), at), 0);
    int fd = mf_sock_listen(at, backlog, false);
    CHECK(fd >= 0);
    CHECK_INT(mf_sock_local(fd, at), 0);
    return fd;
}

/* A connected TCP pair, blocking. */
__attribute__((unused)) static void tcp_pair(int fds[2])
{
    struct mf_addr at;
    int fd = listen_tcp(&at, 1);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(fds[0], &at.sa, at.len), 0);
    fcntl(fd, F_SETFL, 0);
    fds[1] = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fds[1] >= 0);
    close(fd);
}

__attribute__((unused)) static void unix_pair(int fds[2])
{
    CHECK_INT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

__attribute__((unused)) static void fill(uint8_t *bytes, size_t len, uint32_t seed)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
}

__attribute__((unused)) static bool quit(struct end *end)
{
    if (!end->closes)
        close_end(end, MF_CLOSE_NOW);
    UNTIL(end->closes);
    CHECK_INT(end->closes, 1);
    CHECK_INT(end->late, 0);
    free(end->got);
    end->got = NULL;
    return true;
}

/* Runs `test` on each backend the machine offers, with the options given. */
__attribute__((unused)) static void on_each(const char *name, void (*test)(void), const struct mf_loop_options *more)
{
    static bool said;
    static const enum mf_loop_backend all[] = {MF_LOOP_EPOLL, MF_LOOP_URING};
    for (int i = 0; i < 2; i++) {
        struct mf_loop_options options = more ? *more : (struct mf_loop_options){0};
        const char *why = NULL;
        options.backend = backend = all[i];
        int rc = mf_loop_new(&options, &loop, &why);
        if (rc < 0 && backend == MF_LOOP_URING && why) {
            if (!said)
                printf("%s: io_uring skipped: %s (%s)\n", name, why, mf_err_text(rc));
            said = true;
            continue;
        }
        CHECK_INT(rc, 0);
        int before = test_failures;
        test();
        if (test_failures > before)
            fprintf(stderr, "  ... in %s on %s\n", name, mf_loop_name(loop));
        CHECK_INT(mf_loop_memory(loop), 0);
        mf_loop_free(loop);
    }
}

#define ON_EACH(test) on_each(#test, test, NULL)
