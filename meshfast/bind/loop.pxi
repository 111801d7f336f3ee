# loop: the native loop as an object with file descriptors to watch. Its turns need no GIL: what became ready is noted
# in a C array and read out afterwards.

from cpython.exc cimport PyErr_CheckSignals
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawRealloc


cdef struct loop_ready:
    int fd
    uint32_t events

cdef struct loop_watch:
    mf_watch watch      # first, so that one is the other
    loop_notes *notes

cdef struct loop_notes:
    loop_ready *ready   # room for every watch
    Py_ssize_t count, cap


cdef void loop_note(mf_watch *watch, uint32_t events) noexcept nogil:
    cdef loop_notes *notes = (<loop_watch *>watch).notes
    if notes.count < notes.cap:
        notes.ready[notes.count].fd = watch.fd
        notes.ready[notes.count].events = events
        notes.count += 1


cdef class Loop:
    cdef mf_loop *ptr
    cdef dict _watches          # fd -> address of its loop_watch
    cdef loop_notes _notes
    cdef bint _turning
    cdef int guests             # engines that live in this loop
    cdef readonly object why    # str or None

    def __cinit__(self, str backend="auto", *, uint32_t read_size=0, uint32_t ring_entries=0):
        cdef mf_loop_options options
        cdef const char *why = NULL
        self._watches = {}
        options.read_size = read_size
        options.ring_entries = ring_entries
        if backend == "auto":
            options.backend = MF_LOOP_AUTO
        elif backend == "epoll":
            options.backend = MF_LOOP_EPOLL
        elif backend == "io_uring":
            options.backend = MF_LOOP_URING
        else:
            raise ValueError(f"no such loop: {backend!r}; choose auto, epoll or io_uring")
        rc = mf_loop_new(&options, &self.ptr, &why)
        self.why = why.decode() if why != NULL else None
        check(rc, self.why)

    def __dealloc__(self):
        self._free()

    cdef void _free(self) noexcept:
        cdef loop_watch *watch
        mf_loop_free(self.ptr)
        self.ptr = NULL
        if self._watches is not None:
            for address in self._watches.values():
                PyMem_RawFree(<void *><size_t>address)
            self._watches.clear()
        PyMem_RawFree(self._notes.ready)
        self._notes.ready = NULL
        self._notes.count = self._notes.cap = 0

    cdef int _usable(self) except -1:
        if self.ptr == NULL:
            raise RuntimeError("the loop is closed")
        if self._turning:
            raise RuntimeError("the loop is in a turn, on another thread")
        return 0

    cdef loop_watch *_find(self, int fd) except NULL:
        address = self._watches.get(fd)
        if address is None:
            raise KeyError(fd)
        return <loop_watch *><size_t>address

    def close(self):
        if self._turning:
            raise RuntimeError("the loop is in a turn, on another thread")
        if self.guests:
            raise RuntimeError("an engine lives in this loop; stop it first")
        self._free()

    @property
    def closed(self):
        return self.ptr == NULL

    @property
    def name(self):
        self._usable()
        return mf_loop_name(self.ptr).decode()

    def fileno(self):
        if self.ptr == NULL:
            raise ValueError("I/O operation on closed loop")
        return mf_loop_fd(self.ptr)

    def register(self, int fd, uint32_t events):
        self._usable()
        if fd in self._watches:
            raise KeyError(f"{fd} is already registered")
        cdef Py_ssize_t need = len(self._watches) + 1
        cdef Py_ssize_t cap = self._notes.cap
        cdef void *room
        if need > cap:
            cap = 2 * cap if cap else 16
            room = PyMem_RawRealloc(self._notes.ready, cap * sizeof(loop_ready))
            if room == NULL:
                raise MemoryError
            self._notes.ready = <loop_ready *>room
            self._notes.cap = cap
        cdef loop_watch *watch = <loop_watch *>PyMem_RawCalloc(1, sizeof(loop_watch))
        if watch == NULL:
            raise MemoryError
        watch.watch.fd = fd
        watch.watch.events = events
        watch.watch.on_ready = loop_note
        watch.notes = &self._notes
        rc = mf_watch_add(self.ptr, &watch.watch)
        if rc < 0:
            PyMem_RawFree(watch)
            check(rc)
        self._watches[fd] = <size_t>watch

    def modify(self, int fd, uint32_t events):
        self._usable()
        cdef loop_watch *watch = self._find(fd)
        check(mf_watch_modify(&watch.watch, events))

    def unregister(self, int fd):
        self._usable()
        cdef loop_watch *watch = self._find(fd)
        mf_watch_remove(&watch.watch)
        del self._watches[fd]
        PyMem_RawFree(watch)

    def turn(self, double timeout=-1.0):
        self._usable()
        cdef int64_t wait = 0
        if timeout < 0 or timeout > 4e9:  # a century; the sum below must not overflow
            wait = -1
        elif timeout > 0:
            wait = <int64_t>(timeout * 1e9) + 1
        cdef uint64_t end = mf_clock_ns() + <uint64_t>wait if wait > 0 else 0
        cdef uint64_t now
        cdef int rc
        self._notes.count = 0
        while True:
            self._turning = True
            if wait == 0:
                rc = mf_loop_turn(self.ptr, 0)  # nothing to wait for: giving the GIL up would cost more
            else:
                with nogil:
                    rc = mf_loop_turn(self.ptr, wait)
            self._turning = False
            if self._notes.count:
                break
            PyErr_CheckSignals()
            if self.ptr == NULL:  # a signal handler closed it
                return []
            check(rc)
            if wait == 0:
                break
            if wait > 0:
                now = mf_clock_ns()
                wait = <int64_t>(end - now) if now < end else 0
                if wait == 0:
                    break
        return [(self._notes.ready[i].fd, self._notes.ready[i].events) for i in range(self._notes.count)]

    def wake(self):
        if self.ptr != NULL:
            mf_loop_wake(self.ptr)

    def counts(self):
        cdef mf_loop_counts counts
        if self.ptr == NULL:
            raise RuntimeError("the loop is closed")
        _mf_loop_counts(self.ptr, &counts)
        return dict(counts)


LOOP_READ = MF_WATCH_READ
LOOP_WRITE = MF_WATCH_WRITE
LOOP_ERROR = MF_WATCH_ERROR
