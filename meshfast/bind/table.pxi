# table: the label table as Python objects. One thread uses them: the one that writes.

from libc.string cimport memset as _memset

_STEPS = ("service", "no_service", "no_match", "match", "target", "no_label", "no_subset", "empty", "down", "end", "peer")


cdef class _Texts:
    """Keeps encoded text alive while the core looks at it."""
    cdef list kept

    def __cinit__(self):
        self.kept = []

    cdef mf_slice slice(self, text):
        cdef bytes raw = text.encode() if isinstance(text, str) else bytes(text)
        self.kept.append(raw)
        return mf_slice_of(<const char *>raw, len(raw))


cdef class _Pairs:
    """Pairs of text as the core takes them."""
    cdef mf_pair *at
    cdef uint32_t n
    cdef _Texts texts

    def __cinit__(self, pairs):
        items = list(pairs.items() if hasattr(pairs, "items") else pairs)
        self.texts = _Texts()
        self.n = len(items)
        self.at = <mf_pair *>mf_alloc((self.n + 1) * sizeof(mf_pair))
        if self.at == NULL:
            raise MemoryError()
        for i, (key, value) in enumerate(items):
            self.at[i].key = self.texts.slice(key)
            self.at[i].value = self.texts.slice(value)

    def __dealloc__(self):
        mf_free(self.at)


@_cython.no_gc_clear  # __dealloc__ needs what it refers to
cdef class Cluster:
    """The instances of one application, sealed. Made by Table.cluster."""
    cdef Table table
    cdef mf_cluster *ptr

    def __dealloc__(self):
        if self.ptr != NULL:
            mf_cluster_give(self.table.ptr, self.ptr)


@_cython.no_gc_clear  # __dealloc__ needs what it refers to
cdef class Prepared:
    """A service built aside, not yet seen by readers. Made by Table.service; Table.publish uses it up."""
    cdef Table table
    cdef mf_service *ptr

    def __dealloc__(self):
        if self.ptr != NULL:
            mf_service_free(self.table.ptr, self.ptr)


