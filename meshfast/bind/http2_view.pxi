# http2_view: what an HTTP/2 request is to policy, by the same code that looks at those on the wire.

cdef str h2_text(mf_slice text):
    return h2_bytes(text).decode(errors="replace")


cdef list h2_pairs(const mf_pair *pairs, uint32_t n):
    cdef uint32_t i
    return [(h2_text(pairs[i].key), h2_text(pairs[i].value)) for i in range(n)]


def h2_view(http not None, headers not None):
    """Of (method, scheme, authority, path; None: it has none) and fields of lower-case names: its flavour, service,
    method, the service's other name; its fields as labels and as conditions see them; why its path is refused, or ""."""
    cdef list kept = [(text.encode(), value.encode()) for text, value in headers]
    cdef list own = [None if text is None else text.encode() for text in http]
    cdef uint32_t n = len(kept), i
    cdef mf_h2_request request
    cdef mf_h2_view view
    cdef mf_h2_shown shown
    cdef mf_h2_scratch scratch
    cdef mf_pair *fields
    cdef mf_h2_mark *marks
    cdef mf_pair *pairs
    cdef size_t room = MF_H2_SHOWN_ROOM(n), extra = MF_H2_SCRATCH
    for name, value in kept:
        extra += len(<bytes>value)
    fields = <mf_pair *>mf_alloc((n + room) * sizeof(mf_pair) + n * sizeof(mf_h2_mark) + extra)
    if fields == NULL:
        check(-ENOMEM)
    pairs = fields + n
    marks = <mf_h2_mark *>(pairs + room)
    scratch.to = <uint8_t *>(marks + n)
    scratch.room = extra
    scratch.used = 0
    request.method, request.scheme = _borrow_any(own[0]), _borrow_any(own[1])
    request.authority, request.path = _borrow_any(own[2]), _borrow_any(own[3])
    request.host = mf_slice_of(NULL, 0)
    request.regular = 0
    try:
        for i in range(n):
            fields[i] = h2_pair(kept[i])
            marks[i] = mf_h2_mark_of(fields[i])
            if kept[i][0] == b"host":
                request.host = fields[i].value
        mf_h2_view_of(fields, marks, n, &request, &scratch, &view)
        mf_h2_shown_of(fields, marks, n, &request, &view, True, pairs, &scratch, &shown)
        rc = mf_h2_view_path_check(&view)
        return (view.flavour, h2_text(view.service), h2_text(view.method), h2_text(view.alias),
                h2_pairs(shown.labels, shown.n_labels), h2_pairs(shown.headers, shown.n_headers),
                mf_err_text(rc).decode() if rc < 0 else "")
    finally:
        mf_free(fields)
