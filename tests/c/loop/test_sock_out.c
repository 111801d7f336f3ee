/* sock_out: order, copies and blocks, reserve and commit, watermarks, a slow reader, a broken allocator. */
#include "world.h"

static void test_order(void)
{
    int fds[2];
    tcp_pair(fds);
    struct end a, b;
    end_open(&a, fds[0]);
    end_open(&b, fds[1]);
    a.sock.high = 1000;
    a.sock.low = 0;
    static uint8_t want[3 << 20];
    fill(want, sizeof want, 5);
    struct mf_block *block = mf_block_new(100000, NULL);
    size_t at = 0;
    uint32_t seed = 1;
    while (at < sizeof want) {
        size_t n = (seed = seed * 1664525 + 1013904223) >> 15;
        n = n > sizeof want - at ? sizeof want - at : n;
        switch (seed >> 9 & 3) {
        case 0:
            CHECK_INT(mf_sock_write(&a.sock, mf_slice_of(want + at, n)), 0);
            break;
        case 1: {
            n = n > 100000 ? 100000 : n;
            block = block->_refs > 1 ? (mf_block_give(block), mf_block_new(100000, NULL)) : block;
            memcpy(block->data, want + at, n);
            CHECK_INT(mf_sock_write_block(&a.sock, block, mf_slice_of(block->data, n)), 0);
            break;
        }
        case 2: {
            uint8_t *room = mf_sock_reserve(&a.sock, n + 10);
            CHECK(room != NULL);
            memcpy(room, want + at, n);
            mf_sock_commit(&a.sock, n);
            break;
        }
        default:
            n = n > 50 ? 50 : n;
            CHECK_INT(mf_sock_write(&a.sock, mf_slice_of(want + at, n)), 0);
            if (seed >> 11 & 1)
                turn(0);
        }
        at += n;
    }
    mf_block_give(block);
    CHECK(mf_sock_reserve(&a.sock, 20) != NULL); /* reserved, not used */
    mf_sock_commit(&a.sock, 0);
    UNTIL(b.got_len == sizeof want);
    CHECK(memcmp(b.got, want, sizeof want) == 0);
    CHECK_INT(mf_sock_pending(&a.sock), 0);
    CHECK(a.drains >= 1);
    quit(&a);
    CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("x")), MF_ECLOSED);
    CHECK(mf_sock_reserve(&a.sock, 1) == NULL);
    quit(&b);
}

/* Who asks is told when all has gone, however little it was. */
static void test_tell_drained(void)
{
    int fds[2];
    tcp_pair(fds);
    struct end a, b;
    end_open(&a, fds[0]);
    end_open(&b, fds[1]);
    a.sock.low = 0;
    mf_sock_tell_drained(&a.sock); /* nothing is there to go */
    CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("once")), 0);
    settle();
    CHECK_INT(a.drains, 0);
    CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("again")), 0);
    mf_sock_tell_drained(&a.sock);
    UNTIL(a.drains == 1);
    CHECK_INT(mf_sock_pending(&a.sock), 0);
    CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("more")), 0);
    settle();
    CHECK_INT(a.drains, 1);
    quit(&a);
    quit(&b);
}

static void test_slow_reader(void)
{
    int fds[2];
    tcp_pair(fds);
    struct end a, b;
    end_open(&a, fds[0]);
    a.sock.high = 100000;
    a.sock.low = 1000;
    static uint8_t bytes[1 << 16];
    fill(bytes, sizeof bytes, 2);
    size_t sent = 0;
    while (!mf_sock_full(&a.sock)) { /* until the kernel takes no more */
        CHECK_INT(mf_sock_write(&a.sock, mf_slice_of(bytes, sizeof bytes)), 0);
        sent += sizeof bytes;
        settle();
    }
    CHECK_INT(a.drains, 0);
    uint64_t before, turns = 0;
    struct mf_loop_counts counts;
    mf_loop_counts(loop, &counts);
    before = counts.syscalls;
    while (turns++ < 100)
        turn(0);
    mf_loop_counts(loop, &counts);
    CHECK(counts.syscalls - before <= 100); /* waiting for room costs the wait and nothing else */
    end_open(&b, fds[1]);
    UNTIL(a.drains == 1);
    CHECK(a.sock._out_len <= 1000);
    close_end(&a, MF_CLOSE_FLUSH);
    UNTIL(b.eofs);
    CHECK_INT(b.got_len, sent);
    CHECK(memcmp(b.got + sent - sizeof bytes, bytes, sizeof bytes) == 0);
    UNTIL(a.closes);
    CHECK_INT(a.close_rc, 0);
    quit(&a);
    quit(&b);
}

static void test_out_of_memory(void)
{
    int fds[2];
    tcp_pair(fds);
    struct end a, b;
    end_open(&a, fds[0]);
    end_open(&b, fds[1]);
    static uint8_t bytes[40000];
    fill(bytes, sizeof bytes, 4);
    struct mf_block *block = mf_block_new(8000, NULL);
    memcpy(block->data, bytes, 8000);
    size_t sent = 0;
    for (long n = 1; n < 4; n++) {
        fail_at(n);
        int rc = mf_sock_write(&a.sock, mf_slice_of(bytes, 10));
        CHECK(rc == 0 || rc == -ENOMEM);
        sent += rc == 0 ? 10 : 0;
        rc = mf_sock_write(&a.sock, mf_slice_of(bytes, sizeof bytes));
        CHECK(rc == 0 || rc == -ENOMEM);
        sent += rc == 0 ? sizeof bytes : 0;
        rc = mf_sock_write_block(&a.sock, block, mf_slice_of(block->data, 8000));
        CHECK(rc == 0 || rc == -ENOMEM);
        sent += rc == 0 ? 8000 : 0;
        CHECK_INT(mf_sock_pending(&a.sock), sent); /* all of it or nothing */
        fail_at(1);
        CHECK(mf_sock_reserve(&a.sock, 1 << 20) == NULL);
        fail_at(0);
    }
    mf_block_give(block);
    CHECK(sent > 0);
    UNTIL(b.got_len == sent);
    quit(&a);
    quit(&b);
}

int main(void)
{
    fail_at(0);
    ON_EACH(test_order);
    ON_EACH(test_tell_drained);
    ON_EACH(test_slow_reader);
    ON_EACH(test_out_of_memory);
    return test_end("loop/sock_out");
}
