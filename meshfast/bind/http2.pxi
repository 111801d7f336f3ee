# http2: header blocks and frames of HTTP/2. A list of headers is copied out as it is decoded; nothing of a block is kept.

cdef enum:
    H2_LIST_MOST = 1 << 24  # bytes of a header list: 16 MiB

cdef tuple h2_names = tuple([mf_h2_name_text(_i).ptr[: mf_h2_name_text(_i).len] if _i else b""
                             for _i in range(MF_H2_NAME_COUNT)])


cdef inline bytes h2_bytes(mf_slice text):
    return PyBytes_FromStringAndSize(<const char *>text.ptr, text.len)


cdef uint32_t h2_within(object value, str what, uint32_t most) except? 0:
    if not 0 <= value <= most:
        check(MF_ELIMIT, f"{what} is {value}, and may be 0 to {most}")
    return value


cdef class H2Decoder:
    cdef mf_hpack_decoder _decoder
    cdef mf_hpack_room _room
    cdef void *_memory
    cdef uint32_t _most, _size  # of the table: for its whole life, and now
    cdef str _broken

    def __cinit__(self, max_table_size=MF_HPACK_TABLE, max_header_list_size=65536):
        self._most = self._size = h2_within(max_table_size, "max_table_size", MF_HPACK_TABLE_MOST)
        cdef uint32_t most = h2_within(max_header_list_size, "max_header_list_size", H2_LIST_MOST)
        self._room.max_size = most
        self._room.scratch_len = most
        self._room.max_fields = most // MF_HPACK_OVERHEAD
        cdef size_t table = mf_hpack_decoder_room(self._most) + 7 & ~<size_t>7
        cdef size_t each = sizeof(mf_pair) + sizeof(mf_h2_mark)
        self._memory = mf_alloc(table + self._room.max_fields * each + most + 1)
        if self._memory == NULL:
            check(-ENOMEM)
        mf_hpack_decoder_init(&self._decoder, self._memory, self._most)
        self._room.fields = <mf_pair *>(<uint8_t *>self._memory + table)
        self._room.marks = <mf_h2_mark *>(self._room.fields + self._room.max_fields)
        self._room.scratch = <uint8_t *>(self._room.marks + self._room.max_fields)

    def __dealloc__(self):
        mf_free(self._memory)

    @property
    def max_table_size(self):
        return self._size

    @max_table_size.setter
    def max_table_size(self, size):
        self._size = h2_within(size, "max_table_size", self._most)
        mf_hpack_decoder_limit(&self._decoder, self._size)

    cdef uint32_t read(self, const uint8_t[::1] block) except? 0xffffffff:
        cdef mf_hpack_list out
        cdef int rc
        if self._broken is not None:
            check(MF_ECLOSED, f"a block before this one was wrong ({self._broken})")
        rc = mf_hpack_decode(&self._decoder, as_slice(block), &self._room, &out)
        if rc < 0:
            self._broken = mf_err_text(rc).decode()
            check(rc, "header block")
        if out.over:
            check(MF_ELIMIT, f"a header list of {out.size_all} bytes in {out.n_all} fields, "
                             f"over max_header_list_size {self._room.max_size}")
        return out.n

    cdef inline bytes name(self, uint32_t i):
        cdef uint8_t known = self._room.marks[i].name
        return <bytes>h2_names[known] if known else h2_bytes(self._room.fields[i].key)

    def decode(self, const uint8_t[::1] block not None):
        cdef uint32_t i
        return [(self.name(i), h2_bytes(self._room.fields[i].value)) for i in range(self.read(block))]

    def decode_fields(self, const uint8_t[::1] block not None):
        cdef uint32_t i
        return [(self.name(i), h2_bytes(self._room.fields[i].value),
                 (self._room.marks[i].flags & MF_H2_MARK_NEVER) != 0) for i in range(self.read(block))]


