/* listener: accepting, running out of descriptors, stale UNIX sockets, many connections. */
#include "world.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { MANY = 1000 };

static struct end *accepted[MANY + 8];
static int accepts, listener_closes, failures;
static bool close_in_accept, drop_all;
static struct mf_addr last_peer;

static void on_accept(struct mf_listener *listener, int fd, const struct mf_addr *peer)
{
    last_peer = *peer;
    if (drop_all) {
        accepts++;
        close(fd);
    } else {
        struct end *end = malloc(sizeof *end);
        end_open(end, fd);
        end->echo = true;
        accepted[accepts++] = end;
    }
    if (close_in_accept)
        mf_listener_close(listener);
}

static void on_listener_close(struct mf_listener *listener)
{
    CHECK_INT(listener->fd, -1);
    listener_closes++;
}

static void on_failed(struct mf_listener *failed, int rc)
{
    (void)failed;
    CHECK_INT(rc, -EMFILE);
    failures++;
}

static struct mf_listener listener;

static void start(int fd)
{
    memset(&listener, 0, sizeof listener);
    listener.on_accept = on_accept;
    listener.on_close = on_listener_close;
    listener.on_failed = on_failed;
    CHECK_INT(mf_listener_open(loop, &listener, fd), 0);
    accepts = listener_closes = failures = 0;
    close_in_accept = drop_all = false;
}

static void stop(void)
{
    mf_listener_close(&listener);
    mf_listener_close(&listener);
    UNTIL(listener_closes);
    CHECK_INT(listener_closes, 1);
    for (int i = 0; i < accepts && !drop_all; i++) {
        quit(accepted[i]);
        free(accepted[i]);
    }
    settle();
    CHECK_INT(listener_closes, 1);
}

static int dial(const struct mf_addr *at)
{
    int fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(connect(fd, &at->sa, at->len), 0);
    return fd;
}

static void test_accept(void)
{
    struct mf_addr at, peer, self;
    start(listen_tcp(&at, 16));
    int fd = dial(&at);
    UNTIL(accepts == 1);
    CHECK_INT(mf_sock_local(fd, &self), 0);
    CHECK(mf_addr_eq(&self, &last_peer));
    CHECK_INT(mf_sock_peer(fd, &peer), 0);
    CHECK(mf_addr_eq(&peer, &at));
    CHECK(mf_sock_original(accepted[0]->sock.fd, &peer) < 0); /* not redirected */
    CHECK_INT(fcntl(accepted[0]->sock.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    CHECK_INT(write(fd, "ping", 4), 4);
    char text[8];
    UNTIL(recv(fd, text, sizeof text, MSG_DONTWAIT | MSG_PEEK) == 4);
    close(fd);
    close_in_accept = true;
    fd = dial(&at);
    UNTIL(accepts == 2);
    close(fd);
    stop();
    fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, &at.sa, at.len) < 0); /* nobody listens any more */
    close(fd);
}

static void test_many(void)
{
    struct mf_addr at;
    start(listen_tcp(&at, MANY));
    static struct end ends[MANY];
    for (int i = 0; i < MANY; i++) {
        end_init(&ends[i]);
        CHECK_INT(mf_sock_connect(loop, &ends[i].sock, &at), 0);
        uint32_t id = (uint32_t)i;
        CHECK_INT(mf_sock_write(&ends[i].sock, mf_slice_of(&id, 4)), 0);
        if (i % 50 == 0)
            turn(0);
    }
    UNTIL(accepts == MANY);
    for (int i = 0; i < MANY; i++) {
        UNTIL(ends[i].got_len == 4);
        CHECK(memcmp(ends[i].got, &(uint32_t){(uint32_t)i}, 4) == 0);
    }
    for (int i = 0; i < MANY; i += 2)
        close_end(&ends[i], MF_CLOSE_NOW);
    for (int i = 0; i < MANY; i++)
        quit(&ends[i]);
    stop();
}

static void test_many_small_ring(void)
{
    test_many();
}

static struct rlimit old_limit;
static int holes[64], hole_count;

