#pragma once
/* h2_frame: the frames of HTTP/2, RFC 9113 sections 4 and 6. One decode and one put for each type.
 *
 * Here is judged what one frame shows by itself. What depends on what came before (order, states of streams, windows,
 * which end one is) is for who has the connection. Pure: no malloc, no clock, no descriptor. Every slice points into
 * the payload given. */
#include "base/err.h"
#include "base/slice.h"

#define MF_H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" /* a client's first bytes (3.4) */

enum {
    MF_H2_HEAD_LEN = 9,
    MF_H2_PREFACE_LEN = sizeof(MF_H2_PREFACE) - 1,
    MF_H2_FRAME_LEAST = 16384,     /* SETTINGS_MAX_FRAME_SIZE: at least, and at first */
    MF_H2_FRAME_MOST = 16777215,   /* at most */
    MF_H2_WINDOW = 65535,          /* SETTINGS_INITIAL_WINDOW_SIZE at first, and a connection's window */
    MF_H2_WINDOW_MOST = 2147483647,
    MF_H2_SETTING_LEN = 6,
};

enum mf_h2_type {
    MF_H2_DATA, MF_H2_HEADERS, MF_H2_PRIORITY, MF_H2_RST_STREAM, MF_H2_SETTINGS, MF_H2_PUSH_PROMISE, MF_H2_PING,
    MF_H2_GOAWAY, MF_H2_WINDOW_UPDATE, MF_H2_CONTINUATION,
    MF_H2_TYPES, /* this and above: unknown, to be ignored (4.1) */
};

enum {
    MF_H2_END_STREAM = 0x1,
    MF_H2_ACK = 0x1, /* of SETTINGS and PING */
    MF_H2_END_HEADERS = 0x4,
    MF_H2_PADDED = 0x8,
    MF_H2_PRIORITIZED = 0x20,
};

/* Error codes of RFC 9113, section 7. */
enum mf_h2_code {
    MF_H2_NO_ERROR, MF_H2_PROTOCOL_ERROR, MF_H2_INTERNAL_ERROR, MF_H2_FLOW_CONTROL_ERROR, MF_H2_SETTINGS_TIMEOUT,
    MF_H2_STREAM_CLOSED, MF_H2_FRAME_SIZE_ERROR, MF_H2_REFUSED_STREAM, MF_H2_CANCEL, MF_H2_COMPRESSION_ERROR,
    MF_H2_CONNECT_ERROR, MF_H2_ENHANCE_YOUR_CALM, MF_H2_INADEQUATE_SECURITY, MF_H2_HTTP_1_1_REQUIRED,
};

enum mf_h2_setting {
    MF_H2_HEADER_TABLE_SIZE = 1, MF_H2_ENABLE_PUSH, MF_H2_MAX_CONCURRENT_STREAMS, MF_H2_INITIAL_WINDOW_SIZE,
    MF_H2_MAX_FRAME_SIZE, MF_H2_MAX_HEADER_LIST_SIZE,
};

/* The code that an error of ours (MF_EH2_*, MF_EHPACK_*) is on the wire; MF_H2_INTERNAL_ERROR for any other. */
enum mf_h2_code mf_h2_frame_code(int rc);
/* True when it is about one stream, and the connection goes on. */
bool mf_h2_frame_of_stream(int rc);
/* "DATA", "unknown"; "PROTOCOL_ERROR", "unknown". */
const char *mf_h2_frame_type_name(uint8_t type);
const char *mf_h2_frame_code_name(uint32_t code);

struct mf_h2_head {
    uint32_t len;    /* of the payload */
    uint32_t stream; /* without the reserved bit, which is ignored (4.1) */
    uint8_t type, flags;
};

/* How `in` begins: MF_H2_PREFACE_LEN; MF_EMORE; MF_EH2_PREFACE as soon as the bytes seen cannot be one. */
int mf_h2_frame_preface(struct mf_slice in);

/* Reads the head at the front of `in`; with it what can be said before the payload is there: its length, and whether
 * the type may be on a stream, or on none.
 *
 * Returns MF_H2_HEAD_LEN; MF_EMORE; MF_EH2_FRAME_SIZE over `max_len`; MF_EH2_LENGTH, MF_EH2_STREAM for what ends the
 * connection. `out` is filled with all but MF_EMORE. A length that is wrong for one stream only (PRIORITY) is told by
 * the frame's decode. */
int mf_h2_frame_head(struct mf_slice in, uint32_t max_len, struct mf_h2_head *out);

/* Decoding: each takes a head that mf_h2_frame_head accepted, and the payload, head->len bytes.
 *
 * Each returns 0 or an error; `out` is filled when it is 0 or one of a stream, so that the rest of the frame can be
 * heeded: a header block has to be decoded whatever becomes of its stream. */

struct mf_h2_data {
    struct mf_slice data; /* without padding; windows count head->len */
};
int mf_h2_frame_data(const struct mf_h2_head *head, struct mf_slice payload, struct mf_h2_data *out); /* PADDING */

