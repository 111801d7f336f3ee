# worker: the engine as a Python object. Its threads never need the GIL.

from cpython.ref cimport Py_INCREF as _hold
from libc.string cimport memset
from posix.unistd cimport close as _close, getpid as _getpid, pid_t as _pid_t

from time import time as _time


def limits() -> dict:
    """Every limit of the core by its name in the configuration: (default, unit, least, what it bounds)."""
    cdef dict out = {}
    cdef int i = 0
    cdef const mf_limit_info *info = mf_limits_table()
    while info[i].name != NULL:
        out[info[i].name.decode()] = (info[i].value, info[i].unit.decode(), info[i].least, info[i].text.decode())
        i += 1
    return out


def counters() -> dict:
    """Every counter of a worker: name -> (kind, text); kind is "counter" or "gauge"."""
    cdef dict out = {}
    cdef int i = 0
    cdef const mf_counter_info *info = mf_counters_table()
    while info[i].name != NULL:
        out[info[i].name.decode()] = (info[i].kind.decode(), info[i].text.decode())
        i += 1
    return out


cdef mf_addr as_addr(text) except *:
    cdef mf_addr addr
    cdef bytes raw = text.encode()
    check(mf_addr_parse(mf_slice_of(<const char *>raw, len(raw)), &addr), text)
    return addr


cdef str addr_text(const mf_addr *addr):
    cdef char text[128]
    cdef size_t n = mf_addr_format(addr, text)
    return text[:n].decode()


_DIRECTIONS = ("outbound", "inbound")


cdef class _Sum:
    cdef mf_stat_shard counts

    def __cinit__(self):
        memset(&self.counts, 0, sizeof(self.counts))


cdef str _text(mf_slice text):
    return text.ptr[:text.len].decode("utf-8", "replace")


cdef void _add(dict sums, tuple key, const mf_tallied *one):
    cdef _Sum sum = sums.get(key)
    if sum is None:
        sum = sums[key] = _Sum()
    mf_stat_add(&one.counts, &sum.counts)


# A service or method that is itself called `other` is counted with the others.
cdef void _add_service(void *arg, const mf_tallied *one) noexcept with gil:
    _add(<dict>arg, (_DIRECTIONS[one.kind], "other" if one.other else _text(mf_tallied_first(one))), one)


cdef void _add_method(void *arg, const mf_tallied *one) noexcept with gil:
    service = "other" if one.other else _text(mf_tallied_first(one))
    method = "other" if one.other or one.rest else _text(mf_tallied_second(one))
    _add(<dict>arg, (_DIRECTIONS[one.kind], service, method), one)


cdef list _tallied(mf_engine *engine, bint methods):
    """(key, counts) of all workers together."""
    cdef dict sums = {}
    mf_engine_each_tallied(engine, methods, _add_method if methods else _add_service, <void *>sums)
    return [(key, _counts(&(<_Sum>sum).counts)) for key, sum in sums.items()]


cdef dict _labels(const mf_record *record):
    cdef dict out = {}
    cdef int at = 0, name, value
    while at < record.labels_len:
        name = at + 1
        at = name + record.labels[at]
        value = at + 1
        at = value + record.labels[at]
        out[record.labels[name:value - 1].decode("utf-8", "replace")] = record.labels[value:at].decode("utf-8", "replace")
    return out


cdef int64_t _status(const mf_record *record):
    cdef bytes name = mf_stat_status_name(record.status)
    if name.isdigit():
        return int(name)
    if record.status >= MF_STAT_HTTP:
        return record.http if record.http else 100 * (record.status - MF_STAT_HTTP + 1)
    return record.code if record.status in (MF_STAT_GRPC_OTHER, MF_STAT_OTHER) else 0


cdef tuple _record(const mf_record *record, double base):
    return (
        base + record.ended / 1e9, _DIRECTIONS[record.direction],
        record.service[:record.service_len].decode("utf-8", "replace"),
        record.method[:record.method_len].decode("utf-8", "replace"),
        addr_text(&record.caller) if record.caller.len else "", addr_text(&record.peer) if record.peer.len else "",
        record.subset[:record.subset_len].decode("utf-8", "replace"), _labels(record),
        mf_stat_protocol_name(record.status).decode(), _status(record), mf_outcome_name(<mf_outcome>record.outcome).decode(),
        record.http, record.bytes_up, record.bytes_down, record.took / 1e9, record.rule, record.fallbacks, record.tries,
        <int64_t>record.request_id,
    )


