# subset: a declared subset as the core takes it.


cdef int _add_subset(mf_table *table, mf_cluster *cluster, str name, labels, members) except -1:
    """By labels, or where `members` is not None, by the numbers of its instances."""
    cdef _Texts texts = _Texts()
    cdef _Pairs pairs
    cdef _Memory numbers
    cdef uint32_t i, one
    if members is None:
        pairs = _Pairs(labels)
        check(mf_cluster_subset(table, cluster, texts.slice(name), pairs.at, pairs.n), name)
        return 0
    numbers = _Memory(len(members) * sizeof(uint32_t))
    for i, one in enumerate(members):
        (<uint32_t *>numbers.at)[i] = one
    check(mf_cluster_subset_of(table, cluster, texts.slice(name), <const uint32_t *>numbers.at, <uint32_t>len(members)),
          name)
    return 0
