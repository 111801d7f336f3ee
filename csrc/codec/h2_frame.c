#include "codec/h2_frame.h"

enum { STREAM_MASK = 0x7fffffff };

enum mf_h2_code mf_h2_frame_code(int rc)
{
    switch (rc) {
    case MF_EH2_FRAME_SIZE:
    case MF_EH2_LENGTH:
    case MF_EH2_PRIORITY_LENGTH:
        return MF_H2_FRAME_SIZE_ERROR;
    case MF_EH2_SETTING_WINDOW:
    case MF_EH2_WINDOW:
        return MF_H2_FLOW_CONTROL_ERROR;
    case MF_EH2_CLOSED:
        return MF_H2_STREAM_CLOSED;
    case MF_EH2_SILENT:
        return MF_H2_SETTINGS_TIMEOUT;
    case MF_ELIMIT:
    case MF_EHPACK_WORK:
        return MF_H2_ENHANCE_YOUR_CALM;
    default:
        if (rc <= MF_EH2_PREFACE && rc >= MF_EH2_CONTENT)
            return MF_H2_PROTOCOL_ERROR;
        return rc <= MF_EHPACK_SHORT && rc > MF_EHPACK_WORK ? MF_H2_COMPRESSION_ERROR : MF_H2_INTERNAL_ERROR;
    }
}

bool mf_h2_frame_of_stream(int rc)
{
    return rc <= MF_EH2_CREDIT_STREAM && rc >= MF_EH2_CONTENT;
}

const char *mf_h2_frame_type_name(uint8_t type)
{
    static const char *const names[] = {
        "DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY", "WINDOW_UPDATE",
        "CONTINUATION",
    };
    return type < MF_H2_TYPES ? names[type] : "unknown";
}

const char *mf_h2_frame_code_name(uint32_t code)
{
    static const char *const names[] = {
        "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
        "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
        "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
    };
    return code < sizeof(names) / sizeof(*names) ? names[code] : "unknown";
}

/* --- decoding */

int mf_h2_frame_preface(struct mf_slice in)
{
    size_t n = in.len < MF_H2_PREFACE_LEN ? in.len : MF_H2_PREFACE_LEN;
    if (n && memcmp(in.ptr, MF_H2_PREFACE, n) != 0)
        return MF_EH2_PREFACE;
    return n == MF_H2_PREFACE_LEN ? MF_H2_PREFACE_LEN : MF_EMORE;
}