cdef class Table:
    """The native label table. See csrc/table/table.h."""
    cdef mf_table *ptr

    def __cinit__(self):
        check(mf_table_new(&self.ptr))

    def __dealloc__(self):
        if self.ptr != NULL:
            mf_table_free(self.ptr)

    def __len__(self):
        return mf_table_n_services(self.ptr)

    def cluster(self, str host, endpoints, subsets=()) -> Cluster:
        """A sealed cluster. `endpoints`: (address, labels, weight) each; `subsets`: (name, labels) each."""
        cdef Cluster cluster = Cluster()
        cdef _Texts texts = _Texts()
        cdef _Pairs labels
        cluster.table = self
        check(mf_cluster_new(self.ptr, texts.slice(host), &cluster.ptr))
        for address, pairs, weight in endpoints:
            labels = _Pairs(pairs)
            check(mf_cluster_add(self.ptr, cluster.ptr, texts.slice(address), labels.at, labels.n, weight), address)
        for name, pairs in subsets:
            labels = _Pairs(pairs)
            check(mf_cluster_subset(self.ptr, cluster.ptr, texts.slice(name), labels.at, labels.n), name)
        check(mf_cluster_seal(self.ptr, cluster.ptr), host)
        return cluster

    def service(self, str name, int pattern, rules) -> Prepared:
        """A service, built aside. `rules`: (timeout_ms, matches, targets) each; a match is a list of
        (field, key, op, value), a target (cluster, kind, text, weight, on, fallback or None)."""
        cdef Prepared service = Prepared()
        cdef _Texts texts = _Texts()
        cdef Cluster cluster
        cdef int rule, match
        service.table = self
        check(mf_service_new(self.ptr, texts.slice(name), <mf_service_pattern>pattern, &service.ptr), name)
        for timeout_ms, matches, targets in rules:
            rule = check(mf_service_rule(service.ptr, timeout_ms), name)
            for conditions in matches:
                match = check(mf_service_match(service.ptr, rule), name)
                for field, key, op, value in conditions:
                    check(mf_service_condition(self.ptr, service.ptr, rule, match, <mf_field><int>field,
                                               texts.slice(key), <mf_op><int>op, texts.slice(value)), name)
            for cluster, kind, text, weight, on, fallback in targets:
                check(mf_service_target(self.ptr, service.ptr, rule, cluster.ptr, <mf_target_kind><int>kind,
                                        texts.slice(text), weight, <mf_fallback_case><int>on,
                                        0xFFFF if fallback is None else fallback), name)
        check(mf_table_prepare(self.ptr, service.ptr), name)
        return service

    def publish(self, Prepared service not None) -> None:
        """Makes a service visible to readers, in place of the one of the same name and pattern."""
        if service.ptr == NULL:
            raise ValueError("this service was published already")
        check(mf_table_publish(self.ptr, service.ptr))
        service.ptr = NULL

    def remove(self, str name, int pattern) -> None:
        """Takes a service away. StateError when there is none."""
        cdef _Texts texts = _Texts()
        check(mf_table_remove(self.ptr, texts.slice(name), <mf_service_pattern>pattern), name)

    def publish_labels(self, labels, traces) -> None:
        """The label plan: `labels` is (name, sources) each; a source, and each of `traces`, (kind, text, format)."""
        cdef mf_labels plan
        cdef _Texts texts = _Texts()
        if len(labels) > 16 or len(traces) > 8:
            raise ValueError("at most 16 labels and 8 trace id keys")
        _memset(&plan, 0, sizeof(plan))
        for name, sources in labels:
            if len(sources) > 8:
                raise ValueError(f"label {name}: at most 8 sources")
            i = plan.n_labels
            plan.labels[i].name = texts.slice(name)
            plan.labels[i].index = check(mf_label_intern(self.ptr, plan.labels[i].name), name)
            for kind, text, form in sources:
                j = plan.labels[i].n_sources
                plan.labels[i].sources[j].kind = <mf_label_kind><int>kind
                plan.labels[i].sources[j].format = <mf_traceid_format><int>form
                plan.labels[i].sources[j].text = texts.slice(text)
                plan.labels[i].n_sources += 1
            plan.n_labels += 1
        for kind, text, form in traces:
            j = plan.n_traces
            plan.traces[j].kind = <mf_label_kind><int>kind
            plan.traces[j].format = <mf_traceid_format><int>form
            plan.traces[j].text = texts.slice(text)
            plan.n_traces += 1
        check(mf_table_publish_labels(self.ptr, &plan))

    def reclaim(self) -> int:
        """Frees what no reader can see any more; how much still waits."""
        return mf_table_reclaim(self.ptr)

    def lookup(self, str service, str method, headers, labels, uint64_t random) -> tuple:
        """Where a request goes: (address, rule, fallbacks, timeout_ms). StateError when it goes nowhere."""
        cdef _Query query = _Query.__new__(_Query)
        cdef mf_route route
        cdef int rc
        query.fill(self.ptr, service, method, headers, labels, random)
        rc = mf_route_lookup(self.ptr, &query.raw, &route)
        if rc < 0:
            raise fault(rc)
        return route.peer.text.decode(), route.rule, route.fallbacks, route.timeout_ms

    def explain(self, str service, str method, headers, labels, uint64_t random, uint32_t branch=0) -> tuple:
        """The decision for a request and every step to it: (code, address, rule, timeout_ms, fallbacks, steps).

        `code` 0, or the core's error; `address` "" then. A step is (kind, rule, match, condition, target, text).
        `branch`: the number of the target to begin with, from 1; 0: as drawn.
        """
        cdef _Query query = _Query.__new__(_Query)
        cdef mf_route route
        cdef mf_route_step *raw
        cdef mf_route_steps steps
        cdef int rc
        cdef uint32_t i
        query.fill(self.ptr, service, method, headers, labels, random)
        _memset(&route, 0, sizeof(route))
        steps.room = 256
        steps.branch = branch
        out = []
        while True:
            raw = <mf_route_step *>mf_alloc(steps.room * sizeof(mf_route_step))
            if raw == NULL:
                raise MemoryError()
            steps.steps = raw
            steps.n = 0
            rc = mf_route_explain(self.ptr, &query.raw, &route, &steps)
            if steps.n < steps.room:
                break
            mf_free(raw)  # it may have been cut: tell it again with more room
            steps.room *= 4
        try:
            for i in range(steps.n):
                text = raw[i].text.ptr[:raw[i].text.len].decode("utf-8", "replace") if raw[i].text.len else ""
                out.append((_STEPS[raw[i].kind], raw[i].rule, raw[i].match, raw[i].condition, raw[i].target, text))
        finally:
            mf_free(raw)
        address = route.peer.text.decode() if rc == 0 else ""
        return rc, address, route.rule, route.timeout_ms, route.fallbacks, out

    def stats(self) -> list:
        """What every service, application and subset has counted: a dict each. See csrc/table/stat.h."""
        cdef list out = []
        mf_table_each_stat(self.ptr, _add_stat, <void *>out)
        return out

    def peers(self) -> dict:
        """Every address that calls may be sent to -> whether it is available now."""
        cdef dict out = {}
        mf_table_each_peer(self.ptr, _add_peer, <void *>out)
        return out


