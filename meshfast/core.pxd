# What the extension uses of csrc/meshfast.h, and nothing else. Declared once, here.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "meshfast.h" nogil:
    # base/err.h
    const char *mf_err_text(int rc)
    const char *mf_err_name(int rc)
    cdef enum mf_err_kind:
        MF_KIND_system
        MF_KIND_more
        MF_KIND_protocol
        MF_KIND_limit
        MF_KIND_state
    mf_err_kind _mf_err_kind "mf_err_kind"(int rc)

    # base/slice.h
    cdef struct mf_slice:
        const uint8_t *ptr
        size_t len
    cdef struct mf_pair:
        mf_slice key
        mf_slice value
    mf_slice mf_slice_of(const void *ptr, size_t len)

    # loop/loop.h
    cdef struct mf_loop:
        pass
    cdef enum mf_loop_backend:
        MF_LOOP_AUTO
        MF_LOOP_EPOLL
        MF_LOOP_URING
    cdef struct mf_loop_options:
        mf_loop_backend backend
        uint32_t read_size
        uint32_t ring_entries
    int mf_loop_new(const mf_loop_options *options, mf_loop **out, const char **why)
    void mf_loop_free(mf_loop *loop)
    const char *mf_loop_name(const mf_loop *loop)
    int mf_loop_turn(mf_loop *loop, int64_t max_wait_ns)
    void mf_loop_wake(mf_loop *loop)
    int mf_loop_fd(const mf_loop *loop)
    uint64_t mf_clock_ns()
    cdef enum:
        MF_WATCH_READ
        MF_WATCH_WRITE
        MF_WATCH_ERROR
    cdef struct mf_watch:
        int fd
        uint32_t events
        void (*on_ready)(mf_watch *, uint32_t) noexcept nogil
    int mf_watch_add(mf_loop *loop, mf_watch *watch)
    int mf_watch_modify(mf_watch *watch, uint32_t events)
    void mf_watch_remove(mf_watch *watch)
    cdef struct mf_loop_counts:
        uint64_t turns, waits, syscalls, reads, writes, accepts, accept_failures, bytes_in, bytes_out
    void _mf_loop_counts "mf_loop_counts"(const mf_loop *loop, mf_loop_counts *out)