@_cython.no_gc_clear  # __dealloc__ needs what it refers to
cdef class Engine:
    """The data plane: workers and their listeners. See csrc/engine/engine.h.

    1. Engine(table, ...)  2. listen() for each listener  3. start()  4. drain()  5. stop()

    Its threads are those of the process that started it. In one that was forked from that it is left alone: it cannot
    be stopped or freed there, as what it has of the kernel is the other's, too.
    """
    cdef mf_engine *ptr
    cdef _pid_t _of  # whose its threads are, 0: nobody's
    cdef object _table, _trace, _loop  # they outlive the engine
    cdef bint _stopped
    cdef int _workers
    cdef dict _listeners  # numbers by name

    def __cinit__(self, Table table not None, *, TraceMemory trace=None, int workers=1, str backend="auto",
                  Loop loop=None, dict limits=None, double access_sample=0.0):
        cdef mf_engine_options options
        cdef const char *why = NULL
        cdef int rc
        memset(&options, 0, sizeof(options))
        backends = {"auto": MF_LOOP_AUTO, "epoll": MF_LOOP_EPOLL, "io_uring": MF_LOOP_URING}
        if backend not in backends:
            raise ValueError(f"backend is auto, epoll or io_uring, not {backend!r}")
        if workers == 0 and loop is None:
            raise ValueError("with 0 workers the engine needs a loop to run in")
        options.workers = workers
        options.loop.backend = backends[backend]
        options.table = table.ptr
        options.trace = NULL if trace is None else trace.ptr
        options.embed = NULL if loop is None else loop.ptr
        if not 0 <= access_sample <= 1:
            raise ValueError(f"access_sample is a share from 0 to 1, not {access_sample!r}")
        if access_sample:
            options.access_sample = max(1, <uint32_t>(access_sample * MF_NOTE_ALL_CALLS))
        mf_limits_default(&options.limits)
        for name, value in (limits or {}).items():
            raw = name.encode()
            check(mf_limits_set(&options.limits, raw, value), name)
        self._table, self._trace, self._loop = table, trace, loop if workers == 0 else None
        self._workers, self._listeners = max(1, workers), {}
        rc = mf_engine_new(&options, &self.ptr, &why)
        check(rc, "the engine could not be made")
        if workers == 0:
            loop.guests += 1

    def __dealloc__(self):
        if self.ptr != NULL and self.is_forked():
            _hold(self._table)  # for ever, as it refers to them
            _hold(self._trace)
            _hold(self._loop)
        elif self.ptr != NULL:
            with nogil:
                mf_engine_free(self.ptr)

    cdef bint is_forked(self) noexcept:
        return self._of != 0 and self._of != _getpid()

    @property
    def forked(self) -> bool:
        """Its threads are another process's, which this one was forked from."""
        return self.is_forked()

    def listen(self, str name, str bind, *, str direction="outbound", str protocol="auto", bint transparent=False,
               str forward="", str service="", str labels="keep-first", str unknown="forward", uint32_t mode=0,
               fds=()) -> str:
        """Binds a listener now and returns its address as text (port 0 becomes a real one). OSError when taken.

        `mode`: of a UNIX socket's file, 0: 0600. The file goes when the engine stops. With `fds` it gets that at `share`, 0: none.
        `fds`: sockets that listen there already, and all that share the address: the engine's from now on, whatever
        becomes of this, and shared until `share` says otherwise.
        """
        given = list(fds)
        try:
            while bind.startswith("unix:") and len(given) > self._workers: _close(given.pop())  # copies of one queue
            while len(given) > self._workers:  # more queues than workers: some have two
                self._listen(name, bind, direction, protocol, transparent, forward, service, labels, unknown, mode,
                             given[:self._workers])
                del given[:self._workers]
            return self._listen(name, bind, direction, protocol, transparent, forward, service, labels, unknown, mode,
                                given)
        except BaseException:
            for fd in given:
                _close(fd)
            raise

    cdef str _listen(self, str name, str bind, str direction, str protocol, bint transparent, str forward, str service,
                     str labels, str unknown, uint32_t mode, list given):
        cdef mf_listen_options options
        cdef mf_addr bound
        cdef _Texts texts = _Texts()
        cdef int fds[32]
        cdef int number
        memset(&options, 0, sizeof(options))
        for i, fd in enumerate(given):
            fds[i] = fd
        options.fds = fds
        options.n_fds = len(given)
        options.name = texts.slice(name)
        options.service = texts.slice(service)
        options.bind = as_addr(bind)
        options.mode = mode
        options.direction = {"outbound": MF_OUTBOUND, "inbound": MF_INBOUND}[direction]
        options.protocol = {"auto": MF_LISTEN_AUTO, "dubbo": MF_LISTEN_DUBBO, "http2": MF_LISTEN_HTTP2,
                            "tcp": MF_LISTEN_TCP}[protocol]
        options.transparent = transparent
        options.labels = {"keep-first": MF_LABELS_KEEP_FIRST, "trust": MF_LABELS_TRUST, "strip": MF_LABELS_STRIP}[labels]
        options.refuse_unknown = {"forward": False, "refuse": True}[unknown]
        if forward:
            options.has_forward = True
            options.forward = as_addr(forward)
        number = mf_engine_listen(self.ptr, &options, &bound)
        check(number, f"listener {name} at {bind}" + _TOO_MANY * (number == MF_ELIMIT))
        self._listeners.setdefault(name, []).append(number)
        return addr_text(&bound)

    def copies(self, str name) -> list:
        """Descriptors of a listener's sockets, for another process; the caller closes them. OSError: it does not serve."""
        cdef int fds[32]
        cdef list out = []
        try:
            for number in self._listeners[name]:
                count = mf_engine_copies(self.ptr, number, fds)
                check(count, f"listener {name}")
                out += [fds[i] for i in range(count)]
        except BaseException:
            for fd in out:
                _close(fd)
            raise
        return out

    def share(self, str name, bint shared) -> None:
        """Whether others have copies of a listener's sockets and go on with them: then it takes no connections from the
        moment on at which the engine begins to end, and leaves those that wait, and a UNIX socket's file, to them."""
        for number in self._listeners[name]:
            check(mf_engine_share(self.ptr, number, shared), f"listener {name}")

    def pass_on(self, names) -> None:
        """Connections of these listeners, which are shared, go to another process, as far as they may: see `passed`."""
        cdef uint32_t numbers = 0
        for name in names:
            for number in self._listeners[name]:
                numbers |= <uint32_t>1 << <uint32_t>number
        check(mf_engine_pass(self.ptr, numbers), "connections cannot be passed")

    @property
    def passing(self) -> bool:
        """More may leave. To be looked at before `passed`."""
        return not self.is_forked() and mf_engine_passing(self.ptr)

    def passed(self, int most) -> list:
        """Connections that have left, the caller's now: see _core.pyi."""
        return _passed(self.ptr, self._listeners, most)

    def adopt(self, str name, int fd, bint dubbo, uint64_t discard, uint64_t silent, bytes came) -> bool:
        """Goes on with a connection that came in at such a listener, its own from now on. False: not yet, ask again."""
        return _adopt(self.ptr, name, self._listeners[name][0], fd, dubbo, discard, silent, came)

    def start(self) -> None:
        """Starts the threads (or takes its place in the loop) and accepts connections."""
        cdef int rc
        if self._loop is None and self._of == 0:
            self._of = _getpid()
        with nogil:
            rc = mf_engine_start(self.ptr)
        check(rc, "the engine could not start")

    @property
    def loop_name(self) -> str:
        """The loop that the workers run on: "epoll" or "io_uring"."""
        return mf_engine_loop_name(self.ptr).decode()

    def drain(self) -> None:
        """Begins to end: who calls in is told READONLY. The rest follows as `drained` is looked at."""
        if not self.is_forked():
            mf_engine_drain(self.ptr)

    @property
    def drained(self) -> bool:
        """No call is in flight and none is expected. Once nobody calls in any more, looking closes the listeners."""
        return self.is_forked() or mf_engine_drained(self.ptr)

    def stop(self) -> None:
        """Answers what is in flight with an error, closes everything, ends the threads. Again is harmless.

        With 0 workers on the loop's own thread, or RuntimeError: it lives on then.
        """
        cdef Loop loop = self._loop
        cdef int rc
        if self.is_forked():
            return
        with nogil:
            rc = mf_engine_stop(self.ptr)
        if rc < 0:
            raise RuntimeError("an engine in a loop is stopped on that loop's thread, between its turns")
        if loop is not None and not self._stopped:
            loop.guests -= 1
        self._stopped = True

    def counters(self) -> dict:
        """The sums over all workers: name -> value. See counters()."""
        cdef mf_counters now
        cdef dict out = {}
        cdef int i = 0
        cdef const mf_counter_info *info = mf_counters_table()
        mf_engine_counters(self.ptr, &now)
        cdef const uint64_t *values = <const uint64_t *>&now
        while info[i].name != NULL:
            out[info[i].name.decode()] = values[i]
            i += 1
        return out

    def serializations(self) -> list:
        """What each serialization id has seen: a dict per id that was used."""
        cdef mf_serialization_counters all[32]
        cdef const uint64_t *values
        cdef list out = []
        mf_engine_serializations(self.ptr, all)
        for i in range(32):
            values = <const uint64_t *>&all[i]
            if values[0]:
                out.append({
                    "id": i, "name": mf_dubbo_serialization_name(i).decode(), "calls": values[0],
                    "answers": values[1], "bytes_up": values[2], "bytes_down": values[3], "ok": values[4],
                    "errors": values[5], "latency_sum_ns": values[6],
                })
        return out

    def inbound_stats(self) -> list:
        """What the calls that came in at inbound listeners counted, by service: dicts as of Table.stats."""
        return [{"direction": direction, "service": service, "host": "", "subset": ""} | counts
                for (direction, service), counts in _tallied(self.ptr, False)]

    def method_stats(self) -> list:
        """The same by direction, service and method: as many as limits maxMethods and maxServiceMethods say."""
        return [{"direction": direction, "service": service, "method": method} | counts
                for (direction, service, method), counts in _tallied(self.ptr, True)]

    def ended_here(self) -> dict:
        """Calls that no provider answered: outcome -> how many."""
        cdef uint64_t counts[16]
        mf_engine_ended_here(self.ptr, counts)
        return {mf_outcome_name(<mf_outcome>i).decode(): counts[i] for i in range(MF_OUTCOMES)}

    def access_records(self, int most=500) -> list:
        """Up to so many calls that ended, oldest first of each worker: tuples in the order of meshfast.record.Record."""
        cdef mf_record record
        cdef list out = []
        cdef double base = _time() - mf_clock_ns() / 1e9
        while len(out) < most and mf_engine_next_record(self.ptr, &record):
            out.append(_record(&record, base))
        return out

    def loop_counts(self) -> dict:
        """What the workers' loops have done: turns, waits, system calls, reads, writes, accepts, bytes."""
        cdef mf_loop_counts now
        mf_engine_loop_counts(self.ptr, &now)
        return {
            "turns": now.turns, "waits": now.waits, "syscalls": now.syscalls, "reads": now.reads,
            "writes": now.writes, "accepts": now.accepts, "accept_failures": now.accept_failures,
            "bytes_in": now.bytes_in, "bytes_out": now.bytes_out,
        }

    @property
    def event_fd(self) -> int:
        """Readable when events() has something."""
        return mf_engine_event_fd(self.ptr)

    def events(self) -> list:
        """What the workers had to tell since the last call: (kind, worker, errno or code, text, peer) each."""
        cdef mf_event event
        cdef list out = []
        names = ("peer_down", "peer_up", "peer_readonly", "upstream_lost", "bad_downstream", "accept_failed",
                 "peer_ejected", "peer_returned")
        while mf_engine_next_event(self.ptr, &event):
            kind, text = names[event.kind], ""
            if kind == "peer_ejected": # rc is for how long
                text = f"for {event.rc / 1000:.3g} s"
            elif event.rc:
                text = mf_err_text(event.rc).decode()
            out.append((kind, event.worker, event.rc, text, event.peer.decode()))
        return out
