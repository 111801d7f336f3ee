/* loop_uring: one system call a turn, and more sockets at once than there are receive buffers. */
#include "world.h"

enum { MANY = 40 };

static uint64_t calls(void)
{
    struct mf_loop_counts counts;
    mf_loop_counts(loop, &counts);
    return counts.syscalls;
}

static void test_cost(void)
{
    struct end ends[MANY];
    int peers[MANY];
    for (int i = 0; i < MANY; i++) {
        int fds[2];
        tcp_pair(fds);
        end_open(&ends[i], fds[0]);
        ends[i].echo = true;
        peers[i] = fds[1];
    }
    settle();
    char text[8];
    for (int i = 0; i < MANY; i++)
        CHECK_INT(write(peers[i], "ping", 4), 4);
    uint64_t before = calls();
    turn(1000000); /* all come */
    turn(0);       /* all echoes go */
    CHECK_INT(calls() - before, 2);
    for (int i = 0; i < MANY; i++) {
        CHECK_INT(ends[i].got_len, 4);
        CHECK_INT(recv(peers[i], text, sizeof text, MSG_DONTWAIT), 4);
        quit(&ends[i]);
        close(peers[i]);
    }
}

/* Four buffers for forty sockets with three reads' worth each: who finds none asks again. */
static void test_few_buffers(void)
{
    static uint8_t bytes[100000];
    fill(bytes, sizeof bytes, 1);
    struct end ends[MANY];
    int peers[MANY];
    for (int i = 0; i < MANY; i++) {
        int fds[2];
        unix_pair(fds);
        end_open(&ends[i], fds[0]);
        peers[i] = fds[1];
    }
    settle();
    for (int i = 0; i < MANY; i++)
        CHECK_INT(write(peers[i], bytes, sizeof bytes), sizeof bytes);
    for (int i = 0; i < MANY; i++) {
        UNTIL(ends[i].got_len == sizeof bytes);
        CHECK(memcmp(ends[i].got, bytes, sizeof bytes) == 0);
        quit(&ends[i]);
        close(peers[i]);
    }
}

int main(void)
{
    fail_at(0);
    struct mf_loop_options options = {.backend = MF_LOOP_URING};
    const char *why = NULL;
    int rc = mf_loop_new(&options, &loop, &why);
    if (rc < 0 && why) {
        printf("test_loop_uring: skipped: %s (%s)\n", why, mf_err_text(rc));
        return test_end("loop/loop_uring");
    }
    CHECK_INT(rc, 0);
    test_cost();
    mf_loop_free(loop);
    options.read_size = 1 << 20;
    CHECK_INT(mf_loop_new(&options, &loop, &why), 0);
    test_few_buffers();
    mf_loop_free(loop);
    return test_end("loop/loop_uring");
}