cdef void _add_stat(void *arg, mf_stat *stat) noexcept with gil:
    cdef mf_stat_shard sum
    _memset(&sum, 0, sizeof(sum))
    mf_stat_sum(stat, &sum)
    status = {}
    for i in range(14):
        status[mf_stat_status_name(i).decode()] = mf_read64(&sum.status[i])
    latency = []
    for i in range(20):
        bound = mf_stat_bucket_bound(i)
        latency.append((None if bound == 0xFFFFFFFFFFFFFFFF else bound / 1e9, mf_read64(&sum.latency[i])))
    (<list>arg).append({
        "service": stat.service.decode("utf-8", "replace"), "host": stat.host.decode("utf-8", "replace"),
        "subset": stat.subset.decode("utf-8", "replace"), "begun": mf_read64(&sum.begun), "done": mf_read64(&sum.done),
        "bytes_up": mf_read64(&sum.bytes_up), "bytes_down": mf_read64(&sum.bytes_down),
        "fallbacks": mf_read64(&sum.fallbacks), "one_way": mf_read64(&sum.one_way), "status": status,
        "latency": latency, "latency_sum_ns": mf_read64(&sum.latency_sum_ns),
    })


cdef void _add_peer(void *arg, mf_peer *peer) noexcept with gil:
    (<dict>arg)[peer.text.decode()] = bool(mf_peer_available(peer, mf_clock_ns()))


cdef class TraceMemory:
    """Labels by trace id, shared by all workers. See csrc/table/trace.h."""
    cdef mf_trace *ptr

    def __cinit__(self, size_t entries=65536, uint64_t ttl_ns=300_000_000_000):
        check(mf_trace_new(entries, ttl_ns, &self.ptr))

    def __dealloc__(self):
        mf_trace_free(self.ptr)

    def put(self, trace_id, uint32_t label, value) -> None:
        """Remembers a value. LimitError when id or value is empty or longer than 64 bytes."""
        cdef _Texts texts = _Texts()
        cdef mf_bool evicted = False
        check(mf_trace_put(self.ptr, texts.slice(trace_id), label, texts.slice(value), mf_clock_ns(), &evicted))

    def find(self, trace_id, uint32_t label):
        """The value as text, or None."""
        cdef _Texts texts = _Texts()
        cdef uint8_t out[64]
        cdef int n = check(mf_trace_find(self.ptr, texts.slice(trace_id), label, mf_clock_ns(), out))
        return out[:n].decode("utf-8", "replace") if n else None
