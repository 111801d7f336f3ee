/* listen: who may share an address, permissions and the life of a UNIX socket's file, several that start at once. */
#include "world.h"

#include "loop/listen.h"

#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const struct mf_listen_how alone = {.backlog = 8};
static const struct mf_listen_how first = {.backlog = 64, .share = MF_LISTEN_FIRST};
static const struct mf_listen_how join = {.backlog = 64, .share = MF_LISTEN_JOIN};

static struct mf_addr addr_of(const char *text, uint16_t port)
{
    struct mf_addr at;
    CHECK_INT(mf_addr_parse(mf_slice_str(text), &at), 0);
    if (at.sa.sa_family == AF_INET)
        ((struct sockaddr_in *)&at.storage)->sin_port = port;
    else
        ((struct sockaddr_in6 *)&at.storage)->sin6_port = port;
    return at;
}

static uint16_t port_of(const struct mf_addr *at)
{
    return at->sa.sa_family == AF_INET ? ((const struct sockaddr_in *)&at->storage)->sin_port
                                       : ((const struct sockaddr_in6 *)&at->storage)->sin6_port;
}

static int knock(const struct mf_addr *at)
{
    int fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, &at->sa, at->len) == 0)
        return fd;
    int rc = -errno;
    close(fd);
    return rc;
}

static void refused(const struct mf_addr *at)
{
    CHECK_INT(mf_listen_open(at, &alone, NULL), -EADDRINUSE);
    CHECK_INT(mf_listen_open(at, &first, NULL), -EADDRINUSE);
}

/* A group, its members' share of connections, and what a second group of the same or an overlapping address gets. */
static void test_group(const char *here, const char *over)
{
    struct mf_addr at = addr_of(here, 0), wide;
    int fds[3] = {mf_listen_open(&at, &first, NULL)}, dialled[60], got[3] = {0};
    if (fds[0] == -EAFNOSUPPORT || fds[0] == -EADDRNOTAVAIL)
        return; /* a machine without IPv6 */
    CHECK(fds[0] >= 0);
    CHECK_INT(mf_sock_local(fds[0], &at), 0);
    refused(&at); /* while the group is only its first */
    fds[1] = mf_listen_open(&at, &join, NULL);
    fds[2] = mf_listen_open(&at, &join, NULL);
    CHECK(fds[1] >= 0 && fds[2] >= 0);
    refused(&at);
    wide = addr_of(over, port_of(&at));
    refused(&wide);
    int out = 0;
    for (int i = 0; i < 60; i++)
        dialled[i] = knock(&at);
    for (int i = 0; i < 3; i++)
        for (int fd; (fd = accept4(fds[i], NULL, NULL, SOCK_CLOEXEC)) >= 0; close(fd), out++)
            got[i]++;
    CHECK_INT(out, 60);
    CHECK(got[0] > 0 && got[1] > 0 && got[2] > 0); /* 1 in 10^10 that one of them is never chosen */
    close(fds[0]); /* the others are enough to be somebody */
    refused(&at);
    close(fds[1]);
    close(fds[2]);
    fds[0] = mf_listen_open(&at, &first, NULL); /* connections that are over, or not yet, keep nobody out */
    CHECK(fds[0] >= 0);
    for (int i = 0; i < 60; i++)
        close(dialled[i]);
    close(fds[0]);
}

static void test_groups(void)
{
    test_group("tcp://127.0.0.1:0", "tcp://0.0.0.0:0");
    test_group("tcp://0.0.0.0:0", "tcp://127.0.0.1:0");
    test_group("tcp://[::1]:0", "tcp://[::]:0");
    test_group("tcp://[::]:0", "tcp://127.0.0.1:0");
    /* those who share blindly are somebody, too */
    struct mf_addr at = addr_of("tcp://127.0.0.1:0", 0);
    int fd = mf_listen_open(&at, &join, NULL);
    CHECK_INT(mf_sock_local(fd, &at), 0);
    refused(&at);
    close(fd);
}

static char folder[64], text[128], *path;
static struct mf_addr at_path;

