/* shared: listeners whose sockets another has copies of: who waits in their queues, and their files, are left to it. */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/stat.h>

static int drained(struct mf_engine *engine)
{
    for (int i = 0; i < 10000; i++) {
        if (mf_engine_drained(engine))
            return 1;
        usleep(1000);
    }
    return 0;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

/* An engine of the rig's table, with so many workers, on sockets that there are already; what listening said. */
static int successor(struct rig *rig, uint32_t workers, const int *fds, uint32_t n_fds, struct mf_engine **out)
{
    const char *why = NULL;
    struct mf_engine_options options = {.workers = workers, .loop.backend = backend, .table = rig->table};
    struct mf_listen_options listen = {.name = MF_SLICE("next"), .fds = fds, .n_fds = n_fds};
    mf_limits_default(&options.limits);
    CHECK_INT(mf_engine_new(&options, out, &why), 0);
    return mf_engine_listen(*out, &listen, NULL);
}

static void test_who_waits_is_left_to_the_next(void)
{
    struct rig rig;
    int fds[MF_WORKERS_MAX], none[MF_WORKERS_MAX];
    struct mf_engine *next;
    open_rig(&rig, 1, MF_OUTBOUND, NULL);
    int kept = dial(&rig.proxy);
    ask(kept, 1, "svc", NULL);
    int provider = take(rig.listeners[0]);
    answer(provider, asked(provider), 20, 1);
    expect(kept, 1, 20, NULL);
    CHECK_INT(mf_engine_copies(rig.engine, 0, fds), 1);
    CHECK_INT(mf_engine_copies(rig.engine, 1, none), -EINVAL);
    CHECK_INT(mf_engine_share(rig.engine, 0, true), 0);
    mf_engine_drain(rig.engine);
    CHECK_INT(mf_engine_copies(rig.engine, 0, none), -EBUSY);
    CHECK_INT(mf_engine_share(rig.engine, 0, false), -EBUSY);
    struct frame told = get(kept);
    CHECK(told.head.flags & MF_DUBBO_EVENT);
    drop(&told);
    close(kept);
    CHECK_INT(drained(rig.engine), 1);
    uint64_t had = COUNTER(&rig, downstream_connections);
    int late = dial(&rig.proxy); /* nobody takes it, and nobody refuses it */
    CHECK(late >= 0);
    ask(late, 7, "svc", NULL);
    CHECK_INT(mf_engine_stop(rig.engine), 0);
    CHECK_INT(COUNTER(&rig, downstream_connections), had);

    CHECK(successor(&rig, 1, fds, 1, &next) >= 0);
    CHECK_INT(mf_engine_start(next), 0);
    int again = take(rig.listeners[0]);
    answer(again, asked(again), 20, 1);
    expect(late, 7, 20, NULL);
    mf_engine_free(next);
    close(late);
    close(provider);
    close(again);
    close_rig(&rig);
}

/* Whatever is not stopped softly leaves them, too. */
static void test_a_hard_end_leaves_them(void)
{
    struct rig rig;
    int fds[MF_WORKERS_MAX];
    open_rig(&rig, 1, MF_OUTBOUND, NULL);
    CHECK_INT(mf_engine_copies(rig.engine, 0, fds), 1);
    CHECK_INT(mf_engine_share(rig.engine, 0, true), 0);
    CHECK_INT(mf_engine_stop(rig.engine), 0);
    int late = dial(&rig.proxy), taken = take(fds[0]);
    CHECK(late >= 0 && taken >= 0);
    close(late);
    close(taken);
    close(fds[0]);
    close_rig(&rig);
}

static void *hear(void *epoll)
{
    struct epoll_event event;
    epoll_wait(*(int *)epoll, &event, 1, -1);
    return NULL;
}

/* The kernel tells one of those that share a queue, and that one takes nobody any more. */
static void test_who_waits_is_found_by_another_than_was_told(void)
{
    struct rig rig;
    int fds[MF_WORKERS_MAX], epoll = epoll_create1(EPOLL_CLOEXEC);
    struct mf_engine *next;
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE};
    pthread_t thread;
    open_rig(&rig, 1, MF_OUTBOUND, NULL);
    CHECK_INT(mf_engine_copies(rig.engine, 0, fds), 1);
    CHECK_INT(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event), 0); /* before the next, so it is told first */
    CHECK_INT(pthread_create(&thread, NULL, hear, &epoll), 0);
    usleep(100000);
    CHECK_INT(mf_engine_share(rig.engine, 0, true), 0);
    CHECK_INT(mf_engine_stop(rig.engine), 0);
    CHECK(successor(&rig, 1, fds, 1, &next) >= 0);
    CHECK_INT(mf_engine_start(next), 0);
    usleep(100000);
    int late = dial(&rig.proxy);
    ask(late, 7, "svc", NULL);
    int provider = take(rig.listeners[0]);
    answer(provider, asked(provider), 20, 1);
    expect(late, 7, 20, NULL);
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    mf_engine_free(next);
    close(epoll);
    close(late);
    close(provider);
    close_rig(&rig);
}

