# table: the label table as Python objects. One thread uses them: the one that writes.

from libc.stdint cimport SIZE_MAX
from libc.string cimport memset as _memset

_STEPS = ("service", "no_service", "no_match", "match", "target", "no_label", "no_subset", "empty", "down", "end", "peer",
          "no_port", "hash", "no_hash", "far", "anywhere")


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

    def cluster(self, str host, endpoints, subsets=(), policy=None) -> Cluster:
        """A sealed cluster. `endpoints`: (address, labels, weight, locality) each; `subsets`: (name, labels, policy,
        members) each. An address may be a pair, for Dubbo and for HTTP, of which one may be empty. A policy is one of
        meshfast.policies, or None. Members are ascending numbers of endpoints; None: those with the labels."""
        cdef Cluster cluster = Cluster()
        cdef _Texts texts = _Texts()
        cdef _Pairs labels
        cdef mf_slice addrs[MF_FAMILIES]
        cluster.table = self
        check(mf_cluster_new(self.ptr, texts.slice(host), &cluster.ptr))
        for address, pairs, weight, _ in endpoints:
            labels = _Pairs(pairs)
            dubbo, http = (address, address) if isinstance(address, str) else address
            addrs[0] = texts.slice(dubbo)
            addrs[1] = texts.slice(http)
            check(mf_cluster_add_apart(self.ptr, cluster.ptr, addrs, labels.at, labels.n, weight), dubbo or http)
        for name, pairs, own, members in subsets:
            _add_subset(self.ptr, cluster.ptr, name, pairs, members)
            self._policy(cluster, name, own, endpoints)
        self._policy(cluster, "", policy, endpoints)
        check(mf_cluster_seal(self.ptr, cluster.ptr), host)
        return cluster

    def levels(self, Cluster cluster not None, str subset="", int family=0) -> list:
        """What is so of each locality of a cluster's instances, or of a declared subset's, now: (view, level, number, members,
        well, load, panic, share) each. None where its policy has no localities."""
        cdef _Texts texts = _Texts()
        cdef mf_slice name = texts.slice(subset)
        cdef uint32_t n = mf_cluster_levels(cluster.ptr, name, <mf_family>family, mf_clock_ns(), NULL, 0)
        cdef _Memory memory = _Memory(n * sizeof(mf_level_told))
        cdef mf_level_told *at = <mf_level_told *>memory.at
        mf_cluster_levels(cluster.ptr, name, <mf_family>family, mf_clock_ns(), at, n)
        return [
            (at[i].view, at[i].level, at[i].number, at[i].members, at[i].well, at[i].load, bool(at[i].panic), at[i].share)
            for i in range(n)
        ]

    cdef int _policy(self, Cluster cluster, str subset, policy, endpoints) except -1:
        cdef _Texts texts = _Texts()
        cdef mf_policy raw
        if policy is None:
            return 0
        _memset(&raw, 0, sizeof(raw))
        _fill_policy(&raw, policy, endpoints, texts)
        check(mf_cluster_policy(self.ptr, cluster.ptr, texts.slice(subset), &raw), subset)
        return 0

    cdef int _actions(self, Prepared service, int rule, actions, aside) except -1:
        cdef mf_actions *made
        if actions is None:
            return 0
        made = _new_actions(actions)
        try:
            if aside is not None:
                _add_mirrors(service.ptr, rule, made, aside[0])
                _add_bounds(self.ptr, service.ptr, made, aside[1])
            check(mf_service_actions(service.ptr, rule, made))
        finally:
            mf_actions_give(made)
        return 0

    def service(self, str name, int pattern, rules) -> Prepared:
        """A service, built aside. `rules`: (timeout_ms, matches, targets, actions) each; a match is a list of
        (field, key, op, value), a target (cluster, kind, text, weight, on, fallback or None); actions is one of
        meshfast.policies, or None; behind them what meshfast.shared has of the rule."""
        cdef Prepared service = Prepared()
        cdef _Texts texts = _Texts()
        cdef Cluster cluster
        cdef int rule, match
        service.table = self
        check(mf_service_new(self.ptr, texts.slice(name), <mf_service_pattern>pattern, &service.ptr), name)
        for timeout_ms, matches, targets, actions, *aside in rules:
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
            self._actions(service, rule, actions, aside[0] if aside else None)
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
        """The label plan: `labels` is (name, protocols that do not carry it as bits, sources, hosts) each; a source, and
        each of `traces`, (kind, text, format); hosts a compiled expression, b"" for all."""
        cdef mf_labels plan
        cdef _Texts texts = _Texts()
        if len(labels) > MF_PLAN_LABELS or len(traces) > MF_LABEL_SOURCES:
            raise ValueError(f"at most {MF_PLAN_LABELS} labels and {MF_LABEL_SOURCES} trace id keys")
        _memset(&plan, 0, sizeof(plan))
        for name, without, sources, hosts in labels:
            if len(sources) > MF_LABEL_SOURCES:
                raise ValueError(f"label {name}: at most {MF_LABEL_SOURCES} sources")
            i = plan.n_labels
            plan.labels[i].name = texts.slice(name)
            plan.labels[i].except_ = without
            plan.labels[i].hosts = texts.slice(hosts)
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
        check(mf_table_publish_labels(self.ptr, &plan), "labels")

    def reclaim(self) -> int:
        """Frees what no reader can see any more; how much still waits."""
        return mf_table_reclaim(self.ptr)

    def lookup(self, str service, str method, headers, labels, uint64_t random, http=None,
               arguments=()) -> tuple:
        """Where a request goes: (address, rule, fallbacks, timeout_ms). StateError when it goes nowhere."""
        cdef _Query query = _Query.__new__(_Query)
        cdef mf_route route
        cdef int rc
        query.fill(self.ptr, service, method, headers, labels, random, http, arguments)
        rc = mf_route_lookup(self.ptr, &query.raw, &route)
        if rc < 0:
            raise fault(rc)
        return route.peer.text.decode(), route.rule, route.fallbacks, route.timeout_ms

    def counted(self, str service, str method, headers, labels, uint64_t random, http=None,
                arguments=()) -> list:
        """The names of the rate limits that such a request counts against."""
        cdef _Query query = _Query.__new__(_Query)
        cdef mf_route route
        query.fill(self.ptr, service, method, headers, labels, random, http, arguments)
        mf_route_lookup(self.ptr, &query.raw, &route)
        return _counted(route.actions, &query.raw) if route.actions != NULL else []

    def explain(self, str service, str method, headers, labels, uint64_t random, uint32_t branch=0,
                http=None, arguments=()) -> tuple:
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
        query.fill(self.ptr, service, method, headers, labels, random, http, arguments)
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

    def stats(self, bint used=True) -> list:
        """What services, applications and subsets have counted: a dict each. `used`: only where anybody ever did."""
        cdef uint64_t cursor = 0
        return self._stats(&cursor, used, SIZE_MAX)

    def stats_in_pieces(self, size_t size=256, bint used=True):
        """The same as an iterator of lists, each of about `size` or none; the table may change between them."""
        cdef uint64_t cursor = 0
        while True:
            yield self._stats(&cursor, used, size or 1)
            if cursor == 0:
                return

    cdef list _stats(self, uint64_t *cursor, bint used, size_t size):
        """About `size` of them, fewer where many are not used; the cursor is 0 when all were looked at."""
        cdef list out = []
        cdef int i
        for i in range(_UNUSED):
            if not mf_table_next_stats(self.ptr, cursor, _add_used if used else _add_stat, <void *>out, size):
                break
            if <size_t>len(out) >= size:
                break
        return out

    def guards(self) -> list:
        """What all workers share of each group that policy watches: a dict each, with ``host``, ``subset``, ``active``
        calls, ``ejects``, ``ejections`` by reason, ``forbidden`` ones, ``limits`` with ``most``, ``now`` and
        ``refused`` each, and ``instances``, each with ``address``, ``out_for`` seconds, ``ejections`` and ``in_a_row``
        by reason."""
        cdef list out = []
        both = (out, mf_clock_ns())
        mf_table_each_guard(self.ptr, _add_guard, <void *>both)
        return out

    def peers(self, bint detail=False) -> dict:
        """Every address that calls may be sent to -> whether it is available now; `detail`: -> a dict, with how long
        it still rests in seconds, and whether any instance of the mesh has it."""
        cdef dict out = {}
        mf_table_each_peer(self.ptr, _add_detail if detail else _add_peer, <void *>out)
        return out


    def calls(self) -> dict:
        """The addresses that any call was sent to -> how many."""
        cdef dict out = {}
        mf_table_each_peer(self.ptr, _add_called, <void *>out)
        return out


