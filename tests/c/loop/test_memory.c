/* sock, loop: how much memory is counted: what is there, once, and nothing in the end. */
#include "world.h"

enum { OVER = 256 }; /* what a run takes besides its bytes, and rounding */

static size_t want;

static size_t ask_more(struct mf_sock *sock, struct mf_slice view)
{
    if (view.len < want) {
        mf_sock_want(sock, want);
        return 0;
    }
    return view.len;
}

static struct mf_block *held;

static size_t hold_all(struct mf_sock *sock, struct mf_slice view)
{
    if (view.len < want)
        return ask_more(sock, view);
    const uint8_t *at;
    held = mf_sock_hold(sock, view, &at);
    return view.len;
}

static const struct mf_sock_events asking = {.on_read = ask_more, .on_close = end_close};
static const struct mf_sock_events holding = {.on_read = hold_all, .on_close = end_close};

static bool near(size_t got, size_t bytes)
{
    return got >= bytes && got <= bytes + bytes / 8 + OVER;
}

static void test_input(void)
{
    int fds[2];
    static uint8_t bytes[300000];
    tcp_pair(fds);
    struct end a, b;
    end_open(&a, fds[0]);
    end_open(&b, fds[1]);
    a.sock.events = &asking;
    CHECK_INT(mf_sock_memory(&a.sock), 0);
    CHECK_INT(mf_loop_memory(loop), 0);
    want = sizeof bytes + 1;
    CHECK_INT(mf_sock_write(&b.sock, mf_slice_of(bytes, sizeof bytes)), 0);
    CHECK(near(mf_sock_memory(&b.sock), sizeof bytes));
    CHECK_INT(mf_loop_memory(loop), mf_sock_memory(&b.sock));
    UNTIL(a.sock.bytes_in == sizeof bytes);
    CHECK_INT(mf_sock_memory(&b.sock), 0);
    CHECK(mf_sock_memory(&a.sock) > sizeof bytes);
    CHECK_INT(mf_loop_memory(loop), mf_sock_memory(&a.sock));
    CHECK_INT(mf_sock_write(&b.sock, MF_SLICE("x")), 0);
    UNTIL(a.sock._in == NULL);
    CHECK_INT(mf_sock_memory(&a.sock), 0);
    CHECK_INT(mf_loop_memory(loop), 0);
    CHECK(mf_loop_kept(loop) > sizeof bytes); /* for the next one */

    a.sock.events = &holding; /* it lies with whoever holds it, and then with whoever has to send it */
    want = sizeof bytes;
    CHECK_INT(mf_sock_write(&b.sock, mf_slice_of(bytes, sizeof bytes)), 0);
    UNTIL(held);
    CHECK_INT(mf_sock_memory(&a.sock), 0);
    CHECK_INT(mf_loop_memory(loop), held->cap);
    CHECK_INT(mf_sock_write_block(&b.sock, held, mf_slice_of(held->data, sizeof bytes)), 0);
    CHECK_INT(mf_sock_write_block(&a.sock, held, mf_slice_of(held->data, sizeof bytes)), 0);
    mf_block_give(held);
    held = NULL;
    CHECK(near(mf_sock_memory(&b.sock), sizeof bytes));
    CHECK(near(mf_sock_memory(&a.sock), sizeof bytes));
    CHECK(near(mf_loop_memory(loop), sizeof bytes)); /* once */
    quit(&a); /* dropped with its socket */
    CHECK_INT(mf_sock_memory(&a.sock), 0);
    quit(&b);
    CHECK_INT(mf_loop_memory(loop), 0);
    struct mf_block *block = mf_loop_block(loop, 1000);
    CHECK_INT(mf_loop_memory(loop), 1000);
    mf_block_give(block);
    CHECK_INT(mf_loop_memory(loop), 0);
}

/* However answers are written, a queue of them takes about as much as they are long. */
static void test_output_is_exact(void)
{
    static const size_t sizes[] = {100, 700, 5000, 8100, 8300, 9000, 12000, 16300, 16400, 40000};
    static uint8_t bytes[40000];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int reserve = 0; reserve < 2; reserve++) {
            int fds[2];
            unix_pair(fds);
            struct end a;
            end_open(&a, fds[0]);
            size_t len = 0, size = sizes[i];
            while (len < 2000000) {
                uint8_t *room = reserve ? mf_sock_reserve(&a.sock, size) : NULL;
                CHECK_INT(reserve ? room != NULL : mf_sock_write(&a.sock, mf_slice_of(bytes, size)) == 0, 1);
                if (room)
                    mf_sock_commit(&a.sock, size);
                len += size;
            }
            CHECK_INT(mf_loop_memory(loop), mf_sock_memory(&a.sock));
            CHECK(mf_sock_memory(&a.sock) >= len);
            CHECK(mf_sock_memory(&a.sock) <= len + (size > 4096 && size <= 8192 ? len : len / 8) + 20000);
            settle(); /* the kernel took some */
            CHECK_INT(mf_loop_memory(loop), mf_sock_memory(&a.sock));
            CHECK(mf_sock_memory(&a.sock) < len + len / 2);
            quit(&a);
            CHECK_INT(mf_loop_memory(loop), 0);
            close(fds[1]);
        }
}

static size_t swallow_some(struct mf_sock *sock, struct mf_slice view)
{
    static uint32_t seed;
    seed = seed * 1664525 + 1013904223;
    struct end *end = END(sock), *to = (struct end *)end->got;
    size_t n = (seed >> 8) % (view.len + 1);
    if (seed >> 28 == 0)
        mf_sock_want(sock, view.len - n + (seed >> 12 & 0x3ffff));
    if (seed >> 30 == 1) {
        const uint8_t *at;
        struct mf_block *block = mf_sock_hold(sock, mf_slice_of(view.ptr, n), &at);
        if (block) {
            mf_sock_write_block(&to->sock, block, mf_slice_of(at, n));
            mf_block_give(block);
        }
    } else if (seed >> 30 == 2) {
        mf_sock_write(&to->sock, mf_slice_of(view.ptr, n));
    }
    if (seed >> 27 == 7)
        mf_sock_pause(sock);
    return n;
}

static const struct mf_sock_events swallowing = {.on_read = swallow_some, .on_close = end_close};

/* Whatever happens in whatever order, with an allocator that fails now and then, nothing is counted in the end. */
static void test_no_drift(void)
{
    static uint8_t bytes[100000];
    for (int round = 0; round < 30; round++) {
        int in[2], out[2];
        tcp_pair(in);
        unix_pair(out);
        struct end a, b, c;
        end_open(&a, in[0]);
        end_open(&b, in[1]);
        end_open(&c, out[0]);
        b.sock.events = &swallowing;
        b.got = (uint8_t *)&c;
        for (int i = 0; i < 40; i++) {
            fail_at(i % 7 == 3 ? 1 + i % 3 : 0);
            mf_sock_write(&a.sock, mf_slice_of(bytes, (size_t)(i * 7919 + round * 104729) % sizeof bytes));
            turn(0);
            if (!b.closes)
                mf_sock_resume(&b.sock);
        }
        fail_at(0);
        CHECK(mf_loop_memory(loop) >= mf_sock_memory(&a.sock));
        b.got = NULL;
        if (!b.closes)
            close_end(&b, MF_CLOSE_NOW);
        quit(&b);
        quit(&a);
        quit(&c);
        CHECK_INT(mf_loop_memory(loop), 0);
        close(out[1]);
    }
}

int main(void)
{
    fail_at(0);
    ON_EACH(test_input);
    ON_EACH(test_output_is_exact);
    ON_EACH(test_no_drift);
    return test_end("loop/memory");
}
