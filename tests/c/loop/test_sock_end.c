/* sock: how it ends: in a reset, flushed to a slow reader however long that takes, cut with output left; keepalive and
 * whose fault an error is. The clock can be put ahead. */
#include "world.h"

#include <netinet/tcp.h>
#include <sys/syscall.h>
#include <time.h>

static uint64_t ahead;

int clock_gettime(clockid_t clock, struct timespec *out)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, out);
    if (clock == CLOCK_MONOTONIC) {
        uint64_t ns = (uint64_t)out->tv_sec * 1000000000u + (uint64_t)out->tv_nsec + ahead;
        *out = (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
    }
    return rc;
}

enum { LONG = 4 << 20 };
static uint8_t bytes[LONG], got[LONG];

/* What the peer reads in the end: 0 or -errno; how much before it in `*len`. */
static int last_read(int fd, size_t *len)
{
    ssize_t n;
    *len = 0;
    fcntl(fd, F_SETFL, 0);
    while ((n = recv(fd, got, sizeof got, 0)) > 0)
        *len += (size_t)n;
    return n < 0 ? -errno : 0;
}

static void test_reset(void)
{
    for (int left = 0; left < 2; left++) {
        int fds[2];
        size_t len;
        tcp_pair(fds);
        struct end a;
        end_open(&a, fds[0]);
        settle();
        if (left)
            CHECK_INT(mf_sock_write(&a.sock, mf_slice_of(bytes, sizeof bytes)), 0);
        settle();
        close_end(&a, MF_CLOSE_RESET);
        UNTIL(a.closes);
        CHECK_INT(a.close_rc, 0);
        CHECK_INT(last_read(fds[1], &len), -ECONNRESET);
        CHECK(len < sizeof bytes);
        quit(&a);
        close(fds[1]);

        tcp_pair(fds); /* a flush that is given up, with the end already told or not */
        end_open(&a, fds[0]);
        if (left)
            CHECK_INT(mf_sock_write(&a.sock, mf_slice_of(bytes, sizeof bytes)), 0);
        close_end(&a, MF_CLOSE_FLUSH);
        settle();
        CHECK_INT(a.closes, 0);
        mf_sock_close(&a.sock, MF_CLOSE_RESET);
        UNTIL(a.closes);
        CHECK_INT(last_read(fds[1], &len), left ? -ECONNRESET : 0);
        quit(&a);
        close(fds[1]);
    }
}

static void test_cut(void)
{
    for (int resets = 0; resets < 2; resets++)
        for (int left = 0; left < 2; left++) {
            int fds[2];
            size_t len, want = left ? sizeof bytes : 100;
            tcp_pair(fds);
            struct end a;
            end_open(&a, fds[0]);
            a.sock.cut_resets = resets;
            CHECK_INT(mf_sock_write(&a.sock, mf_slice_of(bytes, want)), 0);
            settle();
            CHECK_INT(mf_sock_pending(&a.sock) > 0, left);
            close_end(&a, MF_CLOSE_NOW);
            UNTIL(a.closes);
            CHECK_INT(last_read(fds[1], &len), left && resets ? -ECONNRESET : 0);
            CHECK_INT(len == want, !left);
            quit(&a);
            close(fds[1]);
        }
}

static void small_buffer(int fd)
{
    int size = 32 * 1024;
    CHECK_INT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
}

/* 100 KB a second: 32 KiB, a third of a second, and a byte back now and then, which a socket let go of too early would
 * answer with a reset. */
static void test_flush_to_slow_reader(void)
{
    int fds[2];
    fill(bytes, sizeof bytes, 7);
    tcp_pair(fds);
    small_buffer(fds[1]);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
    struct end a;
    end_open(&a, fds[0]);
    CHECK_INT(mf_sock_write(&a.sock, mf_slice_of(bytes, sizeof bytes)), 0);
    settle();
    close_end(&a, MF_CLOSE_FLUSH);
    size_t len = 0, left = mf_sock_left(&a.sock);
    uint64_t end = mf_clock_ns() - ahead + 20000000000;
    for (int i = 0; len < sizeof bytes && mf_clock_ns() - ahead < end; i++) {
        ssize_t n = recv(fds[1], got + len, sizeof got - len < 32768 ? sizeof got - len : 32768, 0);
        if (n > 0) {
            len += (size_t)n;
            ahead += 333000000;
        }
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        if (n > 0 && i % 4 == 0)
            CHECK_INT(send(fds[1], "x", 1, MSG_NOSIGNAL), 1);
        turn(n > 0 ? 0 : 5000000);
        if (a.closes)
            break;
        CHECK(mf_sock_left(&a.sock) <= left);
        left = mf_sock_left(&a.sock);
    }
    CHECK_INT(len, sizeof bytes);
    CHECK(memcmp(got, bytes, sizeof bytes) == 0);
    CHECK_INT(a.closes, 0);
    size_t more;
    CHECK_INT(last_read(fds[1], &more), 0);
    CHECK_INT(more, 0);
    close(fds[1]);
    UNTIL(a.closes);
    CHECK_INT(a.close_rc, 0);
    quit(&a);
}