static void use_up(void)
{
    while (hole_count < 64 && (holes[hole_count] = dup(0)) >= 0)
        hole_count++;
    CHECK(hole_count < 64);
}

static void give_back(void)
{
    setrlimit(RLIMIT_NOFILE, &old_limit);
    while (hole_count > 0)
        close(holes[--hole_count]);
}

static void allow(int more)
{
    int fd = dup(0);
    close(fd);
    getrlimit(RLIMIT_NOFILE, &old_limit);
    struct rlimit low = old_limit;
    low.rlim_cur = (rlim_t)(fd + more);
    CHECK_INT(setrlimit(RLIMIT_NOFILE, &low), 0);
}

/* No descriptors: it rests instead of spinning, and goes on when there are some again. The limit is there before the
 * listener is: an accept that io_uring has under way keeps the limit it was asked for with. */
static void test_exhaustion(void)
{
    struct mf_addr at;
    int fd = listen_tcp(&at, 16), mine = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    allow(8);
    start(fd);
    CHECK_INT(connect(mine, &at.sa, at.len), 0);
    UNTIL(accepts == 1);
    use_up();
    CHECK_INT(connect(other, &at.sa, at.len), 0);
    UNTIL(failures == 1);
    struct mf_loop_counts counts;
    mf_loop_counts(loop, &counts);
    uint64_t turns = counts.turns, until = mf_loop_now(loop) + 60000000;
    while (mf_loop_now(loop) < until)
        turn(10000000);
    mf_loop_counts(loop, &counts);
    CHECK(counts.turns - turns < 20);
    CHECK_INT(failures, 1);
    CHECK_INT(accepts, 1);
    CHECK_INT(counts.accept_failures, 1);
    give_back();
    UNTIL(accepts == 2);
    close(other);
    close(mine);
    stop();

    fd = listen_tcp(&at, 16); /* closed while it rests */
    mine = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    allow(8);
    use_up();
    start(fd);
    CHECK_INT(connect(mine, &at.sa, at.len), 0);
    UNTIL(failures == 1);
    give_back();
    stop();
    CHECK_INT(accepts, 1); /* who waits is handed out all the same */
    close(mine);
}

static void test_unix(void)
{
    char folder[] = "/tmp/meshfast-test-XXXXXX", text[128];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(text, sizeof text, "unix://%s/sock", folder);
    struct mf_addr at;
    CHECK_INT(mf_addr_parse(mf_slice_str(text), &at), 0);
    int fd = mf_sock_listen(&at, 8, false);
    CHECK(fd >= 0);
    CHECK_INT(mf_sock_listen(&at, 8, false), -EADDRINUSE); /* somebody listens: not ours to remove */
    close(fd);
    fd = mf_sock_listen(&at, 8, true); /* stale: removed */
    CHECK(fd >= 0);
    start(fd);
    drop_all = true;
    fd = dial(&at);
    UNTIL(accepts == 1);
    close(fd);
    stop();
    unlink(text + 7);
    fd = open(text + 7, O_CREAT | O_WRONLY | O_CLOEXEC, 0600); /* a file that is no socket stays */
    close(fd);
    CHECK_INT(mf_sock_listen(&at, 8, false), -EADDRINUSE);
    CHECK_INT(access(text + 7, F_OK), 0);
    unlink(text + 7);
    rmdir(folder);
}

static void test_two_listeners_of_one_port(void)
{
    struct mf_addr at;
    CHECK_INT(mf_addr_parse(mf_slice_str("tcp://127.0.0.1:0"), &at), 0);
    int one = mf_sock_listen(&at, 8, true);
    CHECK_INT(mf_sock_local(one, &at), 0);
    int two = mf_sock_listen(&at, 8, true);
    CHECK(one >= 0 && two >= 0);
    CHECK_INT(mf_sock_listen(&at, 8, false), -EADDRINUSE);
    close(one);
    close(two);
}

static uint64_t turns(void)
{
    struct mf_loop_counts counts;
    mf_loop_counts(loop, &counts);
    return counts.turns;
}

