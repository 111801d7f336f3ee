/* sock, sock_in: a descriptor that leaves the loop with all that came, and one that comes with bytes read before. */
#include "world.h"

/* What is left over of the socket, and what the kernel has yet: all that came, in order. */
static void take_all(struct end *end, int fd, uint8_t *to, size_t len)
{
    struct mf_slice rest = mf_sock_rest(&end->sock);
    CHECK(rest.len <= len);
    memcpy(to, rest.ptr ? rest.ptr : to, rest.len);
    for (size_t at = rest.len; at < len;) {
        ssize_t n = recv(fd, to + at, len - at, 0);
        CHECK(n > 0);
        if (n <= 0)
            return;
        at += (size_t)n;
    }
}

static int detached(struct end *end)
{
    int fd = -EAGAIN;
    for (int i = 0; i < 1000 && fd == -EAGAIN; i++) {
        fd = mf_sock_detach(&end->sock);
        if (fd == -EAGAIN)
            turn(1000000);
    }
    return fd;
}

/* At every length, so that it is cut wherever a read may end; `before`: bytes that come before it is paused. */
static void test_it_leaves_with_all_that_came(void)
{
    enum { MOST = 300000 };
    static uint8_t sent[MOST], got[MOST];
    fill(sent, MOST, 7);
    for (int kind = 0; kind < 2; kind++) {
        for (size_t len = 1; len < MOST; len = len * 7 + 3) {
            for (int before = 0; before < 2; before++) {
                int fds[2];
                struct end a;
                kind ? tcp_pair(fds) : unix_pair(fds);
                end_open(&a, fds[0]);
                turn(0);
                if (before) {
                    CHECK_INT(send(fds[1], "!", 1, 0), 1);
                    UNTIL(a.got_len == 1);
                }
                mf_sock_pause(&a.sock);
                ssize_t n = send(fds[1], sent, len, MSG_DONTWAIT);
                CHECK(n > 0);
                int fd = detached(&a);
                CHECK(fd >= 0 && fd == fds[0]);
                CHECK_INT(a.closes, 0);
                take_all(&a, fd, got, (size_t)n);
                CHECK(memcmp(got, sent, (size_t)n) == 0);
                CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("x")), MF_ECLOSED);
                UNTIL(a.closes);
                CHECK_INT(a.close_rc, 0);
                CHECK_INT(write(fd, "on", 2), 2); /* it is as open as it was */
                CHECK_INT(recv(fds[1], got, 2, MSG_WAITALL), 2);
                settle();
                quit(&a);
                close(fd);
                close(fds[1]);
            }
        }
    }
}

static void test_it_goes_on(void)
{
    int fds[2];
    struct end a, b;
    tcp_pair(fds);
    end_open(&a, fds[0]);
    a.take = 2; /* what is not taken stays in front */
    CHECK_INT(write(fds[1], "abc", 3), 3);
    UNTIL(a.got_len == 2);
    mf_sock_pause(&a.sock);
    CHECK_INT(write(fds[1], "def", 3), 3);
    int fd = detached(&a);
    uint8_t rest[8];
    struct mf_slice left = mf_sock_rest(&a.sock);
    memcpy(rest, left.ptr, left.len);
    left.ptr = rest;
    CHECK(left.len >= 1 && rest[0] == 'c');
    quit(&a);
    end_open(&b, fd);
    CHECK_INT(mf_sock_unread(&b.sock, left), 0);
    UNTIL(b.got_len == 4);
    CHECK_STR(mf_slice_of(b.got, b.got_len), "cdef");
    quit(&b);
    close(fds[1]);
}

/* Bytes that were read before are shown although nothing comes behind them. */
static void test_it_comes_with_bytes(void)
{
    int fds[2];
    struct end a;
    unix_pair(fds);
    end_open(&a, fds[0]);
    CHECK_INT(mf_sock_unread(&a.sock, (struct mf_slice){0}), 0);
    CHECK_INT(mf_sock_unread(&a.sock, MF_SLICE("read before")), 0);
    UNTIL(a.got_len == 11);
    CHECK_STR(mf_slice_of(a.got, a.got_len), "read before");
    fail_at(1);
    CHECK_INT(mf_sock_unread(&a.sock, mf_slice_of(a.got, a.got_len)), -ENOMEM);
    fail_at(0);
    quit(&a);
    close(fds[1]);
}

static void test_it_stays(void)
{
    int fds[2];
    struct end a;
    tcp_pair(fds);
    end_open(&a, fds[0]);
    CHECK_INT(mf_sock_detach(&a.sock), -EAGAIN); /* it is read */
    mf_sock_pause(&a.sock);
    CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("x")), 0);
    CHECK_INT(mf_sock_detach(&a.sock), -EAGAIN); /* it owes something */
    UNTIL(mf_sock_pending(&a.sock) == 0);
    mf_sock_resume(&a.sock); /* whatever was cancelled by now, it is read again */
    CHECK_INT(write(fds[1], "abc", 3), 3);
    UNTIL(a.got_len == 3);
    shutdown(fds[1], SHUT_WR);
    UNTIL(a.eofs);
    mf_sock_pause(&a.sock);
    CHECK_INT(mf_sock_detach(&a.sock), MF_ECLOSED);
    close_end(&a, MF_CLOSE_NOW);
    CHECK_INT(mf_sock_detach(&a.sock), MF_ECLOSED);
    quit(&a);
    close(fds[1]);
}

int main(void)
{
    fail_at(0);
    ON_EACH(test_it_leaves_with_all_that_came);
    ON_EACH(test_it_goes_on);
    ON_EACH(test_it_comes_with_bytes);
    ON_EACH(test_it_stays);
    return test_end("loop/sock_pass");
}
