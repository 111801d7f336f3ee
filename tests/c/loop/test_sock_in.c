/* sock_in: what on_read is shown: any cut, left-over, long frames in one block, pause. */
#include "loop/backend.h"
#include "world.h"

/* A frame: 4 bytes of length, then the body. */
enum { HEAD = 4, BIG = 8 * 1024 * 1024 };

static size_t frames, body_bytes;
static size_t most_moved; /* of a frame, before its length was known: that came elsewhere and was put into its block */
static uint64_t body_sum, held_sum;
static bool use_want, use_hold, all_in_block;
static struct mf_block *held;
static const uint8_t *held_at;
static size_t held_len;
static struct end *onward; /* where held bodies go */

static uint64_t sum(const uint8_t *at, size_t len)
{
    uint64_t total = 14695981039346656037u;
    for (size_t i = 0; i < len; i++)
        total = (total ^ at[i]) * 1099511628211u;
    return total;
}

static size_t frame_read(struct mf_sock *sock, struct mf_slice view)
{
    END(sock)->reads++;
    size_t took = 0;
    while (view.len - took >= HEAD) {
        const uint8_t *at = view.ptr + took;
        size_t len = mf_get32(at);
        if (view.len - took < HEAD + len) {
            most_moved = view.len - took > most_moved ? view.len - took : most_moved;
            if (use_want)
                mf_sock_want(sock, HEAD + len);
            break;
        }
        frames++;
        body_bytes += len;
        body_sum ^= sum(at + HEAD, len);
        if (use_hold) {
            mf_block_give(held);
            held = mf_sock_hold(sock, mf_slice_of(at, HEAD + len), &held_at);
            held_len = HEAD + len;
            all_in_block = all_in_block && held_at == at;
            CHECK(held != NULL);
            if (onward)
                CHECK_INT(mf_sock_write_block(&onward->sock, held, mf_slice_of(held_at, held_len)), 0);
        }
        took += HEAD + len;
    }
    return took;
}

static const struct mf_sock_events frame_events = {frame_read, end_eof, end_connect, end_drain, end_close};

static void start(struct end *end, int fd)
{
    end_init(end);
    end->sock.events = &frame_events;
    CHECK_INT(mf_sock_open(loop, &end->sock, fd), 0);
    frames = body_bytes = 0;
    body_sum = held_sum = 0;
    all_in_block = true;
    onward = NULL;
}

static size_t put_frame(uint8_t *at, size_t len, uint32_t seed)
{
    mf_put32(at, (uint32_t)len);
    fill(at + HEAD, len, seed);
    return HEAD + len;
}

/* --- a frame that is shown before it is whole */

static bool given_up;
static size_t least_shown;

/* Waits for a whole frame until it was given up, and takes what comes then. */
static size_t shown_read(struct mf_sock *sock, struct mf_slice view)
{
    END(sock)->reads++;
    if (!given_up) {
        mf_sock_want(sock, BIG);
        return 0;
    }
    least_shown = view.len < least_shown ? view.len : least_shown;
    keep_bytes(END(sock), view);
    return view.len;
}

static const struct mf_sock_events shown_events = {shown_read, end_eof, end_connect, end_drain, end_close};

/* With io_uring a receive into the frame's own block is under way then, and must not write what is shown any more.
 * `racing`: bytes come in the same turn. */