/* More workers than sockets share them; fewer are an error, and so is what does not listen: it is left open. */
static void test_what_is_taken(void)
{
    struct rig rig;
    int fds[MF_WORKERS_MAX], two[2];
    struct mf_engine *next;
    open_rig(&rig, 1, MF_OUTBOUND, NULL);
    CHECK_INT(mf_engine_copies(rig.engine, 0, fds), 1);
    two[0] = fds[0];
    two[1] = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
    CHECK_INT(successor(&rig, 1, two, 2, &next), -EINVAL);
    mf_engine_free(next);
    int plain = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_INT(successor(&rig, 1, &plain, 1, &next), -EINVAL);
    mf_engine_free(next);
    CHECK_INT(successor(&rig, 1, &rig.listeners[2], 1, &next), 0);
    mf_engine_free(next); /* it was the engine's from then on */
    CHECK(!is_open(rig.listeners[2]) && is_open(plain) && is_open(two[0]) && is_open(two[1]));
    rig.listeners[2] = -1;
    close(two[1]);

    CHECK_INT(successor(&rig, 3, fds, 1, &next), 0);
    CHECK_INT(mf_engine_start(next), 0);
    CHECK_INT(mf_engine_copies(next, 0, fds), 3);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    int caller = dial(&rig.proxy);
    ask(caller, 9, "svc", NULL);
    int provider = take(rig.listeners[0]);
    answer(provider, asked(provider), 20, 1);
    expect(caller, 9, 20, NULL);
    mf_engine_free(next);
    close(caller);
    close(provider);
    close(plain);
    close_rig(&rig);
}

/* The file of a UNIX socket is removed by the last that has it for itself. */
static void test_the_file_stays(void)
{
    struct rig rig;
    int fds[MF_WORKERS_MAX];
    const char *why = NULL;
    char at[64], *path = at + strlen("unix://");
    struct mf_engine *first, *next, *last;
    struct stat info;
    open_rig(&rig, 1, MF_OUTBOUND, NULL);
    struct mf_engine_options options = {.workers = 2, .loop.backend = backend, .table = rig.table};
    struct mf_listen_options listen = {.name = MF_SLICE("unix")};
    mf_limits_default(&options.limits);
    CHECK_INT(mf_addr_parse(mf_slice_of(at, (size_t)snprintf(at, sizeof at, "unix:///tmp/mf-shared-%d", getpid())),
                            &listen.bind), 0);
    CHECK_INT(mf_engine_new(&options, &first, &why), 0);
    CHECK_INT(mf_engine_listen(first, &listen, NULL), 0);
    CHECK_INT(mf_engine_start(first), 0);
    CHECK_INT(mf_engine_copies(first, 0, fds), 2);
    CHECK_INT(successor(&rig, 2, fds, 2, &next), 0);
    mf_engine_free(next); /* which has never started */
    CHECK_INT(lstat(path, &info), 0);

    CHECK_INT(mf_engine_copies(first, 0, fds), 2);
    CHECK_INT(mf_engine_share(first, 0, true), 0);
    mf_engine_free(first);
    CHECK_INT(lstat(path, &info), 0);
    CHECK_INT(successor(&rig, 2, fds, 2, &last), 0);
    CHECK_INT(mf_engine_start(last), 0);
    CHECK_INT(mf_engine_share(last, 0, false), 0);
    int caller = dial(&listen.bind);
    ask(caller, 3, "svc", NULL);
    int provider = take(rig.listeners[0]);
    answer(provider, asked(provider), 20, 1);
    expect(caller, 3, 20, NULL);
    close(caller);
    close(provider);
    mf_engine_free(last);
    CHECK(lstat(path, &info) < 0 && errno == ENOENT);
    close_rig(&rig);
}

static unsigned mode_of(const char *path)
{
    struct stat info;
    return lstat(path, &info) < 0 ? 0 : info.st_mode & 0777u;
}

/* The file is as the first has it until the next is to go on with the socket, and then as that one has it. */
static void test_another_mode(void)
{
    struct rig rig;
    int fds[MF_WORKERS_MAX];
    const char *why = NULL;
    char at[64], *path = at + strlen("unix://");
    struct mf_engine *engines[2];
    open_rig(&rig, 1, MF_OUTBOUND, NULL);
    struct mf_engine_options options = {.workers = 1, .loop.backend = backend, .table = rig.table};
    struct mf_listen_options listen = {.name = MF_SLICE("unix"), .mode = 0640};
    mf_limits_default(&options.limits);
    CHECK_INT(mf_addr_parse(mf_slice_of(at, (size_t)snprintf(at, sizeof at, "unix:///tmp/mf-mode-%d", getpid())),
                            &listen.bind), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(mf_engine_new(&options, &engines[i], &why), 0);
        CHECK_INT(mf_engine_listen(engines[i], &listen, NULL), 0);
        CHECK_INT(mf_engine_start(engines[i]), 0);
        if (i == 0)
            CHECK_INT(mf_engine_copies(engines[0], 0, fds), 1);
        listen = (struct mf_listen_options){.name = MF_SLICE("unix"), .mode = 0666, .fds = fds, .n_fds = 1};
    }
    CHECK_INT(mode_of(path), 0640);
    CHECK_INT(mf_engine_share(engines[0], 0, true), 0);
    CHECK_INT(mode_of(path), 0640);
    CHECK_INT(mf_engine_share(engines[1], 0, false), 0);
    CHECK_INT(mode_of(path), 0666);
    CHECK_INT(chmod(path, 0600), 0); /* as the one after that does */
    CHECK_INT(mf_engine_share(engines[1], 0, false), 0);
    CHECK_INT(mode_of(path), 0600);
    mf_engine_free(engines[0]);
    mf_engine_free(engines[1]);
    CHECK_INT(mode_of(path), 0);
    close_rig(&rig);
}

int main(void)
{
    static void (*const tests[])(void) = {
        test_who_waits_is_left_to_the_next,
        test_a_hard_end_leaves_them,
        test_who_waits_is_found_by_another_than_was_told,
        test_what_is_taken,
        test_the_file_stays,
        test_another_mode,
    };
    return run_all("shared", tests, sizeof tests / sizeof *tests);
}