/* Who takes nothing any more is not waited for without end. */
static void test_flush_to_nobody(void)
{
    int fds[2];
    tcp_pair(fds);
    small_buffer(fds[1]);
    struct end a;
    end_open(&a, fds[0]);
    size_t len = 0;
    while (mf_sock_pending(&a.sock) == 0 && len < sizeof bytes) {
        CHECK_INT(mf_sock_write(&a.sock, mf_slice_of(bytes, 20000)), 0);
        len += 20000;
        settle();
    }
    CHECK(mf_sock_left(&a.sock) > mf_sock_pending(&a.sock));
    ssize_t n = recv(fds[1], got, 100000, MSG_DONTWAIT);
    CHECK(n > 0);
    UNTIL(mf_sock_pending(&a.sock) == 0 || (n = recv(fds[1], got, 100000, MSG_DONTWAIT), false));
    close_end(&a, MF_CLOSE_FLUSH);
    int seconds = 0;
    for (; seconds < 40 && !a.closes; seconds++) {
        settle();
        ahead += 1100000000;
    }
    CHECK(seconds >= 10 && seconds < 30);
    CHECK_INT(a.close_rc, 0);
    quit(&a);
    close(fds[1]);
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    CHECK_INT(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static void test_keepalive(void)
{
    int fds[2];
    struct end a;
    tcp_pair(fds);
    end_open(&a, fds[0]);
    CHECK_INT(mf_sock_keepalive(&a.sock, 60, 10, 3), 0);
    CHECK_INT(option(fds[0], SOL_SOCKET, SO_KEEPALIVE), 1);
    CHECK_INT(option(fds[0], IPPROTO_TCP, TCP_KEEPIDLE), 60);
    CHECK_INT(option(fds[0], IPPROTO_TCP, TCP_KEEPINTVL), 10);
    CHECK_INT(option(fds[0], IPPROTO_TCP, TCP_KEEPCNT), 3);
    CHECK_INT(mf_sock_keepalive(&a.sock, -1, 10, 3), -EINVAL);
    CHECK_INT(mf_sock_arrive_within(&a.sock, 1500), 0);
    CHECK_INT(option(fds[0], IPPROTO_TCP, TCP_USER_TIMEOUT), 1500);
    quit(&a);
    close(fds[1]);
    unix_pair(fds);
    end_open(&a, fds[0]);
    CHECK_INT(mf_sock_keepalive(&a.sock, 60, 10, 3), 0);
    CHECK_INT(mf_sock_arrive_within(&a.sock, 1500), 0);
    CHECK_INT(mf_sock_left(&a.sock), 0);
    quit(&a);
    close(fds[1]);
}

static void test_whose_error(void)
{
    static const int ours[] = {EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL, EACCES, EPERM, ENETDOWN, EAGAIN};
    static const int theirs[] = {ECONNREFUSED, ECONNRESET, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, EPIPE, ENOENT};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        CHECK(mf_sock_local_error(-ours[i]));
    for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++)
        CHECK(!mf_sock_local_error(-theirs[i]));
    CHECK(!mf_sock_local_error(0) && !mf_sock_local_error(MF_ECLOSED));
}

int main(void)
{
    fail_at(0);
    ON_EACH(test_reset);
    ON_EACH(test_cut);
    ON_EACH(test_flush_to_slow_reader);
    ON_EACH(test_flush_to_nobody);
    ON_EACH(test_keepalive);
    ON_EACH(test_whose_error);
    return test_end("loop/sock_end");
}
