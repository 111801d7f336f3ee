# guard: what all workers share of each group that policy watches.

_REASONS = ("errors", "gateway", "local")
_BROKEN = ("requests", "pending", "connections", "retries")


cdef void _add_ward(void *arg, const mf_ward *ward) noexcept with gil:
    cdef mf_ward_told told
    mf_ward_tell(ward, &told)
    rows, now = <tuple>arg
    (<list>rows).append({
        "address": told.peer.text.decode(),
        "out_for": max(0, told.until - now) / 1e9,
        "ejections": told.ejections,
        "in_a_row": {name: told.in_a_row[i] for i, name in enumerate(_REASONS)},
    })


cdef void _add_guard(void *arg, mf_guard *guard) noexcept with gil:
    cdef mf_guard_told told
    mf_guard_tell(guard, &told)
    rows, now = <tuple>arg
    instances = []
    both = (instances, now)
    mf_guard_each_ward(guard, _add_ward, <void *>both)
    (<list>rows).append({
        "host": guard.host.decode("utf-8", "replace"),
        "subset": guard.subset.decode("utf-8", "replace"),
        "active": told.active,
        "ejects": bool(told.ejects),
        "ejections": {name: told.ejections[i] for i, name in enumerate(_REASONS)},
        "forbidden": told.forbidden,
        "limits": {
            name: {"most": told.most[i], "now": told.now[i], "refused": told.refused[i]}
            for i, name in enumerate(_BROKEN)
        },
        "instances": instances,
    })