cdef mf_pair h2_pair(object field) except *:
    """The name and value of a tuple of two or more, borrowed from it."""
    cdef mf_pair pair
    cdef bytes name, value
    try:
        name, value = field[0], field[1]
    except (TypeError, IndexError):
        raise TypeError(f"a header is a tuple of two bytes objects, not {field!r}") from None
    if name is None or value is None:
        raise TypeError(f"a header is a tuple of two bytes objects, not {field!r}")
    pair.key = mf_slice_of(<const uint8_t *>name, len(name))
    pair.value = mf_slice_of(<const uint8_t *>value, len(value))
    return pair


cdef class H2Encoder:
    cdef mf_hpack_encoder _encoder
    cdef void *_memory
    cdef uint32_t _most, _size

    def __cinit__(self, max_table_size=MF_HPACK_TABLE):
        self._most = h2_within(max_table_size, "max_table_size", MF_HPACK_TABLE_MOST)
        self._size = min(self._most, <uint32_t>MF_HPACK_TABLE)
        self._memory = mf_alloc(mf_hpack_encoder_room(self._most) + 1)
        if self._memory == NULL:
            check(-ENOMEM)
        mf_hpack_encoder_init(&self._encoder, self._memory, self._most)

    def __dealloc__(self):
        mf_free(self._memory)

    @property
    def max_table_size(self):
        return self._size

    @max_table_size.setter
    def max_table_size(self, size):
        self._size = min(self._most, h2_within(size, "max_table_size", 0xffffffff))
        mf_hpack_encoder_limit(&self._encoder, self._size)

    def encode(self, headers not None):
        cdef list fields = list(headers)
        cdef size_t room = MF_HPACK_BEGIN_ROOM, n
        cdef mf_pair pair
        cdef mf_h2_mark mark
        cdef uint8_t here[1024]
        cdef uint8_t *to = here
        for field in fields:  # all of them are good before the first one changes the table
            pair = h2_pair(field)
            if pair.key.len >= H2_LIST_MOST or pair.value.len >= H2_LIST_MOST:
                check(MF_ELIMIT, "a name or value of 16 MiB or more")
            room += MF_HPACK_PUT_ROOM(pair)
        if room > sizeof(here):
            to = <uint8_t *>mf_alloc(room)
            if to == NULL:
                check(-ENOMEM)
        try:
            n = mf_hpack_put_begin(&self._encoder, to)
            for field in fields:
                pair = h2_pair(field)
                mark = mf_h2_mark_of(pair)
                if len(field) > 2 and field[2]:
                    mark.flags |= MF_H2_MARK_NEVER
                n += mf_hpack_put(&self._encoder, to + n, pair, mark)
            return PyBytes_FromStringAndSize(<const char *>to, n)
        finally:
            if to != here:
                mf_free(to)


def h2_check_fields(str kind not None, headers not None):
    cdef list fields = list(headers)
    cdef uint32_t n = len(fields), at = 0, i
    cdef mf_h2_request request
    cdef mf_h2_response response
    cdef mf_h2_mark unknown = mf_h2_mark(0, 0)
    cdef int rc
    cdef mf_pair *pairs = <mf_pair *>mf_alloc((n + 1) * (sizeof(mf_pair) + sizeof(mf_h2_mark)))
    cdef mf_h2_mark *marks = <mf_h2_mark *>(pairs + n + 1)
    if pairs == NULL:
        check(-ENOMEM)
    try:
        for i in range(n):
            pairs[i] = h2_pair(fields[i])
            marks[i] = mf_h2_mark_judge(pairs[i], unknown)
        if kind == "request":
            rc = mf_h2_fields_request(pairs, marks, n, &request)
            at = request.at
        elif kind == "response":
            rc = mf_h2_fields_response(pairs, marks, n, &response)
            at = response.at
        else:
            rc = mf_h2_fields_trailers(pairs, marks, n, &at)
        check(rc, f"{kind}, field {at} ({fields[at][0]!r})" if at < n else kind)
    finally:
        mf_free(pairs)


def h2_preface(const uint8_t[::1] data not None):
    cdef int rc = mf_h2_frame_preface(as_slice(data))
    return False if rc == MF_EMORE else check(rc, None, 0) > 0


def h2_error(int code):
    return mf_h2_frame_code(code), mf_h2_frame_of_stream(code)