static uint32_t get24(const uint8_t *p)
{
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

/* What a type demands of its head: on a stream, on none, or either; how long it is, at least or exactly. */
static const struct demand {
    enum { EITHER, ONE, NONE } stream;
    uint32_t least, most;
} demands[MF_H2_TYPES] = {
    [MF_H2_DATA] = {ONE, 0, UINT32_MAX},
    [MF_H2_HEADERS] = {ONE, 0, UINT32_MAX},
    [MF_H2_PRIORITY] = {ONE, 0, UINT32_MAX}, /* a wrong length is the stream's error (6.3) */
    [MF_H2_RST_STREAM] = {ONE, 4, 4},
    [MF_H2_SETTINGS] = {NONE, 0, UINT32_MAX},
    [MF_H2_PUSH_PROMISE] = {ONE, 0, UINT32_MAX},
    [MF_H2_PING] = {NONE, 8, 8},
    [MF_H2_GOAWAY] = {NONE, 8, UINT32_MAX},
    [MF_H2_WINDOW_UPDATE] = {EITHER, 4, 4},
    [MF_H2_CONTINUATION] = {ONE, 0, UINT32_MAX},
};

/* What the flags say must be before a block or content. */
static uint32_t front(const struct mf_h2_head *head)
{
    uint32_t n = 0;
    if (head->type == MF_H2_DATA || head->type == MF_H2_HEADERS || head->type == MF_H2_PUSH_PROMISE)
        n += head->flags & MF_H2_PADDED ? 1 : 0;
    if (head->type == MF_H2_HEADERS)
        n += head->flags & MF_H2_PRIORITIZED ? 5 : 0;
    if (head->type == MF_H2_PUSH_PROMISE)
        n += 4;
    return n;
}

int mf_h2_frame_head(struct mf_slice in, uint32_t max_len, struct mf_h2_head *out)
{
    if (in.len < MF_H2_HEAD_LEN)
        return MF_EMORE;
    *out = (struct mf_h2_head){get24(in.ptr), mf_get32(in.ptr + 5) & STREAM_MASK, in.ptr[3], in.ptr[4]};
    if (out->len > max_len)
        return MF_EH2_FRAME_SIZE;
    if (out->type <= MF_H2_HEADERS && out->stream && !(out->flags & (MF_H2_PADDED | MF_H2_PRIORITIZED)))
        return MF_H2_HEAD_LEN; /* nearly all, of which nothing more is demanded */
    if (out->type >= MF_H2_TYPES)
        return MF_H2_HEAD_LEN;
    const struct demand *demand = demands + out->type;
    if (demand->stream != EITHER && (out->stream != 0) != (demand->stream == ONE))
        return MF_EH2_STREAM;
    if (out->len < demand->least || out->len > demand->most || out->len < front(out))
        return MF_EH2_LENGTH;
    if (out->type == MF_H2_SETTINGS && (out->flags & MF_H2_ACK ? out->len != 0 : out->len % MF_H2_SETTING_LEN != 0))
        return MF_EH2_LENGTH;
    return MF_H2_HEAD_LEN;
}

/* Takes `skip` bytes behind the pad length, and the padding, off `payload`. The pad length counts what is behind it. */
static int unpad(const struct mf_h2_head *head, struct mf_slice payload, uint32_t skip, struct mf_slice *out)
{
    size_t before = skip, behind = 0;
    if (head->flags & MF_H2_PADDED) {
        behind = payload.ptr[0];
        before++;
    }
    if (before + behind > payload.len)
        return MF_EH2_PADDING;
    *out = mf_slice_of(before ? payload.ptr + before : payload.ptr, payload.len - before - behind);
    return 0;
}

static const uint8_t *behind_padding(const struct mf_h2_head *head, struct mf_slice payload)
{
    return payload.ptr + (head->flags & MF_H2_PADDED ? 1 : 0);
}

int mf_h2_frame_data(const struct mf_h2_head *head, struct mf_slice payload, struct mf_h2_data *out)
{
    return unpad(head, payload, 0, &out->data);
}

static int priority(const uint8_t *p, uint32_t stream, struct mf_h2_priority *out)
{
    uint32_t word = mf_get32(p);
    *out = (struct mf_h2_priority){word & STREAM_MASK, p[4], word > STREAM_MASK};
    return out->depends_on == stream ? MF_EH2_PRIORITY_SELF : 0;
}

int mf_h2_frame_headers(const struct mf_h2_head *head, struct mf_slice payload, struct mf_h2_headers *out)
{
    bool prioritized = head->flags & MF_H2_PRIORITIZED;
    int rc = unpad(head, payload, prioritized ? 5 : 0, &out->block);
    out->priority = (struct mf_h2_priority){0};
    return rc < 0 || !prioritized ? rc : priority(behind_padding(head, payload), head->stream, &out->priority);
}

int mf_h2_frame_priority(const struct mf_h2_head *head, struct mf_slice payload, struct mf_h2_priority *out)
{
    *out = (struct mf_h2_priority){0};
    return payload.len != 5 ? MF_EH2_PRIORITY_LENGTH : priority(payload.ptr, head->stream, out);
}

uint32_t mf_h2_frame_rst_stream(struct mf_slice payload)
{
    return mf_get32(payload.ptr);
}

int mf_h2_frame_setting(uint16_t id, uint32_t value)
{
    if (id == MF_H2_ENABLE_PUSH && value > 1)
        return MF_EH2_SETTING;
    if (id == MF_H2_INITIAL_WINDOW_SIZE && value > MF_H2_WINDOW_MOST)
        return MF_EH2_SETTING_WINDOW;
    if (id == MF_H2_MAX_FRAME_SIZE && (value < MF_H2_FRAME_LEAST || value > MF_H2_FRAME_MOST))
        return MF_EH2_SETTING;
    return 0;
}

int mf_h2_frame_settings(struct mf_slice payload, size_t *at, uint16_t *id, uint32_t *value)
{
    if (payload.len - *at < MF_H2_SETTING_LEN)
        return 0;
    *id = mf_get16(payload.ptr + *at);
    *value = mf_get32(payload.ptr + *at + 2);
    *at += MF_H2_SETTING_LEN;
    int rc = mf_h2_frame_setting(*id, *value);
    return rc < 0 ? rc : 1;
}

int mf_h2_frame_push(const struct mf_h2_head *head, struct mf_slice payload, struct mf_h2_push *out)
{
    int rc = unpad(head, payload, 4, &out->block);
    if (rc < 0)
        return rc;
    out->promised = mf_get32(behind_padding(head, payload)) & STREAM_MASK;
    return out->promised == 0 || out->promised % 2 ? MF_EH2_STREAM : 0; /* 5.1.1: servers' streams are even */
}

uint64_t mf_h2_frame_ping(struct mf_slice payload)
{
    return mf_get64(payload.ptr);
}

void mf_h2_frame_goaway(struct mf_slice payload, struct mf_h2_goaway *out)
{
    out->last = mf_get32(payload.ptr) & STREAM_MASK;
    out->code = mf_get32(payload.ptr + 4);
    out->debug = mf_slice_of(payload.ptr + 8, payload.len - 8);
}

int mf_h2_frame_window(const struct mf_h2_head *head, struct mf_slice payload, uint32_t *increment)
{
    *increment = mf_get32(payload.ptr) & STREAM_MASK;
    if (*increment == 0)
        return head->stream ? MF_EH2_CREDIT_STREAM : MF_EH2_CREDIT;
    return 0;
}

/* --- putting */

size_t mf_h2_put_head(uint8_t to[MF_H2_HEAD_LEN], const struct mf_h2_head *head)
{
    mf_put32(to, head->len << 8 | head->type);
    to[4] = head->flags;
    mf_put32(to + 5, head->stream);
    return MF_H2_HEAD_LEN;
}

static size_t put(uint8_t *to, uint32_t len, uint8_t type, uint8_t flags, uint32_t stream)
{
    return mf_h2_put_head(to, &(struct mf_h2_head){len, stream, type, flags});
}

size_t mf_h2_put_padded(uint8_t to[MF_H2_PADDED_ROOM], const struct mf_h2_head *head, uint8_t padding)
{
    to[MF_H2_HEAD_LEN] = padding;
    return 1 + put(to, head->len + 1 + padding, head->type, head->flags | MF_H2_PADDED, head->stream);
}

static size_t put_priority(uint8_t *to, const struct mf_h2_priority *say)
{
    mf_put32(to, say->depends_on | (say->exclusive ? 0x80000000u : 0));
    to[4] = say->weight;
    return 5;
}

size_t mf_h2_put_headers(uint8_t to[MF_H2_HEADERS_ROOM], const struct mf_h2_head *head,
                         const struct mf_h2_priority *say)
{
    size_t n = put(to, head->len + 5, MF_H2_HEADERS, head->flags | MF_H2_PRIORITIZED, head->stream);
    return n + put_priority(to + n, say);
}

size_t mf_h2_put_priority(uint8_t to[MF_H2_PRIORITY_ROOM], uint32_t stream, const struct mf_h2_priority *say)
{
    size_t n = put(to, 5, MF_H2_PRIORITY, 0, stream);
    return n + put_priority(to + n, say);
}

size_t mf_h2_put_rst_stream(uint8_t to[MF_H2_RST_ROOM], uint32_t stream, uint32_t code)
{
    size_t n = put(to, 4, MF_H2_RST_STREAM, 0, stream);
    mf_put32(to + n, code);
    return n + 4;
}

size_t mf_h2_put_settings(uint8_t *to, const struct mf_h2_pair *settings, uint32_t n)
{
    size_t at = put(to, n * MF_H2_SETTING_LEN, MF_H2_SETTINGS, 0, 0);
    for (uint32_t i = 0; i < n; i++, at += MF_H2_SETTING_LEN) {
        mf_put16(to + at, settings[i].id);
        mf_put32(to + at + 2, settings[i].value);
    }
    return at;
}

size_t mf_h2_put_settings_ack(uint8_t to[MF_H2_HEAD_LEN])
{
    return put(to, 0, MF_H2_SETTINGS, MF_H2_ACK, 0);
}

size_t mf_h2_put_push(uint8_t to[MF_H2_PUSH_ROOM], uint32_t stream, uint8_t flags, uint32_t promised, uint32_t len)
{
    size_t n = put(to, len + 4, MF_H2_PUSH_PROMISE, flags, stream);
    mf_put32(to + n, promised);
    return n + 4;
}

size_t mf_h2_put_ping(uint8_t to[MF_H2_PING_ROOM], uint64_t opaque, bool ack)
{
    size_t n = put(to, 8, MF_H2_PING, ack ? MF_H2_ACK : 0, 0);
    mf_put64(to + n, opaque);
    return n + 8;
}

size_t mf_h2_put_goaway(uint8_t to[MF_H2_GOAWAY_ROOM], uint32_t last, uint32_t code, uint32_t debug_len)
{
    size_t n = put(to, 8 + debug_len, MF_H2_GOAWAY, 0, 0);
    mf_put32(to + n, last);
    mf_put32(to + n + 4, code);
    return n + 8;
}

size_t mf_h2_put_window(uint8_t to[MF_H2_WINDOW_ROOM], uint32_t stream, uint32_t increment)
{
    size_t n = put(to, 4, MF_H2_WINDOW_UPDATE, 0, stream);
    mf_put32(to + n, increment);
    return n + 4;
}