static void show_early(size_t racing)
{
    enum { FIRST = 100000, REST = 300000 };
    static uint8_t bytes[FIRST + REST];
    int fds[2];
    tcp_pair(fds);
    struct end a;
    fill(bytes, sizeof bytes, 5);
    given_up = false;
    least_shown = SIZE_MAX;
    end_init(&a);
    a.sock.events = &shown_events;
    CHECK_INT(mf_sock_open(loop, &a.sock, fds[0]), 0);
    CHECK_INT(write(fds[1], bytes, FIRST), FIRST);
    UNTIL(a.sock.bytes_in == FIRST);
    if (backend == MF_LOOP_URING)
        UNTIL(a.sock._ops & MF_OP_DIRECT);
    settle();
    CHECK_INT(a.reads, 1);
    given_up = true;
    if (racing)
        CHECK_INT(write(fds[1], bytes + FIRST, racing), racing);
    mf_sock_show(&a.sock);
    mf_sock_show(&a.sock); /* twice is as once */
    UNTIL(a.got_len == FIRST + racing);
    CHECK(racing || least_shown == FIRST);
    CHECK(!(a.sock._ops & MF_OP_DIRECT));
    CHECK_INT(write(fds[1], bytes + FIRST + racing, REST - racing), REST - racing);
    UNTIL(a.got_len == sizeof bytes);
    CHECK(memcmp(a.got, bytes, sizeof bytes) == 0);
    CHECK(a.sock._in == NULL);
    quit(&a);
    close(fds[1]);
}

static void test_shown_early(void)
{
    show_early(0);
    show_early(1);
    show_early(70000);
}

/* The same frames, sent in pieces of every size. */
static void test_cuts(void)
{
    uint8_t stream[400];
    static const size_t lens[] = {0, 1, 30, 100, 3, 200};
    size_t len = 0;
    uint64_t want_sum = 0;
    for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) {
        size_t at = len + HEAD;
        len += put_frame(stream + len, lens[i], (uint32_t)i);
        want_sum ^= sum(stream + at, lens[i]);
    }
    for (int mode = 0; mode < 2; mode++)
        for (size_t cut = 1; cut <= len; cut += cut < 20 ? 1 : 37) {
            int fds[2];
            unix_pair(fds);
            struct end a;
            use_want = mode;
            use_hold = false;
            start(&a, fds[0]);
            for (size_t at = 0; at < len; at += cut) {
                size_t n = len - at < cut ? len - at : cut;
                CHECK_INT(write(fds[1], stream + at, n), (ssize_t)n);
                uint64_t before = a.sock.bytes_in;
                UNTIL(a.sock.bytes_in == before + n);
            }
            CHECK_INT(frames, 6);
            CHECK(body_sum == want_sum);
            CHECK(a.sock._in == NULL); /* nothing left over: no memory */
            quit(&a);
            close(fds[1]);
        }
}

/* Eight MiB frames through two sockets: one block each, which never runs ahead of what has come. */
static void test_big(void)
{
    int in[2], out[2];
    tcp_pair(in);
    tcp_pair(out);
    struct end source, a, b, sink;
    use_want = use_hold = true;
    start(&a, in[0]);
    end_open(&source, in[1]);
    end_open(&b, out[0]);
    end_open(&sink, out[1]);
    onward = &b;
    static uint8_t frame[HEAD + BIG];
    size_t len = put_frame(frame, BIG, 1);
    uint64_t want_sum = sum(frame + HEAD, BIG);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(mf_sock_write(&source.sock, mf_slice_of(frame, len)), 0);
        CHECK_INT(mf_sock_write(&source.sock, mf_slice_of(frame, 3)), 0); /* the next one's first bytes behind it */
        bool modest = true;
        for (int n = 0; n < 20000 && frames < (size_t)i + 1; n++) {
            turn(20000000);
            size_t have = a.sock._in_end - a.sock._in_begin;
            if (a.sock._in && a.sock._in->cap > (have + 65536) / 8 * 9 && a.sock._in->cap > 4 * have / 8 * 9)
                modest = false;
        }
        CHECK(modest);
        CHECK_INT(frames, i + 1);
        CHECK(body_sum == (i ? 0 : want_sum));
        CHECK_INT(a.reads <= 4 * (i + 1) + 2, 1); /* not one for each arrival */
        UNTIL(sink.got_len == (size_t)(i + 1) * len);
        CHECK(memcmp(sink.got + (size_t)i * len, frame, len) == 0);
        if (i == 0) {
            CHECK(all_in_block);
            CHECK_INT(mf_sock_write(&source.sock, mf_slice_of(frame + 3, len - 3)), 0);
            UNTIL(frames == 2);
            UNTIL(sink.got_len == 2 * len);
            frames = 1;
            body_sum = want_sum;
            sink.got_len = len;
            break;
        }
    }
    mf_block_give(held);
    held = NULL;
    CHECK_INT(b.sock._out_len, 0);
    quit(&a);
    quit(&b);
    quit(&source);
    quit(&sink);
}

