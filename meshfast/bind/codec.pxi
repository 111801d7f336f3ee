# codec: the Dubbo2 frame and trace ids. Requests keep the buffer they were read from; text is made when it is asked for.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize

cdef enum:
    DUBBO_MAX_ATTACHMENTS = 1024
    DUBBO_MAX_BODY = 0x7fffffff


cdef str dubbo_text(mf_slice text):
    """The core makes UTF-8 of whatever the wire has; half a surrogate pair is shown as U+FFFD."""
    cdef bytes raw = text.ptr[: text.len] if text.len else b""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        pass
    try:
        halves = raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # fastjson2's UTF-8 is passed on as it is
        return raw.decode("utf-8", "replace")
    return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


cdef tuple dubbo_head_tuple(mf_dubbo_head *head):
    return (
        (head.flags & MF_DUBBO_REQUEST) != 0,
        (head.flags & MF_DUBBO_TWO_WAY) != 0,
        (head.flags & MF_DUBBO_EVENT) != 0,
        head.serialization,
        head.status,
        <int64_t>head.id,
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
    cdef mf_dubbo_room _room  # what the request's slices lie in, where that is not the frame
    cdef dict _attachments

    def __cinit__(self, const uint8_t[::1] frame not None):
        cdef const char *why = ""
        self._frame = frame
        if not dubbo_read_head(frame, DUBBO_MAX_BODY, &self._head):
            check(MF_EMORE, "the head is cut short", frame.shape[0])
        if not self._head.flags & MF_DUBBO_REQUEST or self._head.flags & MF_DUBBO_EVENT:
            check(MF_EDUBBO_BODY, "an answer or an event, not a request", 2)
        if <size_t>frame.shape[0] < MF_DUBBO_HEAD_LEN + <size_t>self._head.body_len:
            check(MF_EMORE, "the body is cut short", frame.shape[0])
        self._body = mf_slice_of(&frame[0] + MF_DUBBO_HEAD_LEN, self._head.body_len)
        # A text takes at most three times the bytes it has on the wire, and so does a pair of two empty ones.
        self._room.max_attachments = min(DUBBO_MAX_ATTACHMENTS, self._head.body_len // 2)
        self._room.text_len = min(<size_t>MF_DUBBO_TEXT_ROOM, 3 * self._body.len)
        self._room.attachments = <mf_pair *>mf_alloc(
            (self._room.max_attachments + MF_DUBBO_LEADING) * sizeof(mf_pair) + self._room.text_len
        )
        if self._room.attachments == NULL:
            check(-ENOMEM)
        self._room.text = <uint8_t *>(self._room.attachments + self._room.max_attachments + MF_DUBBO_LEADING)
        cdef int rc = mf_dubbo_parse_request(
            self._head.serialization, self._body, NULL, &self._room, &self._request, &why
        )
        self._why = why.decode()
        self._opaque = rc == MF_EDUBBO_OPAQUE
        if rc < 0 and not self._opaque:
            check(rc, self._why, MF_DUBBO_HEAD_LEN + self._request.at)

    def __dealloc__(self):
        mf_free(self._room.attachments)

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
                if pair.value.ptr == NULL:  # there, but not text: the last of a key counts
                    self._attachments.pop(dubbo_text(pair.key), None)
                else:
                    self._attachments[dubbo_text(pair.key)] = dubbo_text(pair.value)
        return self._attachments

    def stamped(self, pairs):
        cdef bytes frame, key, value
        cdef list texts = [(str(k).encode("utf-8", "replace"), str(v).encode("utf-8", "replace")) for k, v in pairs]
        cdef uint32_t i, n = len(texts)
        cdef size_t room
        cdef mf_dubbo_stamped stamped
        cdef mf_dubbo_head head = self._head
        cdef uint8_t *tail = NULL
        cdef uint8_t *to
        cdef mf_pair *adds = <mf_pair *>mf_alloc((n + 1) * sizeof(mf_pair))
        try:
            if adds == NULL:
                check(-ENOMEM)
            for i in range(n):
                key, value = texts[i]
                adds[i].key = mf_slice_of(<const uint8_t *>key, len(key))
                adds[i].value = mf_slice_of(<const uint8_t *>value, len(value))
            room = mf_dubbo_stamp_room(adds, n)
            tail = <uint8_t *>mf_alloc(room)
            if tail == NULL:
                check(-ENOMEM)
            check(mf_dubbo_stamp(head.serialization, self._body, &self._request, adds, n, tail, room, &stamped),
                  None, MF_DUBBO_HEAD_LEN + self._body.len)
            head.body_len = <uint32_t>stamped.len
            frame = PyBytes_FromStringAndSize(NULL, MF_DUBBO_HEAD_LEN + head.body_len)
            to = <uint8_t *>PyBytes_AS_STRING(frame)
            mf_dubbo_put_head(to, &head)
            mf_dubbo_stamped_copy(&stamped, to + MF_DUBBO_HEAD_LEN)
            return frame
        finally:
            mf_free(adds)
            mf_free(tail)

    def __repr__(self):
        what = "opaque" if self._opaque and not self._request.service.len else f"{self.service}.{self.method}"
        return f"<dubbo request {self._head.id} {what}>"


cdef uint64_t dubbo_id(request_id) except? 0:
    """Signed, as Java prints it, or not."""
    return <uint64_t>(request_id & 0xFFFFFFFFFFFFFFFF)


def dubbo_error(request_id not None, uint8_t serialization, uint8_t status, str text not None):
    cdef uint8_t to[MF_DUBBO_ERROR_ROOM]
    cdef bytes raw = text.encode("utf-8", "replace")
    return to[: mf_dubbo_put_error(to, dubbo_id(request_id), serialization, status, raw)]


def dubbo_heartbeat(request_id not None):
    cdef uint8_t to[MF_DUBBO_EVENT_ROOM]
    return to[: mf_dubbo_put_heartbeat(to, dubbo_id(request_id))]


def dubbo_readonly():
    cdef uint8_t to[MF_DUBBO_EVENT_ROOM]
    return to[: mf_dubbo_put_readonly(to)]


def dubbo_writeable():
    cdef uint8_t to[MF_DUBBO_EVENT_ROOM]
    return to[: mf_dubbo_put_writeable(to)]


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
