/* loop: the turn, its hooks and limits, wake, watches, timers in it, and freeing it with all open. */
#include "world.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/time.h>

static int fired;
static uint32_t fired_events;
static bool remove_in_ready;

static void on_ready(struct mf_watch *watch, uint32_t events)
{
    fired++;
    fired_events = events;
    if (remove_in_ready)
        mf_watch_remove(watch);
}

static void watch_init(struct mf_watch *watch, int fd, uint32_t events)
{
    *watch = (struct mf_watch){.fd = fd, .events = events, .on_ready = on_ready};
    fired = 0;
    fired_events = 0;
    remove_in_ready = false;
}

static void test_watch(void)
{
    int fds[2];
    unix_pair(fds);
    struct mf_watch watch;
    watch_init(&watch, fds[0], MF_WATCH_READ);
    CHECK_INT(mf_watch_add(loop, &watch), 0);
    settle();
    CHECK_INT(fired, 0);
    CHECK_INT(write(fds[1], "x", 1), 1);
    UNTIL(fired == 3); /* as long as it is ready, once a turn */
    CHECK_INT(fired_events, MF_WATCH_READ);
    CHECK_INT(mf_watch_modify(&watch, MF_WATCH_WRITE), 0);
    fired = 0;
    UNTIL(fired == 2);
    CHECK_INT(fired_events, MF_WATCH_WRITE);
    CHECK_INT(mf_watch_modify(&watch, MF_WATCH_READ | MF_WATCH_WRITE), 0);
    fired = 0;
    UNTIL(fired == 2);
    CHECK_INT(fired_events, MF_WATCH_READ | MF_WATCH_WRITE);
    char text[4];
    CHECK_INT(read(fds[0], text, 4), 1);
    CHECK_INT(mf_watch_modify(&watch, MF_WATCH_READ), 0);
    settle();
    fired = 0;
    settle();
    CHECK_INT(fired, 0);
    close(fds[1]);
    UNTIL(fired == 1);
    CHECK_INT(fired_events, MF_WATCH_READ | MF_WATCH_ERROR);
    mf_watch_remove(&watch);
    mf_watch_remove(&watch);
    fired = 0;
    settle();
    CHECK_INT(fired, 0);
    CHECK_INT(mf_watch_modify(&watch, MF_WATCH_READ), MF_ECLOSED);
    watch_init(&watch, fds[0], MF_WATCH_READ); /* removed by its own callback */
    remove_in_ready = true;
    CHECK_INT(mf_watch_add(loop, &watch), 0);
    UNTIL(fired == 1);
    settle();
    CHECK_INT(fired, 1);
    close(fds[0]);
    watch_init(&watch, fds[0], MF_WATCH_READ);
    CHECK_INT(mf_watch_add(loop, &watch), -EBADF);
    watch_init(&watch, open("/proc/self/exe", O_RDONLY | O_CLOEXEC), MF_WATCH_READ);
    CHECK_INT(mf_watch_add(loop, &watch), -EPERM);
    close(watch.fd);
}

/* A watch between turns lets go of its descriptor at once: the other end sees the close without a turn of ours. */
static void test_watch_lets_go(void)
{
    int fds[2];
    unix_pair(fds);
    struct mf_watch watch;
    watch_init(&watch, fds[0], MF_WATCH_READ);
    CHECK_INT(mf_watch_add(loop, &watch), 0);
    settle();
    mf_watch_remove(&watch);
    close(fds[0]);
    char text[1];
    CHECK_INT(recv(fds[1], text, 1, MSG_DONTWAIT), 0);
    close(fds[1]);
}

/* A descriptor closed without a remove, and its number used again: no callback to a watch that is gone. */
static void test_watch_of_closed(void)
{
    int fds[2], more[2];
    unix_pair(fds);
    struct mf_watch watch;
    watch_init(&watch, fds[0], MF_WATCH_READ);
    CHECK_INT(mf_watch_add(loop, &watch), 0);
    int copy = dup(fds[0]);
    settle();
    close(fds[0]);
    mf_watch_remove(&watch);
    memset(&watch, 0xee, sizeof watch);
    CHECK_INT(write(fds[1], "x", 1), 1);
    settle();
    CHECK_INT(fired, 0);
    unix_pair(more);
    struct mf_watch other;
    watch_init(&other, more[0], MF_WATCH_READ);
    CHECK_INT(mf_watch_add(loop, &other), 0);
    settle();
    CHECK_INT(fired, 0);
    mf_watch_remove(&other);
    close(copy);
    close(fds[1]);
    close(more[0]);
    close(more[1]);
}

