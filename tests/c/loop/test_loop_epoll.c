/* loop_epoll: what a message costs in system calls, and that an edge is never lost. */
#include "world.h"

static uint64_t calls(void)
{
    struct mf_loop_counts counts;
    mf_loop_counts(loop, &counts);
    return counts.syscalls;
}

/* Wait, read, send: no registration changes, no read that finds nothing. */
static void test_cost(void)
{
    int fds[2];
    tcp_pair(fds);
    struct end a;
    end_open(&a, fds[0]);
    a.echo = true;
    settle();
    char text[8];
    for (int i = 0; i < 10; i++) {
        CHECK_INT(write(fds[1], "ping", 4), 4);
        uint64_t before = calls();
        UNTIL(a.got_len == (size_t)(i + 1) * 4);
        CHECK_INT(calls() - before, 3);
        CHECK_INT(read(fds[1], text, sizeof text), 4);
    }
    mf_sock_pause(&a.sock);
    for (int i = 0; i < 10; i++) {
        CHECK_INT(write(fds[1], "ping", 4), 4);
        uint64_t before = calls();
        turn(0);
        CHECK_INT(calls() - before, 1);
    }
    quit(&a);
    close(fds[1]);
}

/* More than one turn reads: the rest is read in the next ones without a new edge, and others have their turn. */
static void test_share(void)
{
    int fds[2], more[2];
    unix_pair(fds);
    unix_pair(more);
    struct end a, b;
    end_open(&a, fds[0]);
    end_open(&b, more[0]);
    settle();
    static uint8_t bytes[150000];
    int room = sizeof bytes;
    setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    ssize_t sent = write(fds[1], bytes, sizeof bytes);
    CHECK(sent > 65536);
    CHECK_INT(write(more[1], "x", 1), 1);
    turn(0); /* 4096 bytes a read, 4 reads a turn */
    CHECK(a.got_len < (size_t)sent);
    CHECK_INT(b.got_len, 1);
    UNTIL(a.got_len == (size_t)sent);
    quit(&a);
    quit(&b);
    close(fds[1]);
    close(more[1]);
}

int main(void)
{
    fail_at(0);
    struct mf_loop_options options = {.backend = MF_LOOP_EPOLL};
    CHECK_INT(mf_loop_new(&options, &loop, NULL), 0);
    test_cost();
    mf_loop_free(loop);
    options.read_size = 4096;
    CHECK_INT(mf_loop_new(&options, &loop, NULL), 0);
    test_share();
    mf_loop_free(loop);
    return test_end("loop/loop_epoll");
}