/* Behind a long frame the next is read where it will lie from its first bytes on: into the block that the last but one
 * left, whose memory is there already; none of it comes any other way. */
static void test_in_place(void)
{
    int fds[2];
    tcp_pair(fds);
    struct end a, source;
    use_want = true;
    use_hold = true;
    start(&a, fds[0]);
    end_open(&source, fds[1]);
    static uint8_t frame[HEAD + 300000];
    size_t len = put_frame(frame, 300000, 4);
    for (int i = 0; i < 6; i++) {
        CHECK_INT(mf_sock_write(&source.sock, mf_slice_of(frame, 1000)), 0);
        UNTIL(a.sock.bytes_in >= i * len + 1000);
        const struct mf_block *lies = a.sock._in;
        CHECK(lies != NULL);
        if (i >= 2) { /* one is held, another was given back */
            CHECK(lies->cap >= len);
            CHECK(lies->_lent);
        }
        all_in_block = true;
        CHECK_INT(mf_sock_write(&source.sock, mf_slice_of(frame + 1000, len - 1000)), 0);
        UNTIL(frames == (size_t)i + 1);
        CHECK(all_in_block);
        CHECK(i < 2 || held == lies);
        CHECK(!held->_lent);
    }
    CHECK(body_sum == 0);
    /* Two whose border comes in one go, a short one behind them, and a heartbeat's worth behind that. */
    static uint8_t many[2 * sizeof frame + 200];
    memcpy(many, frame, len);
    memcpy(many + len, frame, len);
    size_t all = 2 * len + put_frame(many + 2 * len, 100, 5);
    all += put_frame(many + all, 3, 6);
    uint64_t before = a.sock.bytes_in;
    most_moved = 0;
    CHECK_INT(mf_sock_write(&source.sock, mf_slice_of(many, len - 5000)), 0);
    UNTIL(a.sock.bytes_in == before + len - 5000);
    CHECK_INT(mf_sock_write(&source.sock, mf_slice_of(many + len - 5000, all - (len - 5000))), 0);
    UNTIL(frames == 10);
    CHECK(body_sum == (sum(many + 2 * len + HEAD, 100) ^ sum(many + all - 3, 3)));
    CHECK(most_moved <= 64);
    CHECK(a.sock._in == NULL);
    mf_block_give(held);
    held = NULL;
    quit(&a);
    quit(&source);
}

/* What is kept goes when it is not needed; what a length takes that is only announced is bounded over all sockets. */
static void test_spares(void)
{
    int one[2], two[2];
    tcp_pair(one);
    tcp_pair(two);
    struct end a, b, source, other;
    use_want = true;
    use_hold = false;
    start(&b, two[0]);
    start(&a, one[0]);
    end_open(&source, one[1]);
    end_open(&other, two[1]);
    static uint8_t frame[HEAD + 300000];
    size_t len = put_frame(frame, 300000, 4);
    mf_loop_set_spares(loop, 400000);
    CHECK_INT(mf_sock_write(&source.sock, mf_slice_of(frame, len)), 0);
    UNTIL(frames == 1); /* else the hundred bytes may come with its last ones */
    CHECK_INT(mf_sock_write(&source.sock, mf_slice_of(frame, 100)), 0);
    UNTIL(a.sock.bytes_in == len + 100);
    CHECK(a.sock._in && a.sock._in->_lent);
    CHECK_INT(mf_sock_write(&other.sock, mf_slice_of(frame, len)), 0);
    UNTIL(frames == 2);
    CHECK(mf_loop_trim(loop) == 1); /* this one's is not kept as well */
    CHECK_INT(mf_sock_write(&other.sock, mf_slice_of(frame, 100)), 0);
    UNTIL(b.sock.bytes_in == len + 100);
    CHECK(b.sock._in && !b.sock._in->_lent && b.sock._in->cap <= 100 + 65536);
    CHECK_INT(mf_sock_write(&source.sock, mf_slice_of(frame + 100, len - 100)), 0);
    CHECK_INT(mf_sock_write(&other.sock, mf_slice_of(frame + 100, len - 100)), 0);
    UNTIL(frames == 4);
    CHECK(loop->blocks._kept > 0);
    CHECK_INT(loop->blocks._lent, 0);
    mf_loop_trim(loop);
    CHECK(loop->blocks._kept > 0);
    mf_loop_trim(loop);
    CHECK_INT(loop->blocks._kept, 0);
    CHECK(body_sum == 0);
    quit(&a);
    quit(&b);
    quit(&source);
    quit(&other);
}