cdef dict _counts(mf_stat_shard *found):
    status, grpc, http, outcome = {}, {}, {}, {"ok": 0}
    for i in range(MF_STAT_GRPC):
        status[mf_stat_status_name(i).decode()] = mf_read64(&found.status[i])
    for i in range(MF_STAT_GRPC, MF_STAT_STATUS):
        if mf_read64(&found.status[i]):
            (grpc if i < MF_STAT_HTTP else http)[mf_stat_status_name(i).decode()] = mf_read64(&found.status[i])
    for i in range(1, MF_OUTCOMES):
        outcome[mf_outcome_name(<mf_outcome>i).decode()] = mf_read64(&found.outcome[i])
    ends = sum(status.values()) + sum(grpc.values()) + sum(http.values())
    outcome["ok"] = max(0, ends - sum(outcome.values()))
    latency = []
    for i in range(20):
        bound = mf_stat_bucket_bound(i)
        latency.append((None if bound == 0xFFFFFFFFFFFFFFFF else bound / 1e9, mf_read64(&found.latency[i])))
    return {
        "begun": mf_read64(&found.begun), "done": mf_read64(&found.done),
        "bytes_up": mf_read64(&found.bytes_up), "bytes_down": mf_read64(&found.bytes_down),
        "relayed": mf_read64(&found.relayed), "fallbacks": mf_read64(&found.fallbacks), "one_way": mf_read64(&found.one_way), "retries": mf_read64(&found.retries), "status": status,
        "grpc": grpc, "http": http, "latency": latency, "latency_sum_ns": mf_read64(&found.latency_sum_ns), "outcomes": outcome,
    }