def h2_parse_frame(const uint8_t[::1] data not None, uint32_t max_size=MF_H2_FRAME_LEAST):
    """(length, type, flags, stream, pad or None, what the type says ...) or None."""
    cdef mf_slice whole = as_slice(data), payload
    cdef mf_h2_head head
    cdef mf_h2_data content
    cdef mf_h2_headers headers
    cdef mf_h2_priority priority
    cdef mf_h2_push push
    cdef mf_h2_goaway goaway
    cdef uint32_t value
    cdef uint16_t id
    cdef size_t at = 0
    cdef int rc = mf_h2_frame_head(whole, max_size, &head)
    if rc == MF_EMORE:
        return None
    check(rc, f"type {head.type}, stream {head.stream}, {head.len} bytes", 0)
    if whole.len < MF_H2_HEAD_LEN + <size_t>head.len:
        return None
    payload = mf_slice_of(whole.ptr + MF_H2_HEAD_LEN, head.len)
    where = f"type {head.type}, stream {head.stream}"
    front = (MF_H2_HEAD_LEN + head.len, head.type, head.flags, head.stream)
    padded = head.flags & MF_H2_PADDED and head.type in (MF_H2_DATA, MF_H2_HEADERS, MF_H2_PUSH_PROMISE)
    pad = payload.ptr[0] if padded else None
    if head.type == MF_H2_DATA:
        check(mf_h2_frame_data(&head, payload, &content), where, MF_H2_HEAD_LEN)
        return *front, pad, h2_bytes(content.data)
    if head.type == MF_H2_HEADERS:
        check(mf_h2_frame_headers(&head, payload, &headers), where, MF_H2_HEAD_LEN)
        priority = headers.priority
        said = (priority.depends_on, priority.weight, priority.exclusive) if head.flags & MF_H2_PRIORITIZED else None
        return *front, pad, h2_bytes(headers.block), said
    if head.type == MF_H2_PRIORITY:
        check(mf_h2_frame_priority(&head, payload, &priority), where, MF_H2_HEAD_LEN)
        return *front, pad, (priority.depends_on, priority.weight, priority.exclusive)
    if head.type == MF_H2_RST_STREAM:
        return *front, pad, mf_h2_frame_rst_stream(payload)
    if head.type == MF_H2_SETTINGS:
        pairs = []
        while (rc := mf_h2_frame_settings(payload, &at, &id, &value)) > 0:
            pairs.append((id, value))
        if rc < 0:  # a detail that is an argument would be made before the call
            check(rc, f"setting {id} is {value}", MF_H2_HEAD_LEN + at)
        return *front, pad, tuple(pairs)
    if head.type == MF_H2_PUSH_PROMISE:
        check(mf_h2_frame_push(&head, payload, &push), where, MF_H2_HEAD_LEN)
        return *front, pad, push.promised, h2_bytes(push.block)
    if head.type == MF_H2_PING:
        return *front, pad, mf_h2_frame_ping(payload).to_bytes(8, "big")
    if head.type == MF_H2_GOAWAY:
        mf_h2_frame_goaway(payload, &goaway)
        return *front, pad, goaway.last, goaway.code, h2_bytes(goaway.debug)
    if head.type == MF_H2_WINDOW_UPDATE:
        check(mf_h2_frame_window(&head, payload, &value), where, MF_H2_HEAD_LEN)
        return *front, pad, value
    return *front, pad, h2_bytes(payload)


def h2_put_frame(uint8_t type, uint8_t flags, uint32_t stream, bytes payload not None, pad=None):
    cdef uint8_t to[MF_H2_PADDED_ROOM]
    cdef uint32_t size = h2_within(len(payload), "a payload's length", 0xffffff - 256)
    cdef mf_h2_head head = mf_h2_head(size, h2_within(stream, "stream", 0x7fffffff), type, flags)
    if pad is None:
        return to[: mf_h2_put_head(to, &head)] + payload
    return to[: mf_h2_put_padded(to, &head, h2_within(pad, "pad", 255))] + payload + bytes(pad)
