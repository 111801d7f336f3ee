/* sock, sock_step: the life of a socket: connect, end of either side, reset, close inside every callback. */
#include "world.h"

#include <sys/un.h>

static void test_echo(void)
{
    for (int kind = 0; kind < 2; kind++) {
        int fds[2];
        kind ? tcp_pair(fds) : unix_pair(fds);
        struct end a, b;
        end_open(&a, fds[0]);
        end_open(&b, fds[1]);
        b.echo = true;
        CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("hello, ")), 0);
        CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("world")), 0);
        CHECK_INT(mf_sock_pending(&a.sock), 12);
        UNTIL(a.got_len == 12);
        CHECK_STR(mf_slice_of(a.got, a.got_len), "hello, world");
        CHECK_INT(b.reads, 1); /* two writes of one turn are one send */
        CHECK(a.sock._in == NULL && b.sock._in == NULL);
        CHECK_INT(a.sock.bytes_out, 12);
        CHECK_INT(a.sock.bytes_in, 12);
        quit(&a);
        UNTIL(b.eofs || b.closes);
        quit(&b);
    }
}

static void test_half_close(void)
{
    int fds[2];
    tcp_pair(fds);
    struct end a, b;
    end_open(&a, fds[0]);
    end_open(&b, fds[1]);
    CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("last words")), 0);
    mf_sock_shutdown(&a.sock);
    CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("x")), MF_ECLOSED);
    UNTIL(b.eofs);
    CHECK_STR(mf_slice_of(b.got, b.got_len), "last words");
    CHECK_INT(b.eofs, 1);
    CHECK_INT(mf_sock_write(&b.sock, MF_SLICE("answer")), 0); /* writing still works */
    UNTIL(a.got_len == 6);
    CHECK_INT(a.eofs, 0);
    close_end(&b, MF_CLOSE_FLUSH);
    UNTIL(a.eofs && b.closes);
    CHECK_INT(b.close_rc, 0);
    quit(&a);
    quit(&b);
}

/* Bytes, then the end, both there before the loop first looks. */
static void test_end_at_once(void)
{
    for (int kind = 0; kind < 2; kind++) {
        int fds[2];
        kind ? tcp_pair(fds) : unix_pair(fds);
        CHECK_INT(write(fds[1], "abc", 3), 3);
        close(fds[1]);
        struct end a;
        end_open(&a, fds[0]);
        UNTIL(a.eofs);
        CHECK_STR(mf_slice_of(a.got, a.got_len), "abc");
        CHECK_INT(a.closes, 0);
        quit(&a);
    }
}

static void reset(int fd)
{
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

static void test_reset(void)
{
    int fds[2];
    tcp_pair(fds);
    struct end a;
    end_open(&a, fds[0]);
    settle();
    reset(fds[1]);
    UNTIL(a.closes);
    CHECK_INT(a.close_rc, -ECONNRESET);
    CHECK_INT(a.eofs, 0);
    quit(&a);
}

/* The peer answers and is gone; our write fails; the answer must still be read. */
static void test_answer_before_broken_pipe(void)
{
    for (int kind = 0; kind < 2; kind++) {
        int fds[2];
        kind ? tcp_pair(fds) : unix_pair(fds);
        struct end a;
        end_open(&a, fds[0]);
        settle();
        CHECK_INT(write(fds[1], "answer", 6), 6);
        close(fds[1]);
        CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("too late")), 0);
        mf_sock_pause(&a.sock); /* the write goes first */
        if (kind)
            settle();
        mf_sock_resume(&a.sock);
        UNTIL(a.got_len == 6);
        for (int i = 0; i < 50 && !a.closes; i++) {
            mf_sock_write(&a.sock, MF_SLICE("more"));
            turn(1000000);
        }
        UNTIL(a.closes || a.eofs);
        CHECK_STR(mf_slice_of(a.got, a.got_len), "answer");
        quit(&a);
    }
}