/* An announced length alone takes no memory. */
static void test_lying_length(void)
{
    int fds[2];
    unix_pair(fds);
    struct end a;
    use_want = true;
    use_hold = false;
    start(&a, fds[0]);
    uint8_t head[HEAD + 1] = {0x7f, 0xff, 0xff, 0xff, 'x'};
    CHECK_INT(write(fds[1], head, sizeof head), sizeof head);
    UNTIL(a.sock.bytes_in == sizeof head);
    CHECK(a.sock._in && a.sock._in->cap <= sizeof head + 65536);
    CHECK_INT(write(fds[1], head, sizeof head), sizeof head);
    UNTIL(a.sock.bytes_in == 2 * sizeof head);
    CHECK_INT(a.reads, 1);
    CHECK_INT(frames, 0);
    close(fds[1]);
    UNTIL(a.eofs);
    quit(&a);
}

static void test_pause(void)
{
    int fds[2];
    tcp_pair(fds);
    struct end a;
    end_open(&a, fds[0]);
    a.take = 3;
    a.pause_in_read = true;
    CHECK_INT(write(fds[1], "abcdef", 6), 6);
    UNTIL(a.reads == 1);
    CHECK_INT(write(fds[1], "ghi", 3), 3);
    shutdown(fds[1], SHUT_WR);
    settle();
    CHECK_INT(a.reads, 1);
    CHECK_INT(a.eofs, 0);
    mf_sock_pause(&a.sock); /* twice is as once */
    mf_sock_resume(&a.sock);
    UNTIL(a.reads == 2);
    CHECK_STR(mf_slice_of(a.got, a.got_len), "abcdef");
    settle();
    CHECK_INT(a.eofs, 0);
    a.pause_in_read = false;
    a.take = 0;
    mf_sock_resume(&a.sock);
    UNTIL(a.eofs);
    CHECK_STR(mf_slice_of(a.got, a.got_len), "abcdefghi");
    quit(&a);
    close(fds[1]);
}

/* A paused socket takes in no more than the buffers of the loop, however much the peer sends. */
static void test_pause_is_bounded(void)
{
    int fds[2];
    tcp_pair(fds);
    struct end a, b;
    end_open(&a, fds[0]);
    end_open(&b, fds[1]);
    b.sock.high = SIZE_MAX;
    static uint8_t bytes[1 << 20];
    mf_sock_pause(&a.sock);
    for (int i = 0; i < 32; i++)
        CHECK_INT(mf_sock_write(&b.sock, mf_slice_of(bytes, sizeof bytes)), 0);
    settle();
    CHECK(a.sock.bytes_in <= 4u << 20);
    CHECK_INT(a.reads, 0);
    mf_sock_resume(&a.sock);
    UNTIL(a.got_len == 32u << 20);
    quit(&a);
    quit(&b);
}

