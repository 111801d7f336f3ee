# codec: the Dubbo2 frame and trace ids. Requests keep the buffer they were read from; text is made when it is asked for.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy

cdef enum:
    DUBBO_MAX_ATTACHMENTS = 1024
    DUBBO_MAX_BODY = 0x7fffffff


cdef str dubbo_text(mf_slice text):
    """Text as Java wrote it: surrogate pairs of 3 bytes each become one character."""
    cdef bytes raw = text.ptr[: text.len] if text.len else b""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        pass
    try:
        pairs = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # the core looks at where characters end, not at what they are
        return raw.decode("utf-8", "replace")
    return pairs.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


cdef tuple dubbo_head_tuple(mf_dubbo_head *head):
    return (
        (head.flags & MF_DUBBO_REQUEST) != 0,
        (head.flags & MF_DUBBO_TWO_WAY) != 0,
        (head.flags & MF_DUBBO_EVENT) != 0,
        head.serialization,
        head.status,
        head.id,
        head.body_len,
    )


cdef int dubbo_read_head(const uint8_t[::1] data, uint32_t max_body, mf_dubbo_head *head) except? -1:
    cdef int rc = mf_dubbo_parse_head(as_slice(data), max_body, head)
    if rc == MF_EMORE:
        return 0
    return check(rc, None, 0 if data[0] != 0xDA or data[1] != 0xBB else 12)


def dubbo_parse_head(const uint8_t[::1] data not None, uint32_t max_body=DUBBO_MAX_BODY):
    cdef mf_dubbo_head head
    return dubbo_head_tuple(&head) if dubbo_read_head(data, max_body, &head) else None


