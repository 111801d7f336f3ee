#include "loop/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { LOCK_TRIES = 1000, LOCK_US = 1000 };

/* NULL: no UNIX socket, or an abstract one. */
static const char *path_of(const struct mf_addr *addr)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&addr->storage;
    return addr->sa.sa_family == AF_UNIX && un->sun_path[0] ? un->sun_path : NULL;
}

/* --- one at a time makes or removes a socket's file: a lock beside it, there only meanwhile */

struct lock {
    int fd;
    char name[sizeof(struct sockaddr_un) + 16];
};

static bool same_file(int fd, const char *name)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && lstat(name, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int lock_take(struct lock *lock, const char *path)
{
    snprintf(lock->name, sizeof lock->name, "%s.meshfast", path);
    for (int i = 0; i < LOCK_TRIES; i++) {
        lock->fd = open(lock->name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
        if (lock->fd < 0)
            return -errno;
        int rc = flock(lock->fd, LOCK_EX | LOCK_NB) < 0 ? -errno : 0;
        if (rc == 0 && same_file(lock->fd, lock->name)) /* else who had it has just removed it */
            return 0;
        close(lock->fd);
        if (rc < 0 && rc != -EWOULDBLOCK)
            return rc;
        if (rc < 0)
            usleep(LOCK_US);
    }
    return -EADDRINUSE;
}

static void lock_give(struct lock *lock)
{
    unlink(lock->name);
    close(lock->fd);
}

/* --- UNIX */

/* Who listens there is gone, and what it had is still being taken down: with io_uring that goes on after its end. */
static bool is_ending(int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.pid <= 0)
        return false;
    return kill(who.pid, 0) < 0 && errno == ESRCH;
}

/* A socket file that nobody listens on is left from a process that is gone. */
static void remove_stale(const struct mf_addr *addr, const char *path)
{
    struct stat info;
    if (lstat(path, &info) < 0 || !S_ISSOCK(info.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    if (connect(fd, &addr->sa, addr->len) < 0 ? errno == ECONNREFUSED : is_ending(fd))
        unlink(path);
    close(fd);
}

static struct mf_listen_file file_of(const struct stat *info)
{
    /* An inode's number is soon used again; when it was made is not, and neither chmod nor chown changes that. */
    return (struct mf_listen_file){
        .dev = info->st_dev,
        .ino = info->st_ino,
        .made = (uint64_t)info->st_mtim.tv_sec * 1000000000u + (uint64_t)info->st_mtim.tv_nsec,
    };
}

/* Nobody can dial before the listen, so the file has its permissions in time. */
static int name_it(int fd, const struct mf_addr *addr, const char *path, const struct mf_listen_how *options,
                   struct mf_listen_file *file)
{
    struct stat info;
    remove_stale(addr, path);
    if (bind(fd, &addr->sa, addr->len) < 0)
        return -errno;
    mode_t mode = options->mode ? options->mode & 0777 : MF_LISTEN_MODE;
    if (fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) < 0 || lstat(path, &info) < 0 ||
        listen(fd, options->backlog) < 0) {
        int rc = -errno;
        unlink(path);
        return rc;
    }
    *file = file_of(&info);
    return 0;
}

static int open_unix(int fd, const struct mf_addr *addr, const struct mf_listen_how *options,
                     struct mf_listen_file *file)
{
    const char *path = path_of(addr);
    if (!path)
        return bind(fd, &addr->sa, addr->len) < 0 || listen(fd, options->backlog) < 0 ? -errno : 0;
    struct lock lock;
    int rc = lock_take(&lock, path);
    if (rc < 0)
        return rc;
    rc = name_it(fd, addr, path, options, file);
    lock_give(&lock);
    return rc;
}

/* Does something with the file if it is still the one that was made. */
static void with_file(const struct mf_addr *addr, const struct mf_listen_file *mine, void (*act)(const char *path, uint32_t mode),
                      uint32_t mode)
{
    const char *path = path_of(addr);
    if (!path || !mine->ino)
        return;
    struct lock lock;
    struct stat info;
    bool locked = lock_take(&lock, path) == 0; /* where it cannot be, the rest will hardly work either */
    if (lstat(path, &info) == 0) {
        struct mf_listen_file now = file_of(&info);
        if (now.dev == mine->dev && now.ino == mine->ino && now.made == mine->made)
            act(path, mode);
    }
    if (locked)
        lock_give(&lock);
}

static void remove_it(const char *path, uint32_t mode)
{
    (void)mode;
    unlink(path);
}

void mf_listen_remove(const struct mf_addr *addr, struct mf_listen_file *file)
{
    with_file(addr, file, remove_it, 0);
    *file = (struct mf_listen_file){0};
}

static void permit(const char *path, uint32_t mode)
{
    (void)fchmodat(AT_FDCWD, path, mode & 0777, AT_SYMLINK_NOFOLLOW); /* who could make it can do this */
}

void mf_listen_permit(const struct mf_addr *addr, const struct mf_listen_file *file, uint32_t mode)
{
    with_file(addr, file, permit, mode);
}

/* --- TCP */

/* Where all that listen share the address from the beginning, a stranger does too and nobody notices. So the first one
 * binds and listens without sharing, which fails when anybody else listens, in whatever way; only then it may be joined.
 * The kernel asks about a socket's readiness to share when the next one binds. */
static int open_tcp(int fd, const struct mf_addr *addr, const struct mf_listen_how *options)
{
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return -errno;
    if (options->share == MF_LISTEN_JOIN && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0)
        return -errno;
    if (bind(fd, &addr->sa, addr->len) < 0 || listen(fd, options->backlog) < 0)
        return -errno;
    if (options->share == MF_LISTEN_FIRST && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0)
        return -errno;
    return 0;
}

int mf_listen_open(const struct mf_addr *addr, const struct mf_listen_how *options, struct mf_listen_file *file)
{
    struct mf_listen_file made = {0};
    int fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc = addr->sa.sa_family == AF_UNIX ? open_unix(fd, addr, options, &made) : open_tcp(fd, addr, options);
    if (file)
        *file = made;
    if (rc < 0)
        close(fd);
    return rc < 0 ? rc : fd;
}

/* --- one that another process made */

int mf_listen_adopt(int fd, struct mf_addr *addr, struct mf_listen_file *file)
{
    int is = 0, type = 0;
    socklen_t len = sizeof is;
    *file = (struct mf_listen_file){0};
    *addr = (struct mf_addr){.len = sizeof addr->storage};
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is, &len) < 0)
        return -errno;
    len = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || getsockname(fd, &addr->sa, &addr->len) < 0)
        return -errno;
    if (!is || type != SOCK_STREAM)
        return -EINVAL;
    int none = 0; /* who had it alone may have shut it; where it has not this is an error that means nothing */
    (void)setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    struct stat info;
    const char *path = path_of(addr);
    if (path && lstat(path, &info) == 0 && S_ISSOCK(info.st_mode))
        *file = file_of(&info);
    return 0;
}

/* --- the end */

int mf_listen_shut(int fd)
{
    /* A packet that begins a connection is dropped; what completes a handshake passes. A TCP socket's filter sees the
     * packet from its TCP header on: flags are byte 13, SYN is 2. */
    static struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
    };
    struct sock_fprog filter = {.len = sizeof steps / sizeof *steps, .filter = steps};
    struct mf_addr at = {.len = sizeof at.storage};
    if (getsockname(fd, &at.sa, &at.len) < 0)
        return -errno;
    if (at.sa.sa_family == AF_UNIX)
        return shutdown(fd, SHUT_RD) < 0 ? -errno : 0; /* TCP would forget whom it has let in */
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0 ? -errno : 0;
}