static void test_connect(void)
{
    struct mf_addr at;
    int fd = listen_tcp(&at, 8);
    struct end a;
    end_init(&a);
    CHECK_INT(mf_sock_connect(loop, &a.sock, &at), 0);
    CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("early")), 0);
    CHECK_INT(a.connects, 0);
    UNTIL(a.connects);
    CHECK_INT(a.connect_rc, 0);
    fcntl(fd, F_SETFL, 0);
    int got = accept(fd, NULL, NULL);
    struct end b;
    end_open(&b, got);
    UNTIL(b.got_len == 5);
    CHECK_STR(mf_slice_of(b.got, b.got_len), "early");
    quit(&a);
    quit(&b);

    /* closed before it could connect */
    end_init(&a);
    CHECK_INT(mf_sock_connect(loop, &a.sock, &at), 0);
    quit(&a);
    CHECK_INT(a.connects, 0);
    CHECK_INT(a.close_rc, 0);

    /* output of a socket that is closed while it connects still arrives */
    end_init(&a);
    CHECK_INT(mf_sock_connect(loop, &a.sock, &at), 0);
    CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("farewell")), 0);
    close_end(&a, MF_CLOSE_FLUSH);
    UNTIL(a.closes);
    CHECK_INT(a.connects, 0);
    char text[16];
    close(accept(fd, NULL, NULL)); /* the one before */
    got = accept(fd, NULL, NULL);
    CHECK_INT(read(got, text, sizeof text), 8);
    close(got);
    quit(&a);
    close(fd);
}

static void test_refused(void)
{
    struct mf_addr at;
    close(listen_tcp(&at, 1));
    struct end a;
    end_init(&a);
    int rc = mf_sock_connect(loop, &a.sock, &at);
    if (rc == 0) {
        CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("never")), 0);
        UNTIL(a.closes);
        CHECK_INT(a.connects, 1);
        CHECK_INT(a.connect_rc, -ECONNREFUSED);
        CHECK_INT(a.close_rc, -ECONNREFUSED);
        quit(&a);
    } else {
        CHECK_INT(rc, -ECONNREFUSED);
    }
    struct mf_addr nowhere;
    CHECK_INT(mf_addr_parse(mf_slice_str("unix://@meshfast-test-nobody"), &nowhere), 0);
    end_init(&a);
    CHECK_INT(mf_sock_connect(loop, &a.sock, &nowhere), -ECONNREFUSED);
}

static void test_close_in_callbacks(void)
{
    int fds[2];
    struct end a, b;
    for (int where = 0; where < 4; where++) {
        tcp_pair(fds);
        end_open(&a, fds[0]);
        end_open(&b, fds[1]);
        a.close_in_read = where == 0;
        a.close_in_eof = where == 1;
        a.close_in_drain = where == 2;
        b.take = 1;
        if (where == 2) {
            a.sock.high = 10;
            a.sock.low = 0;
            CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("more than ten")), 0);
            CHECK(mf_sock_full(&a.sock));
        } else if (where == 3) {
            CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("dropped")), 0);
            close_end(&a, MF_CLOSE_NOW); /* outside any callback, twice */
            mf_sock_close(&a.sock, MF_CLOSE_NOW);
            CHECK_INT(a.closes, 0);
        } else {
            CHECK_INT(mf_sock_write(&b.sock, MF_SLICE("some bytes")), 0);
            mf_sock_shutdown(&b.sock);
        }
        UNTIL(a.closes);
        CHECK_INT(a.close_rc, 0);
        CHECK_INT(a.eofs, where == 1);
        CHECK_INT(a.drains, where == 2);
        quit(&a);
        quit(&b);
    }
    struct mf_addr at;
    int fd = listen_tcp(&at, 8);
    end_init(&a);
    a.close_in_connect = true;
    CHECK_INT(mf_sock_connect(loop, &a.sock, &at), 0);
    UNTIL(a.closes);
    CHECK_INT(a.connects, 1);
    quit(&a);
    close(fd);
}

/* One callback closes the other's socket, for which events of the same batch are waiting. */
static struct end *victim;
static void kill_other(struct end *end, struct mf_slice view)
{
    (void)view;
    (void)end;
    if (!victim->closed_by_us)
        close_end(victim, MF_CLOSE_NOW);
}

static void test_close_of_others(void)
{
    int fds[2], more[2];
    tcp_pair(fds);
    tcp_pair(more);
    struct end a, b;
    end_open(&a, fds[0]);
    end_open(&b, more[0]);
    settle();
    CHECK_INT(write(fds[1], "1", 1), 1);
    CHECK_INT(write(more[1], "2", 1), 1);
    a.also = kill_other;
    b.also = kill_other;
    victim = &b;
    UNTIL(b.closes);
    quit(&b);
    quit(&a);
    close(fds[1]);
    close(more[1]);
}