cdef class DubboRequest:
    cdef const uint8_t[::1] _frame  # keeps the buffer that every slice below points into
    cdef mf_dubbo_head _head
    cdef mf_dubbo_request _request
    cdef mf_slice _body
    cdef bint _opaque
    cdef str _why
    cdef dict _attachments

    def __cinit__(self, const uint8_t[::1] frame not None):
        cdef const char *why = ""
        cdef mf_pair pairs[DUBBO_MAX_ATTACHMENTS]
        self._frame = frame
        if not dubbo_read_head(frame, DUBBO_MAX_BODY, &self._head):
            check(MF_EMORE, "the head is cut short", frame.shape[0])
        if not self._head.flags & MF_DUBBO_REQUEST or self._head.flags & MF_DUBBO_EVENT:
            check(MF_EDUBBO_BODY, "an answer or an event, not a request", 2)
        if <size_t>frame.shape[0] < MF_DUBBO_HEAD_LEN + <size_t>self._head.body_len:
            check(MF_EMORE, "the body is cut short", frame.shape[0])
        self._body = mf_slice_of(&frame[0] + MF_DUBBO_HEAD_LEN, self._head.body_len)
        cdef int rc = mf_dubbo_parse_request(
            self._head.serialization, self._body, NULL, pairs, DUBBO_MAX_ATTACHMENTS, &self._request, &why
        )
        self._request.attachments = NULL
        self._why = why.decode()
        self._opaque = rc == MF_EDUBBO_OPAQUE
        if rc < 0 and not self._opaque:
            check(rc, self._why, MF_DUBBO_HEAD_LEN + self._request.at)
        cdef size_t size = self._request.n_attachments * sizeof(mf_pair)
        if size:
            self._request.attachments = <mf_pair *>mf_alloc(size)
            if self._request.attachments == NULL:
                check(-ENOMEM)
            memcpy(self._request.attachments, pairs, size)

    def __dealloc__(self):
        mf_free(self._request.attachments)

    @property
    def head(self):
        return dubbo_head_tuple(&self._head)

    @property
    def dubbo_version(self):
        return dubbo_text(self._request.dubbo_version)

    @property
    def service(self):
        return dubbo_text(self._request.service)

    @property
    def version(self):
        return dubbo_text(self._request.version)

    @property
    def method(self):
        return dubbo_text(self._request.method)

    @property
    def invoked(self):
        return dubbo_text(self._request.invoked)

    @property
    def parameter_types(self):
        return dubbo_text(self._request.types)

    @property
    def timeout(self):
        return self._request.timeout_ms if self._request.timeout_ms >= 0 else None

    @property
    def is_generic(self):
        return self._request.generic

    @property
    def is_complete(self):
        return self._request.complete

    @property
    def is_opaque(self):
        return self._opaque

    @property
    def attachments(self):
        cdef uint32_t i
        if self._attachments is None:
            self._attachments = {}
            for i in range(self._request.n_attachments):
                pair = self._request.attachments[i]
                self._attachments[dubbo_text(pair.key)] = dubbo_text(pair.value)
        return self._attachments

    def stamped(self, pairs):
        cdef bytes frame, key, value
        cdef list texts = [(str(k).encode("utf-8", "replace"), str(v).encode("utf-8", "replace")) for k, v in pairs]
        cdef uint32_t i, n = len(texts)
        cdef size_t room, cut = 0, kept
        cdef int added
        cdef mf_dubbo_head head = self._head
        cdef uint8_t *tail = NULL
        cdef mf_pair *adds = <mf_pair *>mf_alloc((n + 1) * sizeof(mf_pair))
        try:
            if adds == NULL:
                check(-ENOMEM)
            for i in range(n):
                key, value = texts[i]
                adds[i].key = mf_slice_of(<const uint8_t *>key, len(key))
                adds[i].value = mf_slice_of(<const uint8_t *>value, len(value))
            room = mf_dubbo_stamp_room(head.serialization, self._body, &self._request, adds, n)
            tail = <uint8_t *>mf_alloc(room)
            if tail == NULL:
                check(-ENOMEM)
            added = check(mf_dubbo_stamp(head.serialization, self._body, &self._request, adds, n, tail, room, &cut),
                          None, MF_DUBBO_HEAD_LEN + self._body.len)
            kept = self._body.len - cut
            head.body_len = <uint32_t>(kept + added)
            frame = PyBytes_FromStringAndSize(NULL, MF_DUBBO_HEAD_LEN + head.body_len)
            to = <uint8_t *>PyBytes_AS_STRING(frame)
            mf_dubbo_put_head(to, &head)
            memcpy(to + MF_DUBBO_HEAD_LEN, self._body.ptr, kept)
            memcpy(to + MF_DUBBO_HEAD_LEN + kept, tail, added)
            return frame
        finally:
            mf_free(adds)
            mf_free(tail)

    def __repr__(self):
        what = "opaque" if self._opaque and not self._request.service.len else f"{self.service}.{self.method}"
        return f"<dubbo request {self._head.id} {what}>"


def dubbo_error(uint64_t request_id, uint8_t serialization, uint8_t status, str text not None):
    cdef uint8_t to[MF_DUBBO_ERROR_ROOM]
    cdef bytes raw = text.encode("utf-8", "replace")
    return to[: mf_dubbo_put_error(to, request_id, serialization, status, raw)]


def dubbo_heartbeat(uint64_t request_id):
    cdef uint8_t to[MF_DUBBO_EVENT_ROOM]
    return to[: mf_dubbo_put_heartbeat(to, request_id)]


def dubbo_readonly():
    cdef uint8_t to[MF_DUBBO_EVENT_ROOM]
    return to[: mf_dubbo_put_readonly(to, True)]


def dubbo_event(uint8_t serialization, const uint8_t[::1] body not None):
    return ("heartbeat", "readonly", "writeable", "other")[mf_dubbo_event_of(serialization, as_slice(body))]


def dubbo_serialization_name(uint8_t serialization):
    return mf_dubbo_serialization_name(serialization).decode()


def dubbo_status_name(uint8_t status):
    return mf_dubbo_status_name(status).decode()


def traceid(str key not None, str value not None):
    cdef bytes k = key.encode("utf-8", "replace"), v = value.encode("utf-8", "replace")
    cdef mf_slice found = mf_traceid_of(mf_traceid_format_of(mf_slice_of(<const uint8_t *>k, len(k))),
                                        mf_slice_of(<const uint8_t *>v, len(v)))
    return dubbo_text(found)