/* A pause while a long frame is under way: its end comes, nothing is shown, and after the pause it is whole. */
static void test_pause_in_long(void)
{
    int fds[2];
    tcp_pair(fds);
    struct end a, source;
    use_want = true;
    use_hold = false;
    start(&a, fds[0]);
    end_open(&source, fds[1]);
    static uint8_t frame[HEAD + (1 << 20)];
    size_t len = put_frame(frame, 1 << 20, 2);
    CHECK_INT(mf_sock_write(&source.sock, mf_slice_of(frame, 300000)), 0);
    UNTIL(a.sock.bytes_in >= 200000);
    mf_sock_pause(&a.sock);
    CHECK_INT(mf_sock_write(&source.sock, mf_slice_of(frame + 300000, len - 300000)), 0);
    settle();
    CHECK_INT(frames, 0);
    mf_sock_resume(&a.sock);
    UNTIL(frames == 1);
    CHECK(body_sum == sum(frame + HEAD, len - HEAD));
    CHECK_INT(mf_sock_write(&source.sock, mf_slice_of(frame, len)), 0); /* and the next, ended before it is whole */
    UNTIL(a.sock.bytes_in >= len + 200000);
    quit(&a);
    quit(&source);
}

/* Bytes that a callback leaves are shown again, with more behind, even when they are more than a buffer's front. */
static void test_long_left_over(void)
{
    int fds[2];
    tcp_pair(fds);
    struct end a;
    use_want = use_hold = false;
    start(&a, fds[0]);
    static uint8_t frame[HEAD + 50000];
    put_frame(frame, 50000, 3);
    for (size_t at = 0; at < sizeof frame; at += 7001) {
        size_t n = sizeof frame - at < 7001 ? sizeof frame - at : 7001;
        CHECK_INT(write(fds[1], frame + at, n), (ssize_t)n);
        uint64_t before = a.sock.bytes_in;
        UNTIL(a.sock.bytes_in > before);
    }
    UNTIL(frames == 1);
    CHECK(body_sum == sum(frame + HEAD, 50000));
    quit(&a);
    close(fds[1]);
}

static void test_urgent(void)
{
    int fds[2];
    tcp_pair(fds);
    struct end a;
    end_open(&a, fds[0]);
    settle();
    CHECK_INT(send(fds[1], "abc", 3, MSG_OOB), 3); /* a read stops short at the mark, with bytes behind it */
    CHECK_INT(write(fds[1], "def", 3), 3);
    UNTIL(a.got_len == 5);
    CHECK_STR(mf_slice_of(a.got, a.got_len), "abdef");
    quit(&a);
    close(fds[1]);
}

/* Every allocation of a long frame fails once: the connection is lost, the loop is not. */
static void test_out_of_memory(void)
{
    static uint8_t frame[HEAD + 300000];
    put_frame(frame, 300000, 9);
    bool went_through = false;
    for (long n = 1; n < 200 && !went_through; n++) {
        int fds[2];
        unix_pair(fds);
        struct end a;
        use_want = true;
        use_hold = false;
        start(&a, fds[0]);
        fcntl(fds[1], F_SETFL, O_NONBLOCK);
        fail_at(n);
        for (size_t at = 0; at < sizeof frame && !a.closes;) {
            ssize_t wrote = write(fds[1], frame + at, sizeof frame - at);
            at += wrote > 0 ? (size_t)wrote : 0;
            settle();
        }
        settle();
        went_through = fail_countdown > 0;
        fail_at(0);
        CHECK(frames == 1 || (a.closes && a.close_rc == -ENOMEM));
        quit(&a);
        close(fds[1]);
    }
    CHECK(went_through);
}

int main(void)
{
    fail_at(0);
    ON_EACH(test_cuts);
    ON_EACH(test_big);
    ON_EACH(test_in_place);
    ON_EACH(test_spares);
    ON_EACH(test_lying_length);
    ON_EACH(test_pause);
    ON_EACH(test_pause_is_bounded);
    ON_EACH(test_pause_in_long);
    ON_EACH(test_shown_early);
    ON_EACH(test_long_left_over);
    ON_EACH(test_urgent);
    ON_EACH(test_out_of_memory);
    return test_end("loop/sock_in");
}