static void begin(void)
{
    strcpy(folder, "/tmp/meshfast-test-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(text, sizeof text, "unix://%s/sock", folder);
    path = text + 7;
    CHECK_INT(mf_addr_parse(mf_slice_str(text), &at_path), 0);
}

static void end(void)
{
    unlink(path);
    CHECK_INT(rmdir(folder), 0); /* no lock stayed */
}

static int mode_of(const char *name)
{
    struct stat info;
    return lstat(name, &info) < 0 ? -1 : (int)(info.st_mode & 0777);
}

static void test_mode(void)
{
    begin();
    for (int i = 0; i < 2; i++) {
        mode_t old = umask(i ? 0 : 0777);
        struct mf_listen_file file;
        int fd = mf_listen_open(&at_path, &alone, &file);
        umask(old);
        CHECK(fd >= 0);
        CHECK_INT(mode_of(path), 0600);
        mf_listen_remove(&at_path, &file);
        CHECK_INT(mode_of(path), -1);
        close(fd);
        old = umask(i ? 0 : 0777);
        fd = mf_listen_open(&at_path, &(struct mf_listen_how){.backlog = 8, .mode = 0666}, NULL);
        umask(old);
        CHECK_INT(mode_of(path), 0666);
        close(fd);
    }
    end();
}

static void test_file(void)
{
    begin();
    struct mf_listen_file one, two;
    int a = mf_listen_open(&at_path, &alone, &one);
    CHECK(a >= 0);
    refused(&at_path); /* somebody listens: not ours to remove */
    CHECK_INT(knock(&at_path) >= 0, 1);
    close(a); /* stale: the next one takes it over, and the first leaves that alone */
    int b = mf_listen_open(&at_path, &alone, &two);
    CHECK(b >= 0);
    chmod(path, 0660);
    mf_listen_remove(&at_path, &one);
    CHECK_INT(mode_of(path), 0660);
    mf_listen_remove(&at_path, &two);
    CHECK_INT(mode_of(path), -1);
    close(b);
    mf_listen_remove(&at_path, &two); /* nothing there: nothing done */
    b = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600); /* a file that is no socket stays */
    close(b);
    refused(&at_path);
    CHECK_INT(mode_of(path), 0600);
    unlink(path);
    CHECK_INT(symlink("elsewhere", path), 0);
    refused(&at_path);
    end();
    struct mf_addr abstract;
    CHECK_INT(mf_addr_parse(mf_slice_str("unix://@meshfast-test-listen"), &abstract), 0);
    a = mf_listen_open(&abstract, &alone, &one);
    CHECK(a >= 0);
    refused(&abstract);
    mf_listen_remove(&abstract, &one);
    close(a);
    struct mf_addr nowhere;
    CHECK_INT(mf_addr_parse(mf_slice_str("unix:///no/such/folder/sock"), &nowhere), 0);
    CHECK_INT(mf_listen_open(&nowhere, &alone, NULL), -ENOENT);
}

/* Its process is gone, and the kernel has not taken all down yet: here we hold the rest. */
static void test_ending(void)
{
    begin();
    int held = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), status;
    CHECK_INT(bind(held, &at_path.sa, at_path.len), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(listen(held, 8));
    siginfo_t info;
    CHECK_INT(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    refused(&at_path); /* it is still there, if only for its parent */
    CHECK_INT(waitpid(child, &status, 0), child);
    CHECK_INT(status, 0);
    int fd = mf_listen_open(&at_path, &alone, NULL);
    CHECK(fd >= 0);
    close(fd);
    close(held);
    end();
}

enum { STARTERS = 8, ROUNDS = 50 };
static pthread_barrier_t gate;

static void *starter(void *arg)
{
    int *fd = arg;
    pthread_barrier_wait(&gate);
    *fd = mf_listen_open(&at_path, &alone, NULL);
    return NULL;
}

/* All find a stale file; one of them gets the path, and can be reached by it. */
static void test_starters(void)
{
    begin();
    pthread_barrier_init(&gate, NULL, STARTERS);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_t threads[STARTERS];
        int fds[STARTERS], won = -1, winners = 0;
        for (int i = 0; i < STARTERS; i++)
            pthread_create(&threads[i], NULL, starter, &fds[i]);
        for (int i = 0; i < STARTERS; i++) {
            pthread_join(threads[i], NULL);
            winners += fds[i] >= 0;
            won = fds[i] >= 0 ? fds[i] : won;
            CHECK(fds[i] >= 0 || fds[i] == -EADDRINUSE);
        }
        CHECK_INT(winners, 1);
        int fd = knock(&at_path), got = accept4(won, NULL, NULL, SOCK_CLOEXEC);
        CHECK(fd >= 0 && got >= 0);
        close(got);
        close(fd);
        close(won); /* the file stays, stale */
    }
    pthread_barrier_destroy(&gate);
    end();
}

/* Who was let in before stays in; nobody new comes. */
static void test_shut(void)
{
    struct mf_addr at = addr_of("tcp://127.0.0.1:0", 0);
    int fd = mf_listen_open(&at, &join, NULL);
    CHECK_INT(mf_sock_local(fd, &at), 0);
    int in = knock(&at);
    CHECK_INT(mf_listen_shut(fd), 0);
    int out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    CHECK(connect(out, &at.sa, at.len) < 0 && errno == EINPROGRESS);
    int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    CHECK(got >= 0);
    CHECK(accept4(fd, NULL, NULL, SOCK_CLOEXEC) < 0);
    char byte;
    CHECK_INT(write(in, "x", 1), 1);
    CHECK_INT(read(got, &byte, 1), 1);
    close(out);
    close(in);
    close(got);
    close(fd);

    begin();
    fd = mf_listen_open(&at_path, &alone, NULL);
    in = knock(&at_path);
    CHECK_INT(mf_listen_shut(fd), 0);
    CHECK_INT(knock(&at_path), -ECONNREFUSED);
    got = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
    CHECK(got >= 0);
    close(in);
    close(got);
    close(fd);
    end();
    CHECK_INT(mf_listen_shut(-1), -EBADF);
}

int main(void)
{
    (void)on_each;
    test_groups();
    test_mode();
    test_file();
    test_ending();
    test_starters();
    test_shut();
    return test_end("loop/listen");
}
