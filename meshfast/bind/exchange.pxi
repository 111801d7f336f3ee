# exchange: one request and what is answered to it first, by a thread that waits for it. The GIL is given back once, not
# by each of the system calls: where many threads wait for it, each time costs two changes of threads. What has no room is
# left to the caller: a send that waits does so for each piece anew, and looks at no clock in between.

from libc.errno cimport EINTR, errno

cdef extern from "<poll.h>" nogil:
    enum:
        POLLIN
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *fds, unsigned long count, int milliseconds)

cdef extern from "<sys/socket.h>" nogil:
    enum:
        MSG_DONTWAIT
        MSG_NOSIGNAL
    ssize_t socket_send "send"(int fd, const void *bytes, size_t len, int flags)
    ssize_t socket_recv "recv"(int fd, void *bytes, size_t room, int flags)

cdef enum:
    EXCHANGE_ROOM = 16384  # on the stack of a thread that may have little of it; what is longer is read by the caller


def exchange(int fd, bytes frame not None, int milliseconds):
    cdef uint8_t room[EXCHANGE_ROOM]
    cdef pollfd look
    cdef const char *start = frame
    cdef size_t size = len(frame)
    cdef ssize_t sent = 0, came = -1
    cdef int error = 0
    look.fd, look.events, look.revents = fd, POLLIN, 0
    with nogil:
        if poll(&look, 1, 0) == 0:
            sent = socket_send(fd, start, size, MSG_DONTWAIT | MSG_NOSIGNAL)
            if sent < 0:
                error = errno
                sent = 0
            elif <size_t>sent == size and (milliseconds < 0 or poll(&look, 1, milliseconds) > 0):
                came = socket_recv(fd, room, EXCHANGE_ROOM, 0)
                if came < 0:
                    error = errno
    return sent, room[:came] if came >= 0 else None, 0 if error == EINTR else error