static void test_flush_to_dead_peer(void)
{
    int fds[2];
    tcp_pair(fds);
    struct end a;
    end_open(&a, fds[0]);
    static uint8_t bytes[1 << 22];
    CHECK_INT(mf_sock_write(&a.sock, mf_slice_of(bytes, sizeof bytes)), 0);
    close_end(&a, MF_CLOSE_FLUSH);
    settle();
    CHECK_INT(a.closes, 0);
    reset(fds[1]);
    UNTIL(a.closes);
    CHECK(a.close_rc == -ECONNRESET || a.close_rc == -EPIPE);
    quit(&a);

    tcp_pair(fds); /* and an owner who loses patience */
    end_open(&a, fds[0]);
    CHECK_INT(mf_sock_write(&a.sock, mf_slice_of(bytes, sizeof bytes)), 0);
    close_end(&a, MF_CLOSE_FLUSH);
    settle();
    quit(&a);
    CHECK_INT(a.close_rc, 0);
    close(fds[1]);
}

/* The last answer arrives although the peer goes on sending: a close over unread bytes would have reset it away. */
static void answer_and_close(struct end *end, struct mf_slice view)
{
    (void)view;
    CHECK_INT(mf_sock_write(&end->sock, MF_SLICE("no")), 0);
    close_end(end, MF_CLOSE_FLUSH);
}

static void test_linger(void)
{
    for (int ends = 0; ends < 2; ends++) {
        int fds[2];
        tcp_pair(fds);
        struct end a;
        end_open(&a, fds[0]);
        a.also = answer_and_close;
        for (int i = 0; i < 20; i++) {
            CHECK_INT(send(fds[1], "request", 7, MSG_NOSIGNAL), 7);
            turn(1000000);
        }
        char text[8];
        CHECK_INT(recv(fds[1], text, sizeof text, 0), 2);
        CHECK_INT(recv(fds[1], text, sizeof text, 0), 0);
        CHECK_INT(a.reads, 1);
        CHECK_INT(a.closes, 0);
        uint64_t start = mf_loop_now(loop);
        if (ends)
            close(fds[1]);
        UNTIL(a.closes);
        CHECK_INT(a.close_rc, 0);
        CHECK_INT(mf_loop_now(loop) - start > 500000000, !ends); /* a peer that never ends is not waited for long */
        quit(&a);
        if (!ends)
            close(fds[1]);
    }
}

static void test_out_of_memory(void)
{
    for (long n = 1; n < 12; n++) {
        int fds[2];
        tcp_pair(fds);
        struct end a, b;
        end_init(&a);
        end_init(&b);
        fail_at(n);
        int ra = mf_sock_open(loop, &a.sock, fds[0]);
        int rb = mf_sock_open(loop, &b.sock, fds[1]);
        if (ra == 0 && rb == 0) {
            b.take = 100; /* so that input has to be kept */
            int rc = mf_sock_write(&a.sock, MF_SLICE("a hundred bytes or so: ......................................."
                                                     "........................................................."));
            CHECK(rc == 0 || rc == -ENOMEM);
            settle();
            CHECK(b.closes == 0 || b.close_rc == -ENOMEM);
        }
        fail_at(0);
        CHECK(ra == 0 || ra == -ENOMEM);
        CHECK(rb == 0 || rb == -ENOMEM);
        if (ra == 0)
            quit(&a);
        if (rb == 0)
            quit(&b);
    }
}

int main(void)
{
    fail_at(0);
    ON_EACH(test_echo);
    ON_EACH(test_half_close);
    ON_EACH(test_end_at_once);
    ON_EACH(test_reset);
    ON_EACH(test_answer_before_broken_pipe);
    ON_EACH(test_connect);
    ON_EACH(test_refused);
    ON_EACH(test_close_in_callbacks);
    ON_EACH(test_close_of_others);
    ON_EACH(test_flush_to_dead_peer);
    ON_EACH(test_linger);
    ON_EACH(test_out_of_memory);
    return test_end("loop/sock");
}
