# policy: meshfast.policies as the core takes it, a function for each aspect. What they point at, `kept` keeps.


from libc.string cimport memcpy as _memcpy


cdef class _Memory:
    """Some bytes, zeroed, as long as it lives."""
    cdef void *at

    def __cinit__(self, size_t size):
        self.at = mf_zalloc(size + 1)
        if self.at == NULL:
            raise MemoryError()

    def __dealloc__(self):
        mf_free(self.at)


cdef const mf_policy_locality *_locality(locality, endpoints, _Texts kept) except NULL:
    cdef _Memory own = _Memory(sizeof(mf_policy_locality))
    cdef _Memory places = _Memory(len(endpoints) * sizeof(mf_place))
    cdef _Memory shares = _Memory(len(locality.shares) * sizeof(uint32_t))
    cdef mf_policy_locality *out = <mf_policy_locality *>own.at
    cdef mf_place *place = <mf_place *>places.at
    cdef uint32_t i
    kept.kept += (own, places, shares)
    for _, labels, _, where in endpoints:
        level, part, share, local, gives, takes = locality.place(where, labels)
        place.level, place.part, place.share = level, part, share
        place.local, place.from_, place.to = local, gives, takes
        place += 1
    for i, weight in enumerate(locality.shares):
        (<uint32_t *>shares.at)[i] = weight
    out.places = <const mf_place *>places.at
    out.shares = <const uint32_t *>shares.at
    out.n = <uint32_t>len(endpoints)
    out.n_shares = <uint32_t>len(locality.shares)
    out.weighted = locality.weighted
    out.panic = locality.panic
    out.moved = locality.moved
    return out


cdef int _fill_policy(mf_policy *out, policy, endpoints, _Texts kept) except -1:
    """Fills `out`, which is zeroed. `endpoints`: as for Table.cluster."""
    if policy.locality is not None:
        out.locality = _locality(policy.locality, endpoints, kept)
    if policy.outlier is not None:
        out.guarded = out.ejects = True
        _fill_outlier(&out.outlier, policy.outlier)
    if policy.breaker is not None:
        out.guarded = out.breaks = True
        _fill_breaker(&out.breaker, policy.breaker)
    if policy.balancer is not None:
        out.balancer = _new_balancer(policy.balancer, kept)
    _fill_budget(out, policy.budget)
    return 0


cdef int _fill_budget(mf_policy *out, budget) except -1:
    if budget is not None:
        out.guarded = True
        out.budget.set = True
        out.budget.share = budget.share
        out.budget.least = budget.least
    return 0


cdef int _fill_outlier(mf_outlier_rules *out, outlier) except -1:
    out.errors, out.gateway, out.local = outlier.errors, outlier.gateway, outlier.local
    out.split = outlier.split
    out.max_percent, out.least_percent = outlier.max_percent, outlier.least_percent
    out.interval = <uint64_t>outlier.interval_ms * 1000000
    out.base = <uint64_t>outlier.base_ms * 1000000
    out.longest = <uint64_t>outlier.longest_ms * 1000000
    out.own_codes = bool(outlier.codes)
    for code in outlier.codes:
        mf_outlier_set_code(out, code)
    return 0


cdef int _fill_breaker(mf_breaker_rules *out, breaker) except -1:
    out.most[<int>MF_BREAKER_REQUESTS] = breaker.requests
    out.most[<int>MF_BREAKER_PENDING] = breaker.pending
    out.most[<int>MF_BREAKER_CONNECTIONS] = breaker.connections
    out.most[<int>MF_BREAKER_RETRIES] = breaker.retries
    out.connect_ms = breaker.connect_ms
    return 0


cdef const mf_policy_balancer *_new_balancer(balancer, _Texts kept) except NULL:
    cdef bytes warmth
    cdef bytearray room = bytearray(sizeof(mf_policy_balancer))
    cdef mf_policy_balancer *made = <mf_policy_balancer *><char *>room
    kept.kept.append(room)
    made.kind, made.by = balancer.kind, balancer.by
    made.argument, made.places = balancer.argument, balancer.places
    made.key = kept.slice(balancer.key)
    if balancer.makes:
        made.makes = kept.slice(balancer.makes)
    made.warmup_ns = balancer.warmup_ms * 1000000
    if made.warmup_ns:
        warmth = balancer.warmth()
        _memcpy(made.warmth, <const char *>warmth, sizeof(made.warmth))
    return made


cdef mf_actions *_new_actions(actions) except NULL:
    """Made of meshfast.policies.Actions, with a reference for the caller."""
    cdef mf_actions *made = mf_actions_new()
    if made == NULL:
        raise MemoryError()
    try:
        if actions.retries is not None:
            made.retries = _new_retries(made, actions.retries)
        _put_changes(made, actions)
    except BaseException:
        mf_actions_give(made)
        raise
    return made


cdef const mf_retries *_new_retries(mf_actions *owner, retries) except NULL:
    cdef mf_retries *made = <mf_retries *>mf_actions_alloc(owner, sizeof(mf_retries))
    if made == NULL:
        raise MemoryError()
    _memset(made, 0, sizeof(mf_retries))
    made.on = int(retries.on)
    made.attempts = retries.attempts
    made.levels_every = 2 if retries.remote else 0
    made.other_peers = retries.other_peers
    made.try_ms = retries.try_ms
    made.backoff_ms = retries.backoff_ms
    for code in retries.codes:
        made.codes[<int>code // 64] |= <uint64_t>1 << (<int>code % 64)
    return made
