# passed: connections on their way from one engine to another, as Python has them in between.

from libc.errno cimport EAGAIN
from libc.string cimport memcpy

_TOO_MANY = (": 32 are the most, and one for which a process of more workers passed sockets counts several times; "
             "start with as many workers as that had")


cdef list _passed(mf_engine *engine, dict listeners, int most):
    """Those that have left, most of them at most. `listeners`: their numbers by name."""
    cdef mf_passed one
    cdef list out = []
    while len(out) < most and mf_engine_next_passed(engine, &one):
        name = next(name for name, numbers in listeners.items() if one.listener in numbers)
        out.append((name, one.fd, one.dubbo, one.discard, one.silent, one.came[:one.came_len] if one.came else b""))
        mf_free(one.came)
    return out


cdef bint _adopt(mf_engine *engine, str name, uint32_t listener, int fd, bint dubbo, uint64_t discard, uint64_t silent,
                 bytes came) except *:
    """Whether it is the engine's from now on."""
    cdef mf_passed one
    cdef int rc
    memset(&one, 0, sizeof(one))
    one.fd, one.listener, one.dubbo, one.discard, one.silent = fd, listener, dubbo, discard, silent
    if came:
        one.came_len = len(came)
        one.came = <uint8_t *>mf_alloc(one.came_len)
        if one.came == NULL:
            raise MemoryError()
        memcpy(one.came, <const char *>came, one.came_len)
    rc = mf_engine_adopt(engine, &one)
    if rc < 0:
        mf_free(one.came)
    if rc != -EAGAIN:
        check(rc, f"a connection of listener {name}")
    return rc == 0