struct mf_h2_priority {
    uint32_t depends_on;
    uint8_t weight; /* as on the wire: one less than what is meant */
    bool exclusive;
};
struct mf_h2_headers {
    struct mf_slice block; /* without padding and priority */
    struct mf_h2_priority priority; /* all 0 without MF_H2_PRIORITIZED */
};
/* PADDING; PRIORITY_SELF (of the stream). */
int mf_h2_frame_headers(const struct mf_h2_head *head, struct mf_slice payload, struct mf_h2_headers *out);
/* PRIORITY_LENGTH, PRIORITY_SELF (both of the stream). */
int mf_h2_frame_priority(const struct mf_h2_head *head, struct mf_slice payload, struct mf_h2_priority *out);

uint32_t mf_h2_frame_rst_stream(struct mf_slice payload); /* the code; any number is one */

/* Settings in order; the same one may come twice, and each counts. Unknown ones are given out as well: ignore them.
 * Returns 1; 0 behind the last; MF_EH2_SETTING, MF_EH2_SETTING_WINDOW. `*at` is 0 at first. */
int mf_h2_frame_settings(struct mf_slice payload, size_t *at, uint16_t *id, uint32_t *value);
/* The same judgement for one pair: 0 or an error. */
int mf_h2_frame_setting(uint16_t id, uint32_t value);

struct mf_h2_push {
    struct mf_slice block;
    uint32_t promised; /* even and not 0 */
};
int mf_h2_frame_push(const struct mf_h2_head *head, struct mf_slice payload, struct mf_h2_push *out); /* PADDING, STREAM */

uint64_t mf_h2_frame_ping(struct mf_slice payload);

struct mf_h2_goaway {
    struct mf_slice debug;
    uint32_t last, code;
};
void mf_h2_frame_goaway(struct mf_slice payload, struct mf_h2_goaway *out);

/* 0; CREDIT on stream 0, CREDIT_STREAM else, for an increment of 0. */
int mf_h2_frame_window(const struct mf_h2_head *head, struct mf_slice payload, uint32_t *increment);
/* A CONTINUATION's payload is its fragment. */

/* Putting: each writes a whole frame but for bytes that its caller has, and returns what it wrote. Streams are below
 * 2^31. */
enum {
    MF_H2_RST_ROOM = MF_H2_HEAD_LEN + 4,
    MF_H2_PING_ROOM = MF_H2_HEAD_LEN + 8,
    MF_H2_GOAWAY_ROOM = MF_H2_HEAD_LEN + 8,
    MF_H2_WINDOW_ROOM = MF_H2_HEAD_LEN + 4,
    MF_H2_PRIORITY_ROOM = MF_H2_HEAD_LEN + 5,
    MF_H2_PUSH_ROOM = MF_H2_HEAD_LEN + 4,
    MF_H2_PADDED_ROOM = MF_H2_HEAD_LEN + 1,
    MF_H2_HEADERS_ROOM = MF_H2_HEAD_LEN + 6,
};
struct mf_h2_pair {
    uint16_t id;
    uint32_t value;
};
size_t mf_h2_put_head(uint8_t to[MF_H2_HEAD_LEN], const struct mf_h2_head *head); /* DATA, HEADERS, CONTINUATION too */
/* Head and pad length of a DATA or HEADERS frame of `len` bytes and `padding` zeros behind them, which the caller
 * adds. */
size_t mf_h2_put_padded(uint8_t to[MF_H2_PADDED_ROOM], const struct mf_h2_head *head, uint8_t padding);
/* Head and priority of a HEADERS frame; head->len is its block's. */
size_t mf_h2_put_headers(uint8_t to[MF_H2_HEADERS_ROOM], const struct mf_h2_head *head,
                         const struct mf_h2_priority *priority);
size_t mf_h2_put_priority(uint8_t to[MF_H2_PRIORITY_ROOM], uint32_t stream, const struct mf_h2_priority *priority);
size_t mf_h2_put_rst_stream(uint8_t to[MF_H2_RST_ROOM], uint32_t stream, uint32_t code);
/* MF_H2_HEAD_LEN + n * MF_H2_SETTING_LEN bytes. */
size_t mf_h2_put_settings(uint8_t *to, const struct mf_h2_pair *settings, uint32_t n);
size_t mf_h2_put_settings_ack(uint8_t to[MF_H2_HEAD_LEN]);
/* Without the block, `len` bytes. */
size_t mf_h2_put_push(uint8_t to[MF_H2_PUSH_ROOM], uint32_t stream, uint8_t flags, uint32_t promised, uint32_t len);
size_t mf_h2_put_ping(uint8_t to[MF_H2_PING_ROOM], uint64_t opaque, bool ack);
/* Without the debug data, `debug_len` bytes. */
size_t mf_h2_put_goaway(uint8_t to[MF_H2_GOAWAY_ROOM], uint32_t last, uint32_t code, uint32_t debug_len);
size_t mf_h2_put_window(uint8_t to[MF_H2_WINDOW_ROOM], uint32_t stream, uint32_t increment);