/* Shut, it lets nobody in and does not spin; who was in the queue is handed out. */
static void test_shut(void)
{
    char folder[] = "/tmp/meshfast-test-XXXXXX", text[128];
    CHECK(mkdtemp(folder) != NULL);
    snprintf(text, sizeof text, "unix://%s/sock", folder);
    for (int kind = 0; kind < 2; kind++) {
        struct mf_addr at;
        int fd, in[2];
        if (kind) {
            CHECK_INT(mf_addr_parse(mf_slice_str(text), &at), 0);
            fd = mf_sock_listen(&at, 8, false);
        } else {
            fd = listen_tcp(&at, 8);
        }
        start(fd);
        drop_all = true;
        in[0] = dial(&at);
        UNTIL(accepts == 1);
        in[1] = dial(&at);
        CHECK_INT(mf_listener_shut(&listener), 0);
        int out = socket(at.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK(connect(out, &at.sa, at.len) < 0 && errno == (kind ? ECONNREFUSED : EINPROGRESS));
        UNTIL(accepts == 2);
        uint64_t before = turns(), until = mf_clock_ns() + 50000000;
        while (mf_clock_ns() < until)
            turn(10000000);
        CHECK(turns() - before < 50);
        CHECK_INT(failures, 0);
        stop();
        CHECK_INT(accepts, 2);
        CHECK_INT(mf_listener_shut(&listener), MF_ECLOSED);
        close(out);
        close(in[0]);
        close(in[1]);
    }
    unlink(text + 7);
    rmdir(folder);
}

enum { FLOOD = 400 };

static _Atomic bool flooded;

static void *flood(void *arg)
{
    const struct mf_addr *at = arg;
    static int fds[FLOOD];
    int *in = calloc(1, sizeof *in);
    memset(fds, 0, sizeof fds);
    for (int i = 0; i < FLOOD; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval soon = {.tv_usec = 20000};
        setsockopt(fds[i], SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
        if (connect(fds[i], &at->sa, at->len) < 0)
            break;
        ++*in;
    }
    flooded = true;
    for (int i = 0; i < FLOOD; i++)
        if (fds[i] > 0)
            close(fds[i]);
    return in;
}

/* Who dials meanwhile is let in and handed out, or is not let in; who was let in before is handed out, also when the loop
 * had not looked at it when it was told to close. */
static void test_close_in_a_flood(void)
{
    for (int round = 0; round < 20; round++) {
        struct mf_addr at;
        pthread_t thread;
        int *in;
        start(listen_tcp(&at, 4 * FLOOD));
        drop_all = true;
        flooded = false;
        CHECK_INT(pthread_create(&thread, NULL, flood, &at), 0);
        UNTIL(accepts > 10 * round);
        CHECK_INT(mf_listener_shut(&listener), 0);
        UNTIL(flooded);
        mf_listener_close(&listener);
        UNTIL(listener_closes);
        pthread_join(thread, (void **)&in);
        CHECK_INT(accepts, *in);
        free(in);
    }
    struct mf_addr at; /* never looked at before it is closed */
    int fds[50];
    start(listen_tcp(&at, 64));
    drop_all = true;
    for (int i = 0; i < 50; i++)
        fds[i] = dial(&at);
    mf_listener_close(&listener);
    CHECK_INT(accepts, 0); /* not from inside */
    stop();
    CHECK_INT(accepts, 50);
    for (int i = 0; i < 50; i++)
        close(fds[i]);
}

int main(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    fail_at(0);
    signal(SIGPIPE, SIG_IGN);
    ON_EACH(test_accept);
    if (limit.rlim_max >= 4 * MANY) {
        ON_EACH(test_many);
        /* more operations and completions than the rings hold, and buffers for few at a time */
        on_each("test_many_small_ring", test_many_small_ring,
                &(struct mf_loop_options){.ring_entries = 4, .read_size = 1 << 20});
    } else {
        printf("test_many skipped: only %llu descriptors allowed\n", (unsigned long long)limit.rlim_max);
    }
    ON_EACH(test_exhaustion);
    ON_EACH(test_shut);
    ON_EACH(test_close_in_a_flood);
    ON_EACH(test_unix);
    ON_EACH(test_two_listeners_of_one_port);
    return test_end("loop/listener");
}
