/* share: who brings much at a time takes a turn from nobody who brings little, and not from his like either. */
#include "loop/backend.h"
#include "world.h"

#include <sys/ioctl.h>

enum { GREEDY = 24, TURNS = 300, FRAME = 4 << 20, PIECE = 256 * 1024 };

static struct end greedy[GREEDY], small;
static int peers[GREEDY + 1];
static uint64_t had[GREEDY]; /* bytes */
static int passed_over[GREEDY]; /* turns in a row in which there was something to read, and it was not */
static size_t frame_len; /* 0: all that comes is taken at once */

static size_t greedy_read(struct mf_sock *sock, struct mf_slice view)
{
    END(sock)->reads++;
    if (frame_len > view.len)
        mf_sock_want(sock, frame_len);
    return frame_len == 0 ? view.len : view.len - view.len % frame_len;
}

static const struct mf_sock_events greedy_events = {greedy_read, end_eof, end_connect, end_drain, end_close};

static void send_all(void)
{
    static uint8_t bytes[FRAME];
    for (int i = 0; i < GREEDY; i++)
        while (send(peers[i], bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
            ;
}

static uint64_t bytes_in(void)
{
    struct mf_loop_counts counts;
    mf_loop_counts(loop, &counts);
    return counts.bytes_in;
}

static int longest_wait(void)
{
    int longest = 0;
    for (int i = 0; i < GREEDY; i++) {
        int waits = 0;
        ioctl(greedy[i].sock.fd, FIONREAD, &waits);
        passed_over[i] = waits && greedy[i].sock.bytes_in == had[i] ? passed_over[i] + 1 : 0;
        had[i] = greedy[i].sock.bytes_in;
        longest = passed_over[i] > longest ? passed_over[i] : longest;
    }
    return longest;
}

static void play(void)
{
    for (int i = 0; i <= GREEDY; i++) {
        int fds[2];
        tcp_pair(fds);
        peers[i] = fds[1];
        struct end *end = i < GREEDY ? &greedy[i] : &small;
        end_init(end);
        if (i < GREEDY)
            end->sock.events = &greedy_events;
        CHECK_INT(mf_sock_open(loop, &end->sock, fds[0]), 0);
    }
    uint64_t most_in_turn = 0, began = 0;
    memset(passed_over, 0, sizeof passed_over);
    for (int k = 0; k < TURNS; k++) {
        send_all();
        uint64_t before = bytes_in();
        CHECK_INT(send(peers[GREEDY], "x", 1, 0), 1);
        turn(0);
        if (k < TURNS / 3) { /* what is read before it is known who they are */
            began = bytes_in();
            continue;
        }
        uint64_t read = bytes_in() - before;
        most_in_turn = read > most_in_turn ? read : most_in_turn;
        CHECK(longest_wait() <= 2 * GREEDY);
        CHECK(small.sock.bytes_in + 2 >= (uint64_t)k); /* in the turn in which it comes, or the next */
    }
    CHECK(most_in_turn <= MF_TURN_BYTES + PIECE);
    CHECK(bytes_in() - began > MF_TURN_BYTES / 4 * (TURNS - TURNS / 3));
    for (int i = 0; i <= GREEDY; i++) {
        close(peers[i]);
        quit(i < GREEDY ? &greedy[i] : &small);
    }
}

/* Frames that are announced, and read into a block. */
static void test_long_frames(void)
{
    frame_len = FRAME;
    play();
}

/* Bytes that are taken as they come: of a relay, or of a frame that is passed over. */
static void test_plain_bytes(void)
{
    frame_len = 0;
    play();
}

int main(void)
{
    ON_EACH(test_long_frames);
    ON_EACH(test_plain_bytes);
    return test_end("loop/share");
}
