#include "loop/backend.h"

/* What the backends and the turn do with a socket that needs both its life (sock.c) and its bytes (sock_in.c, sock_out.c). */

void mf_sock_write_fail(struct mf_sock *sock, int rc)
{
    if (sock->_state & MF_S_CLOSING)
        return;
    if ((sock->_state & (MF_S_EOF | MF_S_PAUSED | MF_S_FLUSHING))) {
        mf_sock_fail(sock, rc);
        return;
    }
    /* The kernel still hands out what had come before the connection broke: an answer may be in it. */
    sock->_error = rc;
    sock->_state |= MF_S_BROKEN | MF_S_READABLE | MF_S_DRAIN;
    mf_sock_drop_output(sock);
    mf_sock_again(sock);
}

static void tell_eof(struct mf_sock *sock)
{
    if ((sock->_state & (MF_S_EOF | MF_S_EOF_TOLD | MF_S_PAUSED | MF_S_SILENT)) != MF_S_EOF)
        return;
    sock->_state |= MF_S_EOF_TOLD;
    if (sock->events->on_eof)
        sock->events->on_eof(sock);
    else
        mf_sock_close(sock, MF_CLOSE_FLUSH);
}

void mf_sock_at_eof(struct mf_sock *sock)
{
    sock->_state |= MF_S_EOF;
    if (sock->_state & MF_S_BROKEN)
        mf_sock_fail(sock, sock->_error);
    else if (sock->_linger)
        mf_sock_close(sock, MF_CLOSE_NOW);
    else
        tell_eof(sock);
}

void mf_sock_look(struct mf_sock *sock)
{
    if (sock->_state & MF_S_CLOSING) {
        sock->loop->ops->sock_drop(sock);
        return;
    }
    if (sock->_state & MF_S_PAUSED && !(sock->_state & MF_S_SILENT))
        return;
    bool into_block = sock->_ops & MF_OP_DIRECT; /* then the kernel must let go of it before it is shown */
    if ((sock->_state & MF_S_RETELL) && (!into_block || mf_sock_missing(sock) > 0)) {
        sock->_state &= (uint16_t)~MF_S_RETELL;
        mf_sock_retell(sock);
    }
    if (!(sock->_state & MF_S_CLOSING) && !(sock->_state & MF_S_EOF))
        sock->loop->ops->sock_read(sock);
    if (!(sock->_state & MF_S_CLOSING))
        tell_eof(sock);
}

void mf_sock_bury(struct mf_sock *sock)
{
    mf_list_remove(&sock->_node);
    mf_list_remove(&sock->_dirty);
    mf_list_remove(&sock->_dead);
    mf_sock_drop_output(sock);
    mf_sock_drop_input(sock);
}
