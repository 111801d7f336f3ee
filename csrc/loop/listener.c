#include "loop/backend.h"
#include "loop/listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

enum { SWEEP = 1 << 16 }; /* more than any queue of connections holds */

/* SO_ORIGINAL_DST, the same number for IPv4 and IPv6; the kernel's headers for it clash with netinet's. */
enum { ORIGINAL_DST = 80 };

int mf_listener_open(struct mf_loop *loop, struct mf_listener *listener, int fd)
{
    listener->_loop = loop;
    listener->fd = fd;
    listener->_state = listener->_ops = 0;
    listener->_backend = NULL;
    listener->_retry = (struct mf_timer){0};
    int rc = loop->ops->listener_add(listener);
    if (rc == 0)
        mf_list_push(&loop->listeners, &listener->_node);
    return rc;
}

/* From the loop, as on_accept may come of it. */
static void close_now(struct mf_timer *timer)
{
    struct mf_listener *listener = MF_CONTAINER(timer, struct mf_listener, _retry);
    listener->_loop->ops->listener_drop(listener);
}

void mf_listener_close(struct mf_listener *listener)
{
    struct mf_loop *loop = listener->_loop;
    if (listener->_state & MF_L_CLOSING)
        return;
    listener->_state |= MF_L_CLOSING;
    mf_timer_set(&loop->timers, &listener->_retry, loop->now, close_now);
}

void mf_listener_leave(struct mf_listener *listener, bool take)
{
    listener->_state |= (uint16_t)(MF_L_LEFT | (take ? 0 : MF_L_STAY));
    mf_listener_close(listener);
}

int mf_listener_shut(struct mf_listener *listener)
{
    if (listener->fd < 0)
        return MF_ECLOSED;
    int rc = mf_listen_shut(listener->fd);
    if (rc == 0)
        listener->_state |= MF_L_SHUT;
    return rc;
}

void mf_listener_sweep(struct mf_listener *listener)
{
    struct mf_addr at;
    if (listener->_state & MF_L_STAY)
        return;
    if (!(listener->_state & MF_L_LEFT) && mf_sock_local(listener->fd, &at) == 0 && at.sa.sa_family != AF_UNIX)
        mf_listen_shut(listener->fd); /* copies of it may go on */
    mf_listener_look(listener);
}

void mf_listener_look(struct mf_listener *listener)
{
    for (int i = 0; i < SWEEP; i++) {
        struct mf_addr peer = {.len = sizeof peer.storage};
        mf_count(&listener->_loop->counts.syscalls, 1);
        int fd = accept4(listener->fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            mf_listener_accepted(listener, fd, &peer);
        else if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

void mf_listener_gone(struct mf_listener *listener)
{
    listener->fd = -1;
    mf_timer_cancel(&listener->_loop->timers, &listener->_retry);
    mf_list_remove(&listener->_node);
    mf_list_push(&listener->_loop->dead_listeners, &listener->_node);
}

void mf_listener_accepted(struct mf_listener *listener, int fd, const struct mf_addr *peer)
{
    mf_count(&listener->_loop->counts.accepts, 1);
    listener->on_accept(listener, fd, peer);
}

static void rested(struct mf_timer *timer)
{
    struct mf_listener *listener = MF_CONTAINER(timer, struct mf_listener, _retry);
    struct mf_loop *loop = listener->_loop;
    listener->_state &= (uint16_t)~MF_L_RESTING;
    if (loop->ops->listener_add(listener) < 0) {
        listener->_state |= MF_L_RESTING;
        mf_timer_set(&loop->timers, timer, loop->now + MF_REST_NS, rested);
    }
}

bool mf_listener_failed(struct mf_listener *listener, int rc)
{
    struct mf_loop *loop = listener->_loop;
    switch (-rc) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        break;
    case EBADF: /* these say that it will never work again; still no reason to spin */
    case EINVAL:
    case ENOTSOCK:
    case EOPNOTSUPP:
        break;
    default: /* the connection died before it was taken: accept(2) lists its errors */
        return true;
    }
    listener->_state |= MF_L_RESTING;
    loop->ops->listener_rest(listener);
    if (listener->_state & (MF_L_SHUT | MF_L_CLOSING)) /* all have come */
        return false;
    mf_count(&loop->counts.accept_failures, 1);
    mf_timer_set(&loop->timers, &listener->_retry, loop->now + MF_REST_NS, rested);
    if (listener->on_failed)
        listener->on_failed(listener, rc);
    return false;
}

int mf_sock_listen(const struct mf_addr *addr, int backlog, bool reuse_port)
{
    struct mf_listen_how options = {.backlog = backlog, .share = reuse_port ? MF_LISTEN_JOIN : MF_LISTEN_ALONE};
    return mf_listen_open(addr, &options, NULL);
}

static bool is_mapped(const struct mf_addr *addr)
{
    return addr->sa.sa_family == AF_INET6 &&
           IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)&addr->storage)->sin6_addr);
}

/* ::ffff:10.0.0.1 as 10.0.0.1: what the kernel's address translation calls it. */
static void unmap(struct mf_addr *addr)
{
    const struct sockaddr_in6 in6 = *(const struct sockaddr_in6 *)&addr->storage;
    struct sockaddr_in *in = (struct sockaddr_in *)&addr->storage;
    *addr = (struct mf_addr){.len = sizeof *in};
    in->sin_family = AF_INET;
    in->sin_port = in6.sin6_port;
    memcpy(&in->sin_addr, in6.sin6_addr.s6_addr + 12, sizeof in->sin_addr);
}

int mf_sock_original(int fd, struct mf_addr *out)
{
    struct mf_addr local;
    int rc = mf_sock_local(fd, &local);
    if (rc < 0)
        return rc;
    if (is_mapped(&local))
        unmap(&local);
    bool v6 = local.sa.sa_family == AF_INET6;
    *out = (struct mf_addr){.len = sizeof out->storage};
    if (getsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, ORIGINAL_DST, &out->storage, &out->len) < 0)
        return -errno;
    out->len = v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in); /* the kernel leaves it as it was */
    return mf_addr_eq(out, &local) ? -ENOENT : 0;
}

int mf_sock_peer(int fd, struct mf_addr *out)
{
    *out = (struct mf_addr){.len = sizeof out->storage};
    return getpeername(fd, &out->sa, &out->len) < 0 ? -errno : 0;
}

int mf_sock_local(int fd, struct mf_addr *out)
{
    *out = (struct mf_addr){.len = sizeof out->storage};
    return getsockname(fd, &out->sa, &out->len) < 0 ? -errno : 0;
}
