# view: an HTTP/2 request as policy sees it, by the code that looks at each that comes in.


cdef list shown_pairs(const mf_pair *pairs, uint32_t n):
    return [(h2_bytes(pairs[i].key).decode(), h2_bytes(pairs[i].value).decode()) for i in range(n)]


def h2_view(tuple request not None, headers not None):
    """``request``: method, scheme, authority and path; ``headers``: names in lower case. All texts; None: not there.

    (why it is refused or None, service, method, the service's other name, authority, headers as conditions see them, and
    of names that repeat the lists that they are then, headers as labels are found)."""
    method, scheme, authority, path = request
    cdef list fields = list(headers)
    cdef uint32_t n = len(fields), i
    cdef mf_h2_request raw
    cdef mf_h2_scratch scratch
    cdef mf_h2_view view
    cdef mf_h2_shown shown
    cdef int rc
    cdef size_t each = sizeof(mf_pair) + sizeof(mf_h2_mark), room = 65536
    cdef uint8_t *memory = <uint8_t *>mf_alloc(n * each + MF_H2_SHOWN_ROOM(n) * sizeof(mf_pair) + room)
    if memory == NULL:
        check(-ENOMEM)
    cdef mf_pair *to = <mf_pair *>memory
    cdef mf_pair *pairs = to + MF_H2_SHOWN_ROOM(n)
    cdef mf_h2_mark *marks = <mf_h2_mark *>(pairs + n)
    try:
        scratch.to = <uint8_t *>(marks + n)
        scratch.room = room
        scratch.used = 0
        raw.method = _borrow_any(method)
        raw.scheme = _borrow_any(scheme)
        raw.authority = _borrow_any(authority)
        raw.path = _borrow_any(path)
        raw.host = mf_slice_of(NULL, 0)
        raw.regular = 0
        for i in range(n):
            pairs[i].key = _borrow(fields[i][0])
            pairs[i].value = _borrow(fields[i][1])
            marks[i] = mf_h2_mark_of(pairs[i])
            if fields[i][0] == "host":
                raw.host = pairs[i].value
        mf_h2_view_of(pairs, marks, n, &raw, &scratch, &view)
        mf_h2_shown_of(pairs, marks, n, &raw, &view, True, to, &scratch, &shown)
        rc = mf_h2_view_path_check(&view)
        i = shown.n_headers - shown.n_joined
        return (mf_err_text(rc).decode() if rc < 0 else None, h2_bytes(view.service).decode(),
                h2_bytes(view.method).decode(), h2_bytes(view.alias).decode(), h2_bytes(view.authority).decode(),
                shown_pairs(shown.headers, i), shown_pairs(shown.headers + i, shown.n_joined),
                shown_pairs(shown.labels, shown.n_labels))
    finally:
        mf_free(memory)