/* Waiting to write to a peer that has ended its own side must not spin. */
static void test_watch_write_half_closed(void)
{
    int fds[2];
    tcp_pair(fds);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    static uint8_t bytes[1 << 16];
    while (write(fds[0], bytes, sizeof bytes) > 0)
        ;
    shutdown(fds[1], SHUT_WR);
    struct mf_watch watch;
    watch_init(&watch, fds[0], MF_WATCH_WRITE);
    CHECK_INT(mf_watch_add(loop, &watch), 0);
    struct mf_loop_counts counts;
    mf_loop_counts(loop, &counts);
    uint64_t turns = counts.turns, until = mf_clock_ns() + 50000000;
    while (mf_clock_ns() < until)
        turn(20000000);
    mf_loop_counts(loop, &counts);
    CHECK(counts.turns - turns < 40);
    CHECK_INT(fired, 0);
    for (int i = 0; i < 10000 && !fired; i++) {
        ssize_t n = recv(fds[1], bytes, sizeof bytes, MSG_DONTWAIT);
        (void)n;
        turn(1000000);
    }
    CHECK_INT(fired_events, MF_WATCH_WRITE);
    mf_watch_remove(&watch);
    close(fds[0]);
    close(fds[1]);
}

static void *wake_it(void *arg)
{
    (void)arg;
    mf_loop_wake(loop);
    return NULL;
}

static void test_wake(void)
{
    mf_loop_wake(loop);
    mf_loop_wake(loop);
    CHECK_INT(turn(-1), 1); /* two wakes, one turn */
    CHECK_INT(turn(0), 0);
    pthread_t thread;
    pthread_create(&thread, NULL, wake_it, NULL);
    CHECK_INT(turn(-1), 1);
    pthread_join(thread, NULL);
}

/* Made on one thread, turned on another. */
static void *turn_there(void *arg)
{
    struct end *a = arg;
    UNTIL(a->got_len == 4);
    quit(a);
    return NULL;
}

static void test_other_thread(void)
{
    int fds[2];
    tcp_pair(fds);
    static struct end a;
    end_open(&a, fds[0]);
    CHECK_INT(mf_sock_write(&a.sock, MF_SLICE("hi")), 0);
    CHECK_INT(write(fds[1], "over", 4), 4);
    pthread_t thread;
    pthread_create(&thread, NULL, turn_there, &a);
    pthread_join(thread, NULL);
    close(fds[1]);
}

static void on_alarm(int number)
{
    (void)number;
}

