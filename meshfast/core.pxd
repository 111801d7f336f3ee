# What the extension uses of csrc/meshfast.h, and nothing else. Declared once, here.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "meshfast.h" nogil:
    ctypedef bint mf_bool "bool"

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

    # codec/dubbo.h
    enum:
        MF_EMORE
        MF_ELIMIT
        MF_ECLOSED
        MF_EDUBBO_BODY
        MF_EDUBBO_OPAQUE
        MF_DUBBO_HEAD_LEN
        MF_DUBBO_REQUEST
        MF_DUBBO_TWO_WAY
        MF_DUBBO_EVENT
        MF_DUBBO_ERROR_ROOM
        MF_DUBBO_EVENT_ROOM
        MF_DUBBO_LEADING
        MF_DUBBO_TEXT_ROOM
    cdef struct mf_dubbo_head:
        uint64_t id
        uint32_t body_len
        uint8_t flags
        uint8_t status
        uint8_t serialization
    cdef struct mf_dubbo_limits:
        uint32_t max_depth
        uint32_t max_classes
    cdef struct mf_dubbo_room:
        mf_pair *attachments
        uint32_t max_attachments
        size_t text_len
        uint8_t *text
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
                               const mf_dubbo_room *room, mf_dubbo_request *out, const char **why)
    cdef struct mf_dubbo_stamped:
        size_t len
    int mf_dubbo_stamp(uint8_t serialization, mf_slice body, const mf_dubbo_request *request, const mf_pair *pairs,
                       uint32_t n_pairs, uint8_t *tail, size_t room, mf_dubbo_stamped *out)
    size_t mf_dubbo_stamp_room(const mf_pair *pairs, uint32_t n_pairs)
    void mf_dubbo_stamped_copy(const mf_dubbo_stamped *stamped, uint8_t *to)
    void mf_dubbo_put_head(uint8_t *to, const mf_dubbo_head *head)
    size_t mf_dubbo_put_error(uint8_t *to, uint64_t id, uint8_t serialization, uint8_t status, const char *text)
    size_t mf_dubbo_put_heartbeat(uint8_t *to, uint64_t id)
    size_t mf_dubbo_put_readonly(uint8_t *to)
    size_t mf_dubbo_put_writeable(uint8_t *to)
    int mf_dubbo_event_of(uint8_t serialization, mf_slice body)
    const char *mf_dubbo_serialization_name(uint8_t serialization)
    const char *mf_dubbo_status_name(uint8_t status)

    # codec/h2_name.h
    cdef struct mf_h2_mark:
        uint8_t name
        uint8_t flags
    enum:
        MF_H2_NAME_COUNT
        MF_H2_MARK_NEVER
    mf_slice mf_h2_name_text(int name)
    mf_h2_mark mf_h2_mark_of(mf_pair field)
    mf_h2_mark mf_h2_mark_judge(mf_pair field, mf_h2_mark known)

    # codec/hpack.h
    enum:
        MF_HPACK_TABLE
        MF_HPACK_TABLE_MOST
        MF_HPACK_OVERHEAD
        MF_HPACK_BEGIN_ROOM
    cdef struct mf_hpack_decoder:
        pass
    cdef struct mf_hpack_room:
        mf_pair *fields
        mf_h2_mark *marks
        uint8_t *scratch
        size_t scratch_len
        uint32_t max_fields
        uint32_t max_size
    cdef struct mf_hpack_list:
        uint32_t n
        uint32_t over
        uint64_t n_all
        uint64_t size_all
    size_t mf_hpack_decoder_room(uint32_t size)
    void mf_hpack_decoder_init(mf_hpack_decoder *decoder, void *memory, uint32_t size)
    void mf_hpack_decoder_limit(mf_hpack_decoder *decoder, uint32_t limit)
    int mf_hpack_decode(mf_hpack_decoder *decoder, mf_slice block, const mf_hpack_room *room, mf_hpack_list *out)
    cdef struct mf_hpack_encoder:
        pass
    size_t mf_hpack_encoder_room(uint32_t size)
    void mf_hpack_encoder_init(mf_hpack_encoder *encoder, void *memory, uint32_t size)
    void mf_hpack_encoder_limit(mf_hpack_encoder *encoder, uint32_t limit)
    size_t mf_hpack_put_begin(mf_hpack_encoder *encoder, uint8_t *to)
    size_t MF_HPACK_PUT_ROOM(mf_pair field)
    size_t mf_hpack_put(mf_hpack_encoder *encoder, uint8_t *to, mf_pair field, mf_h2_mark mark)

    # codec/h2_fields.h
    cdef struct mf_h2_request:
        mf_slice method
        mf_slice scheme
        mf_slice authority
        mf_slice path
        mf_slice host
        uint32_t regular
        uint32_t at
    cdef struct mf_h2_response:
        uint32_t at
    int mf_h2_fields_request(const mf_pair *fields, const mf_h2_mark *marks, uint32_t n, mf_h2_request *out)
    int mf_h2_fields_response(const mf_pair *fields, const mf_h2_mark *marks, uint32_t n, mf_h2_response *out)
    int mf_h2_fields_trailers(const mf_pair *fields, const mf_h2_mark *marks, uint32_t n, uint32_t *at)

    # codec/h2_view.h, h2_shown.h
    enum:
        MF_H2_SCRATCH
    cdef struct mf_h2_scratch:
        uint8_t *to
        size_t room
        size_t used
    cdef struct mf_h2_view:
        uint8_t flavour
        mf_slice service
        mf_slice method
        mf_slice alias
    cdef struct mf_h2_shown:
        const mf_pair *labels
        const mf_pair *headers
        uint32_t n_labels
        uint32_t n_headers
    void mf_h2_view_of(const mf_pair *fields, const mf_h2_mark *marks, uint32_t n, const mf_h2_request *request,
                       mf_h2_scratch *scratch, mf_h2_view *out)
    int mf_h2_view_path_check(const mf_h2_view *view)
    size_t MF_H2_SHOWN_ROOM(uint32_t n)
    void mf_h2_shown_of(const mf_pair *fields, const mf_h2_mark *marks, uint32_t n, const mf_h2_request *request,
                        const mf_h2_view *view, bint baggage, mf_pair *to, mf_h2_scratch *scratch, mf_h2_shown *out)

    # codec/change.h, replace.h
    enum:
        MF_CHANGE_FIELDS
        MF_CHANGE_PATH_NONE
        MF_CHANGE_PATH_BEGIN
        MF_CHANGE_PATH_WHOLE
        MF_CHANGE_PATH_PARTS
    cdef struct mf_change_put:
        mf_slice name
        mf_slice lower
        mf_slice value
        mf_bool beside
    cdef struct mf_change_level:
        uint32_t n_removes
        uint32_t n_puts
        const mf_slice *removes
        const mf_slice *lower_removes
        const mf_change_put *puts
    cdef struct mf_change_list:
        uint32_t n_levels
        mf_change_level levels[2]
    cdef struct mf_change_rewrite:
        uint8_t path
        uint32_t strip
        mf_slice to
        mf_slice authority
    cdef struct mf_change:
        mf_change_list request
        mf_change_list response
        mf_change_rewrite rewrite
    cdef struct mf_change_redirect:
        mf_slice uri
        mf_slice authority
        mf_slice scheme
        uint32_t port
        mf_bool same_port
    long mf_change_path(const mf_change_rewrite *rewrite, mf_slice path, uint8_t *to, size_t room)
    long mf_change_location(const mf_change_redirect *redirect, mf_slice scheme, mf_slice authority, mf_slice path,
                            mf_slice query, uint8_t *to, size_t room)
    int mf_replace_check(mf_slice blob)

    # codec/h2_frame.h
    enum:
        MF_H2_HEAD_LEN
        MF_H2_FRAME_LEAST
        MF_H2_DATA
        MF_H2_HEADERS
        MF_H2_PRIORITY
        MF_H2_RST_STREAM
        MF_H2_SETTINGS
        MF_H2_PUSH_PROMISE
        MF_H2_PING
        MF_H2_GOAWAY
        MF_H2_WINDOW_UPDATE
        MF_H2_PADDED
        MF_H2_PRIORITIZED
        MF_H2_PADDED_ROOM
    cdef struct mf_h2_head:
        uint32_t len
        uint32_t stream
        uint8_t type
        uint8_t flags
    cdef struct mf_h2_data:
        mf_slice data
    cdef struct mf_h2_priority:
        uint32_t depends_on
        uint8_t weight
        bint exclusive
    cdef struct mf_h2_headers:
        mf_slice block
        mf_h2_priority priority
    cdef struct mf_h2_push:
        mf_slice block
        uint32_t promised
    cdef struct mf_h2_goaway:
        mf_slice debug
        uint32_t last
        uint32_t code
    int mf_h2_frame_code(int rc)
    bint mf_h2_frame_of_stream(int rc)
    int mf_h2_frame_preface(mf_slice data)
    int mf_h2_frame_head(mf_slice data, uint32_t max_len, mf_h2_head *out)
    int mf_h2_frame_data(const mf_h2_head *head, mf_slice payload, mf_h2_data *out)
    int mf_h2_frame_headers(const mf_h2_head *head, mf_slice payload, mf_h2_headers *out)
    int mf_h2_frame_priority(const mf_h2_head *head, mf_slice payload, mf_h2_priority *out)
    uint32_t mf_h2_frame_rst_stream(mf_slice payload)
    int mf_h2_frame_settings(mf_slice payload, size_t *at, uint16_t *id, uint32_t *value)
    int mf_h2_frame_push(const mf_h2_head *head, mf_slice payload, mf_h2_push *out)
    uint64_t mf_h2_frame_ping(mf_slice payload)
    void mf_h2_frame_goaway(mf_slice payload, mf_h2_goaway *out)
    int mf_h2_frame_window(const mf_h2_head *head, mf_slice payload, uint32_t *increment)
    size_t mf_h2_put_head(uint8_t *to, const mf_h2_head *head)
    size_t mf_h2_put_padded(uint8_t *to, const mf_h2_head *head, uint8_t padding)

    # codec/traceid.h
    mf_slice mf_traceid_of(int format, mf_slice value)
    int mf_traceid_format_of(mf_slice key)

    # base/mem.h
    void *mf_alloc(size_t size)
    void *mf_zalloc(size_t size)
    void mf_free(void *ptr)

    # table/*.h
    cdef struct mf_table:
        pass
    cdef struct mf_cluster:
        pass
    cdef struct mf_service:
        pass
    cdef struct mf_trace:
        pass
    ctypedef struct mf_atom64:
        pass
    ctypedef struct mf_atom32:
        pass
    cdef struct mf_peer:
        mf_atom64 down_until
        mf_atom32 in_flight
        mf_atom64 calls
        mf_atom64 calls_active
        mf_atom64 connections
        mf_atom64 failures
        const char *text
    cdef struct mf_stat:
        const char *service
        const char *host
        const char *subset
    uint64_t mf_read64 "mf_load_relaxed"(mf_atom64 *at)
    uint32_t mf_read32 "mf_load_relaxed"(mf_atom32 *at)
    cdef struct mf_stat_shard:
        mf_atom64 begun
        mf_atom64 done
        mf_atom64 bytes_up
        mf_atom64 bytes_down
        mf_atom64 fallbacks
        mf_atom64 retries
        mf_atom64 relayed
        mf_atom64 one_way
        mf_atom64 status[37]
        mf_atom64 latency[20]
        mf_atom64 latency_sum_ns
        mf_atom64 outcome[16]
    cdef enum mf_service_pattern:
        MF_SERVICE_EXACT
    cdef enum mf_field:
        MF_FIELD_PATH
    cdef enum mf_op:
        MF_OP_EXACT
    cdef enum mf_target_kind:
        MF_TARGET_ALL
    cdef enum mf_fallback_case:
        MF_FALLBACK_NO_INSTANCE
    cdef enum mf_label_kind:
        MF_LABEL_HEADER
    cdef enum mf_traceid_format:
        MF_TRACEID_PLAIN
    cdef struct mf_label_source:
        mf_label_kind kind
        mf_traceid_format format
        mf_slice text
    cdef struct mf_label:
        mf_slice name
        uint32_t index
        uint8_t except_ "except"
        uint32_t n_sources
        mf_slice hosts
        mf_label_source sources[8]
    cdef struct mf_labels:
        uint32_t n_labels
        mf_label labels[16]  # MF_PLAN_LABELS
        mf_label_source traces[8]
        uint32_t n_traces
    cdef struct mf_http_view:
        mf_slice method
        mf_slice scheme
        mf_slice authority
        mf_slice path
        mf_slice query
    cdef struct mf_query:
        mf_slice service
        mf_slice method
        const mf_pair *headers
        uint32_t n_headers
        mf_bool fold_names
        const mf_slice *labels
        const mf_http_view *http
        uint64_t now
        uint64_t random
        mf_bool (*argument)(void *of, uint32_t index, mf_slice *out) noexcept nogil
        void *of
    cdef struct mf_bound:
        mf_bound *next
        mf_slice name
    cdef struct mf_retries:
        uint32_t on
        uint16_t attempts
        uint8_t levels_every
        mf_bool other_peers
        uint32_t try_ms
        uint32_t backoff_ms
        uint64_t codes[10]
    cdef struct mf_statuses:
        uint16_t http
        uint8_t grpc
        uint8_t dubbo
    cdef struct mf_faults:
        uint32_t delay_chance
        uint32_t delay_ms
        uint32_t abort_chance
        mf_statuses statuses
        mf_slice text
    cdef struct mf_direct:
        mf_statuses statuses
        mf_slice body
        mf_slice text
    cdef struct mf_redirect:
        mf_statuses statuses
        mf_change_redirect to
    cdef struct mf_actions:
        mf_bound *bounds
        const mf_retries *retries
        const mf_faults *faults
        const mf_direct *direct
        const mf_redirect *redirect
        const mf_change *changes
        uint32_t n_changes
    cdef struct mf_route:
        mf_peer *peer
        mf_actions *actions
        uint32_t timeout_ms
        uint16_t rule
        uint16_t fallbacks
    cdef struct mf_route_step:
        int kind
        uint16_t rule
        uint16_t match
        uint16_t condition
        uint16_t target
        mf_slice text
    cdef struct mf_route_steps:
        mf_route_step *steps
        uint32_t n
        uint32_t room
        uint32_t branch
    int mf_table_new(mf_table **out)
    void mf_table_free(mf_table *table)
    size_t mf_table_n_services(const mf_table *table)
    int mf_cluster_new(mf_table *table, mf_slice host, mf_cluster **out)
    void mf_cluster_give(mf_table *table, mf_cluster *cluster)
    enum mf_family:
        MF_FAMILIES
    int mf_cluster_add_apart(mf_table *table, mf_cluster *cluster, const mf_slice *addrs, const mf_pair *labels,
                             uint32_t n_labels, uint32_t weight)
    int mf_cluster_subset(mf_table *table, mf_cluster *cluster, mf_slice name, const mf_pair *labels,
                          uint32_t n_labels)
    int mf_cluster_subset_of(mf_table *table, mf_cluster *cluster, mf_slice name, const uint32_t *members,
                             uint32_t n_members)
    cdef struct mf_place:
        uint32_t level
        uint32_t part
        uint16_t share
        mf_bool local
        mf_bool from_ "from"
        mf_bool to
    cdef struct mf_policy_locality:
        const mf_place *places
        const uint32_t *shares
        uint32_t n
        uint32_t n_shares
        mf_bool weighted
        uint8_t panic
        uint8_t moved
    cdef struct mf_policy_budget:
        mf_bool set
        uint32_t share
        uint32_t least
    enum:
        MF_BREAKER_REQUESTS
        MF_BREAKER_PENDING
        MF_BREAKER_CONNECTIONS
        MF_BREAKER_RETRIES
        MF_BREAKER_KINDS
        MF_OUTLIER_REASONS
    cdef struct mf_outlier_rules:
        uint32_t errors
        uint32_t gateway
        uint32_t local
        uint32_t max_percent
        uint32_t least_percent
        mf_bool split
        mf_bool own_codes
        uint64_t interval
        uint64_t base
        uint64_t longest
    void mf_outlier_set_code(mf_outlier_rules *rules, uint32_t code)
    cdef struct mf_breaker_rules:
        uint32_t most[MF_BREAKER_KINDS]
        uint32_t connect_ms
    enum:
        MF_WARMUP_STEPS
    cdef struct mf_policy_balancer:
        uint8_t kind, by
        uint16_t argument
        uint32_t places
        mf_slice key
        mf_slice makes
        uint64_t warmup_ns
        uint16_t warmth[64]
    cdef struct mf_policy:
        const mf_policy_locality *locality
        mf_bool guarded
        const mf_policy_balancer *balancer
        mf_policy_budget budget
        mf_bool ejects
        mf_bool breaks
        mf_outlier_rules outlier
        mf_breaker_rules breaker
    cdef struct mf_level_told:
        uint32_t view
        uint32_t level
        uint32_t number
        uint32_t members
        uint32_t well
        uint32_t load
        mf_bool panic
        double share
    uint32_t mf_cluster_levels(const mf_cluster *cluster, mf_slice subset, mf_family family, uint64_t now,
                               mf_level_told *out, uint32_t room)
    int mf_cluster_policy(mf_table *table, mf_cluster *cluster, mf_slice subset, const mf_policy *policy)
    int mf_cluster_seal(mf_table *table, mf_cluster *cluster)
    enum:
        MF_BUCKET_PASSED
        MF_BUCKET_REFUSED
        MF_METER_COUNTS
    cdef struct mf_meter:
        mf_atom64 counts[4]
    mf_meter *mf_meter_new()
    void mf_meter_give(mf_meter *meter)
    bint mf_meter_shared(const mf_meter *meter)
    cdef struct mf_bucket:
        mf_meter *meter
    mf_bucket *mf_bucket_new(uint64_t requests, uint64_t unit, uint64_t burst, uint64_t now)
    void mf_bucket_set(mf_bucket *bucket, uint64_t requests, uint64_t unit, uint64_t burst, uint64_t now)
    void mf_bucket_give(mf_bucket *bucket)
    bint mf_bucket_shared(const mf_bucket *bucket)
    uint64_t mf_bucket_left(const mf_bucket *bucket, uint64_t now)
    cdef struct mf_bound_condition:
        uint16_t match
        uint8_t field
        uint8_t op
        mf_slice key
        mf_slice value
    int mf_bound_add(mf_table *table, mf_service *service, mf_actions *actions, mf_slice name, mf_bucket *bucket,
                     uint32_t n_matches, const mf_bound_condition *conditions, uint32_t n)
    bint mf_bound_counts(const mf_bound *bound, const mf_query *query)
    int mf_mirror_add(mf_service *service, uint16_t rule, uint16_t target, mf_actions *actions, uint32_t share,
                      mf_meter *meter)
    void *mf_actions_alloc(mf_actions *actions, size_t size)
    mf_actions *mf_actions_new()
    void *mf_actions_alloc(mf_actions *actions, size_t size)
    void mf_actions_give(mf_actions *actions)
    int mf_service_actions(mf_service *service, uint16_t rule, mf_actions *actions)
    int mf_service_new(mf_table *table, mf_slice name, mf_service_pattern pattern, mf_service **out)
    void mf_service_free(mf_table *table, mf_service *service)
    int mf_service_rule(mf_service *service, uint32_t timeout_ms)
    int mf_service_match(mf_service *service, uint16_t rule)
    int mf_service_condition(mf_table *table, mf_service *service, uint16_t rule, uint16_t match, mf_field field,
                             mf_slice key, mf_op op, mf_slice value)
    int mf_service_target(mf_table *table, mf_service *service, uint16_t rule, mf_cluster *cluster,
                          mf_target_kind kind, mf_slice text, uint32_t weight, mf_fallback_case on, uint16_t fallback)
    int mf_table_prepare(mf_table *table, mf_service *service)
    int mf_table_publish(mf_table *table, mf_service *service)
    int mf_table_remove(mf_table *table, mf_slice name, mf_service_pattern pattern)
    int mf_table_publish_labels(mf_table *table, const mf_labels *plan)
    size_t mf_table_reclaim(mf_table *table)
    enum:
        MF_LABELS
        MF_PLAN_LABELS
        MF_LABEL_SOURCES
        MF_TRACE_VALUE
    int mf_label_number(const mf_table *table, mf_slice name)
    int mf_route_lookup(const mf_table *table, const mf_query *query, mf_route *out)
    int mf_route_explain(const mf_table *table, const mf_query *query, mf_route *out, mf_route_steps *steps)
    mf_bool mf_table_next_stats(mf_table *table, uint64_t *cursor, void (*fn)(void *, mf_stat *) noexcept nogil,
                                void *arg, size_t max)
    void mf_table_each_peer(mf_table *table, void (*fn)(void *, mf_peer *) noexcept nogil, void *arg)
    cdef struct mf_ward:
        pass
    cdef struct mf_ward_told:
        const mf_peer *peer
        uint64_t until
        uint64_t ejections
        uint32_t in_a_row[MF_OUTLIER_REASONS]
    void mf_ward_tell(const mf_ward *ward, mf_ward_told *out)
    cdef struct mf_guard:
        const char *host
        const char *subset
    cdef struct mf_guard_told:
        uint64_t active
        uint64_t ejections[MF_OUTLIER_REASONS]
        uint64_t forbidden
        uint64_t refused[MF_BREAKER_KINDS]
        uint32_t most[MF_BREAKER_KINDS]
        uint32_t now[MF_BREAKER_KINDS]
        mf_bool ejects
    void mf_guard_tell(const mf_guard *guard, mf_guard_told *out)
    void mf_guard_each_ward(const mf_guard *guard, void (*fn)(void *, const mf_ward *) noexcept nogil, void *arg)
    void mf_table_each_guard(mf_table *table, void (*fn)(void *, mf_guard *) noexcept nogil, void *arg)
    mf_bool mf_stat_used(const mf_stat *stat)
    mf_bool mf_peer_listed(const mf_peer *peer)
    void mf_stat_add(const mf_stat_shard *shard, mf_stat_shard *out)
    void mf_stat_sum(const mf_stat *stat, mf_stat_shard *out)
    enum:
        MF_STAT_STATUS
        MF_STAT_OTHER
        MF_STAT_GRPC
        MF_STAT_GRPC_OTHER
        MF_STAT_HTTP
    const char *mf_stat_status_name(int index)
    const char *mf_stat_protocol_name(int index)
    uint64_t mf_stat_bucket_bound(int bucket)
    bint mf_peer_available(const mf_peer *peer, uint64_t now)
    int mf_trace_new(size_t entries, uint64_t ttl_ns, mf_trace **out)
    void mf_trace_free(mf_trace *trace)
    cdef struct mf_trace_entry:
        mf_slice id
        mf_slice value
        uint32_t label
        uint32_t caller
        mf_bool replace
    int mf_trace_put(mf_trace *trace, const mf_trace_entry *entry, uint64_t now, mf_bool *evicted)
    int mf_trace_find(mf_trace *trace, mf_slice id, uint32_t label, uint64_t now, uint8_t *out)

    # loop/loop.h
    cdef struct mf_loop:
        pass
    cdef enum mf_loop_backend:
        MF_LOOP_AUTO
        MF_LOOP_EPOLL
        MF_LOOP_URING
    cdef struct mf_loop_options:
        mf_loop_backend backend
        uint32_t read_size
        uint32_t ring_entries
    int mf_loop_new(const mf_loop_options *options, mf_loop **out, const char **why)
    void mf_loop_free(mf_loop *loop)
    const char *mf_loop_name(const mf_loop *loop)
    int mf_loop_turn(mf_loop *loop, int64_t max_wait_ns)
    void mf_loop_wake(mf_loop *loop)
    int mf_loop_fd(const mf_loop *loop)
    uint64_t mf_clock_ns()
    cdef enum:
        MF_WATCH_READ
        MF_WATCH_WRITE
        MF_WATCH_ERROR
    cdef struct mf_watch:
        int fd
        uint32_t events
        void (*on_ready)(mf_watch *, uint32_t) noexcept nogil
    int mf_watch_add(mf_loop *loop, mf_watch *watch)
    int mf_watch_modify(mf_watch *watch, uint32_t events)
    void mf_watch_remove(mf_watch *watch)
    cdef struct mf_loop_counts:
        uint64_t turns, waits, syscalls, reads, writes, accepts, accept_failures, bytes_in, bytes_out
    void _mf_loop_counts "mf_loop_counts"(const mf_loop *loop, mf_loop_counts *out)

    # engine/engine.h
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
        uint32_t access_sample
    cdef enum mf_direction:
        MF_OUTBOUND
        MF_INBOUND
    cdef enum mf_listen_protocol:
        MF_LISTEN_AUTO
        MF_LISTEN_DUBBO
        MF_LISTEN_TCP
        MF_LISTEN_HTTP2
    cdef struct mf_addr:
        uint32_t len
    cdef enum mf_label_trust:
        MF_LABELS_KEEP_FIRST
        MF_LABELS_TRUST
        MF_LABELS_STRIP
    cdef struct mf_listen_options:
        mf_slice name
        mf_addr bind
        const int *fds
        uint32_t n_fds
        uint32_t mode
        mf_direction direction
        mf_listen_protocol protocol
        bint transparent
        bint has_forward
        mf_addr forward
        mf_slice service
        mf_label_trust labels
        mf_bool refuse_unknown
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
    const mf_limit_info *mf_limits_table()
    const mf_counter_info *mf_counters_table()
    int mf_engine_new(const mf_engine_options *options, mf_engine **out, const char **why)
    int mf_engine_listen(mf_engine *engine, const mf_listen_options *options, mf_addr *bound)
    int mf_engine_copies(const mf_engine *engine, uint32_t listener, int *fds)
    int mf_engine_share(mf_engine *engine, uint32_t listener, bint shared)
    cdef struct mf_passed:
        int fd
        uint32_t listener
        mf_bool dubbo
        uint64_t discard
        uint64_t silent
        size_t came_len
        uint8_t *came
    int mf_engine_pass(mf_engine *engine, uint32_t listeners)
    int mf_engine_next_passed(mf_engine *engine, mf_passed *out)
    bint mf_engine_passing(const mf_engine *engine)
    int mf_engine_adopt(mf_engine *engine, const mf_passed *passed)
    int mf_engine_start(mf_engine *engine)
    const char *mf_engine_loop_name(const mf_engine *engine)
    void mf_engine_drain(mf_engine *engine)
    bint mf_engine_drained(mf_engine *engine)
    int mf_engine_stop(mf_engine *engine)
    void mf_engine_free(mf_engine *engine)
    void mf_engine_counters(const mf_engine *engine, mf_counters *out)
    void mf_engine_serializations(const mf_engine *engine, mf_serialization_counters *out)
    void mf_engine_loop_counts(const mf_engine *engine, mf_loop_counts *out)
    enum:
        MF_OUTCOMES
        MF_NOTE_ALL_CALLS
    ctypedef int mf_outcome "enum mf_outcome"
    const char *mf_outcome_name(mf_outcome outcome)
    cdef struct mf_tallied:
        mf_stat_shard counts
        uint8_t kind
        mf_bool other
        mf_bool rest
    mf_slice mf_tallied_first(const mf_tallied *one)
    mf_slice mf_tallied_second(const mf_tallied *one)
    cdef struct mf_record:
        uint64_t ended
        uint64_t took
        uint64_t bytes_up
        uint64_t bytes_down
        uint64_t request_id
        mf_addr caller
        mf_addr peer
        uint8_t direction
        uint8_t outcome
        uint8_t status
        uint8_t service_len
        uint8_t method_len
        uint8_t subset_len
        uint8_t fallbacks
        uint8_t tries
        int32_t rule
        uint16_t labels_len
        uint16_t http
        uint32_t code
        const char *service
        const char *method
        const char *subset
        const uint8_t *labels
    void mf_engine_ended_here(const mf_engine *engine, uint64_t *out)
    void mf_engine_each_tallied(const mf_engine *engine, mf_bool methods,
                                void (*fn)(void *, const mf_tallied *) noexcept nogil, void *arg)
    int mf_engine_next_record(mf_engine *engine, mf_record *out)
    int mf_engine_event_fd(const mf_engine *engine)
    int mf_engine_next_event(mf_engine *engine, mf_event *out)
