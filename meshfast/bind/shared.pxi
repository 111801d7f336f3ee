# shared: what rules share and keep over updates: see csrc/table/bucket.h, meter.h. Any thread may let go of them.


cdef int _check_rate(uint64_t requests, uint64_t unit, uint64_t burst) except -1:
    if not requests or not unit or not burst:
        raise ValueError("requests, unit and burst are 1 or more")
    return 0


cdef class Bucket:
    """A rate limit: `requests` in each `unit` ns, `burst` at once."""
    cdef mf_bucket *ptr

    def __cinit__(self, uint64_t requests, uint64_t unit, uint64_t burst):
        _check_rate(requests, unit, burst)
        self.ptr = mf_bucket_new(requests, unit, burst, mf_clock_ns())
        if self.ptr == NULL:
            raise MemoryError()

    def set(self, uint64_t requests, uint64_t unit, uint64_t burst):
        """Allows that from here on, to every rule that has it; what is taken is taken."""
        _check_rate(requests, unit, burst)
        mf_bucket_set(self.ptr, requests, unit, burst, mf_clock_ns())

    def __dealloc__(self):
        mf_bucket_give(self.ptr)

    def counts(self) -> tuple:
        """How many were let go on and refused, and how many more may go on now."""
        return (mf_read64(&self.ptr.meter.counts[MF_BUCKET_PASSED]), mf_read64(&self.ptr.meter.counts[MF_BUCKET_REFUSED]),
                mf_bucket_left(self.ptr, mf_clock_ns()))

    @property
    def used(self) -> bool:
        """Whether a rule has it."""
        return mf_bucket_shared(self.ptr)


cdef class Meter:
    """What became of copies of calls, by the numbers of csrc/call/copies.h."""
    cdef mf_meter *ptr

    def __cinit__(self):
        self.ptr = mf_meter_new()
        if self.ptr == NULL:
            raise MemoryError()

    def __dealloc__(self):
        mf_meter_give(self.ptr)

    def counts(self) -> list:
        return [mf_read64(&self.ptr.counts[i]) for i in range(MF_METER_COUNTS)]

    @property
    def used(self) -> bool:
        """Whether a rule has it, or a copy that is under way."""
        return mf_meter_shared(self.ptr)


cdef int _add_mirrors(mf_service *service, int rule, mf_actions *actions, mirrors) except -1:
    cdef Meter meter
    for target, share, meter in mirrors:
        check(mf_mirror_add(service, rule, target, actions, share, meter.ptr))
    return 0


cdef int _add_bounds(mf_table *table, mf_service *service, mf_actions *actions, bounds) except -1:
    cdef Bucket bucket
    cdef _Texts texts = _Texts()
    cdef mf_bound_condition *raw
    cdef uint32_t n
    for name, bucket, matches in bounds:
        if not matches:
            check(mf_bound_add(table, service, actions, texts.slice(name), bucket.ptr, 0, NULL, 0), name)
            continue
        raw = <mf_bound_condition *>mf_alloc((sum(map(len, matches)) + 1) * sizeof(mf_bound_condition))
        if raw == NULL:
            raise MemoryError()
        try:
            n = 0
            for i, conditions in enumerate(matches):
                for field, key, op, value in conditions:
                    raw[n].match, raw[n].field, raw[n].op = i, field, op
                    raw[n].key = texts.slice(key)
                    raw[n].value = texts.slice(value)
                    n += 1
            check(mf_bound_add(table, service, actions, texts.slice(name), bucket.ptr, len(matches), raw, n), name)
        finally:
            mf_free(raw)
    return 0


cdef list _counted(const mf_actions *actions, const mf_query *query):
    out = []
    cdef const mf_bound *bound = actions.bounds
    while bound != NULL:
        if mf_bound_counts(bound, query):
            out.append(bound.name.ptr[:bound.name.len].decode("utf-8", "replace"))
        bound = bound.next
    return out