cdef void _add_stat(void *arg, mf_stat *stat) noexcept with gil:
    cdef mf_stat_shard sum
    _memset(&sum, 0, sizeof(sum))
    mf_stat_sum(stat, &sum)
    (<list>arg).append({
        "direction": "outbound", "service": stat.service.decode("utf-8", "replace"),
        "host": stat.host.decode("utf-8", "replace"), "subset": stat.subset.decode("utf-8", "replace"),
    } | _counts(&sum))


cdef void _add_used(void *arg, mf_stat *stat) noexcept nogil:
    if mf_stat_used(stat):
        _add_stat(arg, stat)


cdef enum:
    _UNUSED = 8  # times as many are looked at for a piece as are told
    _CONFLICT = 2  # MF_TRACE_CONFLICT


cdef class TraceMemory:
    """Labels by trace id, shared by all workers. See csrc/table/trace.h."""
    cdef mf_trace *ptr

    def __cinit__(self, size_t entries=65536, uint64_t ttl_ns=300_000_000_000):
        check(mf_trace_new(entries, ttl_ns, &self.ptr))

    def __dealloc__(self):
        mf_trace_free(self.ptr)

    def put(self, trace_id, uint32_t label, value, uint32_t caller=0, bint replace=False) -> bool:
        """Remembers a value; False where another one is known. LimitError when id or value is empty or too long."""
        cdef _Texts texts = _Texts()
        cdef mf_bool evicted = False
        cdef mf_trace_entry entry
        entry.id = texts.slice(trace_id)
        entry.value = texts.slice(value)
        entry.label = label
        entry.caller = caller
        entry.replace = replace
        return check(mf_trace_put(self.ptr, &entry, mf_clock_ns(), &evicted)) != _CONFLICT

    def find(self, trace_id, uint32_t label):
        """The value as text, or None."""
        cdef _Texts texts = _Texts()
        cdef uint8_t out[MF_TRACE_VALUE]
        cdef int n = check(mf_trace_find(self.ptr, texts.slice(trace_id), label, mf_clock_ns(), out))
        return out[:n].decode("utf-8", "replace") if n else None