static void test_signal(void)
{
    struct sigaction act = {.sa_handler = on_alarm}, old;
    sigaction(SIGALRM, &act, &old);
    turn(0);
    struct itimerval soon = {.it_value = {0, 20000}, .it_interval = {0, 20000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    uint64_t start = mf_clock_ns();
    CHECK_INT(mf_loop_turn(loop, 5000000000), 0); /* the wait is over, the turn is whole */
    CHECK(mf_clock_ns() - start < 4000000000);
    soon = (struct itimerval){0};
    setitimer(ITIMER_REAL, &soon, NULL);
    sigaction(SIGALRM, &old, NULL);
}

static int order[8], steps, rings;
static void step(int which)
{
    if (steps < 8)
        order[steps++] = which;
}
static void before_wait(void *arg)
{
    (void)arg;
    step(1);
}
static void after_wait(void *arg)
{
    (void)arg;
    step(2);
}
static void turn_end(void *arg)
{
    CHECK_INT(mf_loop_turn(arg, 0), -EBUSY); /* not re-entrant */
    step(4);
}
static void on_timer(struct mf_timer *timer)
{
    (void)timer;
    rings++;
    step(3);
}

static void test_hooks_and_timers(void)
{
    settle();
    struct mf_loop_hooks hooks = {before_wait, after_wait, turn_end, loop};
    mf_loop_set_hooks(loop, &hooks);
    struct mf_timer timer = {0};
    uint64_t at = mf_clock_ns() + 5000000;
    steps = rings = 0;
    mf_timer_set(mf_loop_timers(loop), &timer, at, on_timer);
    CHECK_INT(turn(-1), 1); /* no limit of its own: the timer ends the wait */
    CHECK(mf_loop_now(loop) >= at);
    CHECK_INT(rings, 1);
    CHECK_INT(steps, 4);
    for (int i = 0; i < 4; i++)
        CHECK_INT(order[i], i + 1);
    CHECK_INT(turn(1000), 0);
    CHECK(mf_loop_fd(loop) >= 0);
    mf_loop_set_hooks(loop, &(struct mf_loop_hooks){0});
}

static struct mf_loop_guest guests[3];
static int calls[3], order_of[12], called;

static void count_guest(void *arg)
{
    int which = *(int *)arg;
    calls[which]++;
    if (called < 12)
        order_of[called++] = which;
    if (which == 1 && calls[1] == 2) { /* of the second turn: itself and the next */
        mf_loop_leave(loop, &guests[1]);
        mf_loop_leave(loop, &guests[2]);
    }
}

static void test_guests(void)
{
    static int ids[] = {0, 1, 2};
    memset(guests, 0, sizeof guests);
    memset(calls, 0, sizeof calls);
    called = 0;
    mf_loop_leave(loop, &guests[0]);
    for (int i = 0; i < 3; i++) {
        guests[i].hooks = (struct mf_loop_hooks){.turn_end = count_guest, .arg = &ids[i]};
        mf_loop_join(loop, &guests[i]);
    }
    for (int i = 0; i < 3; i++)
        turn(0);
    CHECK_INT(calls[0], 3);
    CHECK_INT(calls[1], 2);
    CHECK_INT(calls[2], 1);
    for (int i = 0; i < 3; i++)
        CHECK_INT(order_of[i], i);
    mf_loop_leave(loop, &guests[2]);
    mf_loop_join(loop, &guests[2]);
    turn(0);
    CHECK_INT(calls[2], 2);
    mf_loop_leave(loop, &guests[0]); /* the other is there when the loop ends */
}

/* Everything open, bytes under way in both directions: freed without a callback, without a leak. */
static void test_free(void)
{
    static struct end ends[8];
    static struct mf_listener listener;
    static struct mf_watch watch;
    static uint8_t bytes[1 << 20];
    struct mf_addr at;
    listener = (struct mf_listener){0};
    CHECK_INT(mf_listener_open(loop, &listener, listen_tcp(&at, 8)), 0);
    for (int i = 0; i < 8; i += 2) {
        int fds[2];
        tcp_pair(fds);
        end_open(&ends[i], fds[0]);
        end_open(&ends[i + 1], fds[1]);
        mf_sock_pause(&ends[i].sock);
        CHECK_INT(mf_sock_write(&ends[i + 1].sock, mf_slice_of(bytes, sizeof bytes)), 0);
        CHECK_INT(mf_sock_write(&ends[i + 1].sock, mf_slice_of(bytes, sizeof bytes)), 0);
    }
    watch_init(&watch, fcntl(0, F_DUPFD_CLOEXEC, 3), MF_WATCH_READ);
    int rc = mf_watch_add(loop, &watch);
    CHECK(rc == 0 || rc == -EPERM);
    for (int i = 0; i < 5; i++)
        turn(0);
    close_end(&ends[0], MF_CLOSE_NOW);
    close_end(&ends[1], MF_CLOSE_NOW);
    mf_sock_write(&ends[3].sock, MF_SLICE("not flushed"));
    mf_loop_free(loop);
    for (int i = 0; i < 8; i++)
        CHECK_INT(ends[i].closes, 0);
    close(watch.fd);
    struct mf_loop_options options = {.backend = backend};
    CHECK_INT(mf_loop_new(&options, &loop, NULL), 0);
}

static void test_auto(void)
{
    struct mf_loop *one;
    const char *why = "unset";
    CHECK_INT(mf_loop_new(NULL, &one, &why), 0);
    CHECK((strcmp(mf_loop_name(one), "io_uring") == 0) == (why == NULL));
    mf_loop_free(one);
    mf_loop_free(NULL);
    bool made = false;
    for (long n = 1; n < 20 && !made; n++) {
        struct mf_loop_options options = {.backend = MF_LOOP_EPOLL};
        fail_at(n);
        int rc = mf_loop_new(&options, &one, NULL);
        fail_at(0);
        CHECK(rc == 0 || rc == -ENOMEM);
        made = rc == 0;
        mf_loop_free(made ? one : NULL);
    }
    CHECK(made);
}

int main(void)
{
    fail_at(0);
    ON_EACH(test_watch);
    ON_EACH(test_watch_lets_go);
    ON_EACH(test_watch_of_closed);
    ON_EACH(test_watch_write_half_closed);
    ON_EACH(test_wake);
    ON_EACH(test_other_thread);
    ON_EACH(test_signal);
    ON_EACH(test_hooks_and_timers);
    ON_EACH(test_guests);
    ON_EACH(test_free);
    test_auto();
    return test_end("loop/loop");
}
