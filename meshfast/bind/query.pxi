# query: one request as the table is asked for it.

cdef extern from "Python.h":
    const char *_utf8 "PyUnicode_AsUTF8AndSize"(object, Py_ssize_t *) except NULL

cdef enum:
    _FEW = 16  # headers that need no memory of their own


cdef mf_slice _borrow(text) except *:
    """The bytes of a text, which lie in the object itself: it must live as long."""
    cdef Py_ssize_t n = 0
    cdef const char *at
    if isinstance(text, bytes):
        return mf_slice_of(<const char *>text, len(<bytes>text))
    at = _utf8(text, &n)
    return mf_slice_of(at, n)


cdef mf_slice _borrow_any(text) except *:
    return mf_slice_of(NULL, 0) if text is None else _borrow(text)


cdef struct _Said:
    # A call's arguments; one that has no address is none.
    mf_slice *texts
    uint32_t n


cdef mf_bool _argument(void *of, uint32_t index, mf_slice *out) noexcept nogil:
    cdef _Said *said = <_Said *>of
    if index >= said.n or said.texts[index].ptr == NULL:
        return False
    out[0] = said.texts[index]
    return True


@_cython.final
@_cython.freelist(4)
cdef class _Query:
    """A query and what it points into."""
    cdef mf_query raw
    cdef mf_http_view view
    cdef mf_slice values[MF_LABELS]
    cdef mf_pair few[_FEW]
    cdef mf_pair *many
    cdef _Said said
    cdef list kept

    def __dealloc__(self):
        mf_free(self.many)
        mf_free(self.said.texts)

    cdef int fill(self, mf_table *table, str service, str method, headers, labels, uint64_t random, http,
                  arguments) except -1:
        self.kept = [service, method]
        self.raw.service = _borrow(service)
        self.raw.method = _borrow(method)
        self.raw.now = mf_clock_ns()
        self.raw.random = random
        if headers:
            self.put_headers(list(headers.items() if hasattr(headers, "items") else headers))
        if labels:
            self.put_labels(table, labels)
        if http is not None:
            self.put_http(http)
        if arguments:
            self.put_arguments(tuple(arguments))
        return 0

    cdef int put_arguments(self, tuple texts) except -1:
        cdef Py_ssize_t i
        self.said.texts = <mf_slice *>mf_alloc(len(texts) * sizeof(mf_slice))
        if self.said.texts == NULL:
            raise MemoryError()
        self.kept.append(texts)
        for i in range(len(texts)):
            self.said.texts[i] = _borrow_any(texts[i])
        self.said.n = <uint32_t>len(texts)
        self.raw.argument = _argument
        self.raw.of = &self.said
        return 0

    cdef int put_http(self, tuple http) except -1:
        """Each None where it has none."""
        method, scheme, authority, path, query = http
        self.kept += http
        self.view.method = _borrow_any(method)
        self.view.scheme = _borrow_any(scheme)
        self.view.authority = _borrow_any(authority)
        self.view.path = _borrow_any(path)
        self.view.query = _borrow_any(query)
        self.raw.http = &self.view
        self.raw.fold_names = True
        return 0

    cdef int put_headers(self, list pairs) except -1:
        cdef mf_pair *at = self.few
        cdef Py_ssize_t i = 0
        if len(pairs) > _FEW:
            at = self.many = <mf_pair *>mf_alloc(len(pairs) * sizeof(mf_pair))
            if at == NULL:
                raise MemoryError()
        for key, value in pairs:
            self.kept.append(key)
            self.kept.append(value)
            at[i].key = _borrow(key)
            at[i].value = _borrow_any(value)  # None: there, and no text
            i += 1
        self.raw.headers = at
        self.raw.n_headers = <uint32_t>len(pairs)
        return 0

    cdef int put_labels(self, mf_table *table, labels) except -1:
        """Labels that the table has no number for are none that a rule could ask for."""
        cdef int i
        for key, value in labels.items():
            i = mf_label_number(table, _borrow(key))
            if i >= 0:
                self.kept.append(value)
                self.values[i] = _borrow(value)
        self.raw.labels = self.values
        return 0
