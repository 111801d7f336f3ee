# What the extension uses of csrc/meshfast.h, and nothing else. Declared once, here.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "meshfast.h" nogil:
    # base/err.h
    const char *mf_err_text(int rc)
    const char *mf_err_name(int rc)
    cdef enum mf_err_kind:
        MF_KIND_system
        MF_KIND_more
        MF_KIND_protocol
        MF_KIND_limit
        MF_KIND_state
    mf_err_kind _mf_err_kind "mf_err_kind"(int rc)

    # base/slice.h
    cdef struct mf_slice:
        const uint8_t *ptr
        size_t len
    cdef struct mf_pair:
        mf_slice key
        mf_slice value
    mf_slice mf_slice_of(const void *ptr, size_t len)

    # proxy/engine.h
    cdef struct mf_engine:
        pass
    cdef struct mf_limits:
        pass
    cdef struct mf_limit_info:
        const char *name
        const char *unit
        const char *text
        uint64_t value
        uint64_t least
    cdef struct mf_counter_info:
        const char *name
        const char *kind
        const char *text
    cdef struct mf_counters:
        pass
    cdef struct mf_serialization_counters:
        pass
    cdef struct mf_engine_options:
        uint32_t workers
        mf_loop_options loop
        mf_loop *embed
        mf_limits limits
        mf_table *table
        mf_trace *trace
    cdef enum mf_direction:
        MF_OUTBOUND
        MF_INBOUND
    cdef enum mf_listen_protocol:
        MF_LISTEN_AUTO
        MF_LISTEN_DUBBO
        MF_LISTEN_TCP
    cdef struct mf_addr:
        pass
    cdef struct mf_listen_options:
        mf_slice name
        mf_addr bind
        mf_direction direction
        mf_listen_protocol protocol
        bint transparent
        bint has_forward
        mf_addr forward
        mf_slice service
    cdef struct mf_event:
        uint64_t at
        uint16_t kind
        uint16_t worker
        int32_t rc
        char peer[128]
    int mf_addr_parse(mf_slice text, mf_addr *out)
    size_t mf_addr_format(const mf_addr *addr, char *out)
    void mf_limits_default(mf_limits *limits)
    int mf_limits_set(mf_limits *limits, const char *name, uint64_t value)
    const mf_limit_info *mf_limit_table()
    const mf_counter_info *mf_counter_table()
    int mf_engine_new(const mf_engine_options *options, mf_engine **out, const char **why)
    int mf_engine_listen(mf_engine *engine, const mf_listen_options *options, mf_addr *bound)
    int mf_engine_start(mf_engine *engine)
    const char *mf_engine_loop_name(const mf_engine *engine)
    void mf_engine_drain(mf_engine *engine)
    bint mf_engine_drained(const mf_engine *engine)
    void mf_engine_stop(mf_engine *engine)
    void mf_engine_free(mf_engine *engine)
    void mf_engine_counters(const mf_engine *engine, mf_counters *out)
    void mf_engine_serializations(const mf_engine *engine, mf_serialization_counters *out)
    void mf_engine_loop_counts(const mf_engine *engine, mf_loop_counts *out)
    int mf_engine_event_fd(const mf_engine *engine)
    int mf_engine_next_event(mf_engine *engine, mf_event *out)
    # codec/dubbo.h
    enum:
        MF_EMORE
        MF_EDUBBO_BODY
        MF_EDUBBO_OPAQUE
        MF_DUBBO_HEAD_LEN
        MF_DUBBO_REQUEST
        MF_DUBBO_TWO_WAY
        MF_DUBBO_EVENT
        MF_DUBBO_ERROR_ROOM
        MF_DUBBO_EVENT_ROOM
    cdef struct mf_dubbo_head:
        uint64_t id
        uint32_t body_len
        uint8_t flags
        uint8_t status
        uint8_t serialization
    cdef struct mf_dubbo_limits:
        uint32_t max_depth
        uint32_t max_classes
    cdef struct mf_dubbo_request:
        mf_slice dubbo_version
        mf_slice service
        mf_slice version
        mf_slice method
        mf_slice types
        mf_slice invoked
        mf_pair *attachments
        uint32_t n_attachments
        uint32_t at
        int64_t timeout_ms
        bint generic
        bint complete
    int mf_dubbo_parse_head(mf_slice head, uint32_t max_body, mf_dubbo_head *out)
    int mf_dubbo_parse_request(uint8_t serialization, mf_slice body, const mf_dubbo_limits *limits,
                               mf_pair *attachments, uint32_t max_attachments, mf_dubbo_request *out, const char **why)
    int mf_dubbo_stamp(uint8_t serialization, mf_slice body, const mf_dubbo_request *request, const mf_pair *pairs,
                       uint32_t n_pairs, uint8_t *tail, size_t room, size_t *cut)
    size_t mf_dubbo_stamp_room(uint8_t serialization, mf_slice body, const mf_dubbo_request *request,
                               const mf_pair *pairs, uint32_t n_pairs)
    void mf_dubbo_put_head(uint8_t *to, const mf_dubbo_head *head)
    size_t mf_dubbo_put_error(uint8_t *to, uint64_t id, uint8_t serialization, uint8_t status, const char *text)
    size_t mf_dubbo_put_heartbeat(uint8_t *to, uint64_t id)
    size_t mf_dubbo_put_readonly(uint8_t *to)
    int mf_dubbo_event_of(uint8_t serialization, mf_slice body)
    const char *mf_dubbo_serialization_name(uint8_t serialization)
    const char *mf_dubbo_status_name(uint8_t status)

    # codec/traceid.h
    mf_slice mf_traceid_of(int format, mf_slice value)
    int mf_traceid_format_of(mf_slice key)

    # base/mem.h
    void *mf_alloc(size_t size)
    void mf_free(void *ptr)
