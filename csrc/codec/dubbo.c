#include "codec/dubbo.h"
#include "codec/hessian.h"
#include "codec/javaser.h"
#include "codec/jsonb.h"

/* --- the head */

int mf_dubbo_parse_head(struct mf_slice in, uint32_t max_body, struct mf_dubbo_head *out)
{
    if (in.len && in.ptr[0] != 0xda)
        return MF_EDUBBO_MAGIC;
    if (in.len > 1 && in.ptr[1] != 0xbb)
        return MF_EDUBBO_MAGIC;
    if (in.len < MF_DUBBO_HEAD_LEN)
        return MF_EMORE;
    out->flags = in.ptr[2];
    out->serialization = in.ptr[2] & MF_DUBBO_SERIALIZATION;
    out->status = in.ptr[2] & MF_DUBBO_REQUEST ? 0 : in.ptr[3];
    out->id = mf_get64(in.ptr + 4);
    out->body_len = mf_get32(in.ptr + 12);
    if (out->body_len > INT32_MAX || out->body_len > max_body)
        return MF_EDUBBO_SIZE;
    return MF_DUBBO_HEAD_LEN;
}

void mf_dubbo_put_head(uint8_t *to, const struct mf_dubbo_head *head)
{
    to[0] = 0xda;
    to[1] = 0xbb;
    to[2] = (uint8_t)((head->flags & ~MF_DUBBO_SERIALIZATION) | (head->serialization & MF_DUBBO_SERIALIZATION));
    to[3] = head->status;
    mf_put64(to + 4, head->id);
    mf_put32(to + 12, head->body_len);
}

/* --- a request */

bool mf_dubbo_readable(uint8_t serialization)
{
    return serialization == MF_DUBBO_HESSIAN2 || serialization == MF_DUBBO_FASTJSON2;
}

enum { N_STRINGS = 5 };

static struct mf_slice *leading_string(struct mf_dubbo_request *out, int i)
{
    struct mf_slice *strings[N_STRINGS] = {&out->dubbo_version, &out->service, &out->version, &out->invoked,
                                           &out->types};
    return strings[i];
}

enum { NO_DESCRIPTOR = -1, NO_TIMEOUT = -1 };

/* How many arguments a descriptor names, as in "Ljava/lang/String;[I", or NO_DESCRIPTOR. */
static long count_types(struct mf_slice types)
{
    long n = 0;
    if (!types.len)
        return 0;
    for (const uint8_t *p = types.ptr, *end = p + types.len; p < end; p++, n++) {
        while (p < end && *p == '[')
            p++;
        if (p == end || !memchr("ZBCDFIJSLV", *p, 10))
            return NO_DESCRIPTOR;
        if (*p == 'L')
            p = memchr(p, ';', (size_t)(end - p));
        if (!p)
            return NO_DESCRIPTOR;
    }
    return n;
}

static bool is_generic(const struct mf_dubbo_request *request)
{
    if (!request->invoked.len || request->invoked.ptr[0] != '$')
        return false;
    return (mf_slice_eq(request->invoked, MF_SLICE("$invoke")) ||
            mf_slice_eq(request->invoked, MF_SLICE("$invokeAsync"))) &&
           mf_slice_eq(request->types, MF_SLICE("Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;"));
}

/* Digits only, and fewer than an int64 holds. */
static int64_t read_timeout(struct mf_slice text)
{
    int64_t value = 0;
    if (!text.len || text.len > 18)
        return NO_TIMEOUT;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return NO_TIMEOUT;
        value = value * 10 + (text.ptr[i] - '0');
    }
    return value;
}

static inline bool is_timeout(struct mf_slice key)
{
    return key.len == 7 && memcmp(key.ptr, "timeout", 7) == 0;
}

static int keep(struct mf_slice key, struct mf_slice value, uint32_t max, struct mf_dubbo_request *out,
                const char **why)
{
    if (out->n_attachments == max) {
        *why = "too many attachments";
        return MF_ELIMIT;
    }
    out->attachments[out->n_attachments++] = (struct mf_pair){key, value};
    if (is_timeout(key))
        out->timeout_ms = read_timeout(value);
    return 0;
}

static int bad_body(const char **why, const char *text)
{
    *why = text;
    return MF_EDUBBO_BODY;
}

static const char not_leading[] = "one of the leading strings is missing or not in one piece";
static const char not_types[] = "the parameter types are not a descriptor";
static const char behind[] = "there are bytes behind the attachments";

/* --- Hessian2 */

static int read_hessian_pair(struct mf_hessian *reader, uint32_t max, struct mf_dubbo_request *out, const char **why)
{
    struct mf_slice key, value;
    int has_key = mf_hessian_string(reader, &key);
    if (has_key == MF_EHESSIAN_TYPE) {
        out->plain = false;
        has_key = mf_hessian_skip(reader);
    }
    if (has_key < 0)
        return has_key;
    int rc = mf_hessian_string(reader, &value);
    if (rc == 1 && has_key)
        return keep(key, value, max, out, why);
    if (rc >= 0)
        return 0;
    if (rc != MF_EHESSIAN_TYPE)
        return rc;
    out->plain = false; /* it may name a class that an argument defined */
    if (has_key && is_timeout(key)) {
        int64_t number;
        rc = mf_hessian_integer(reader, &number);
        out->timeout_ms = rc == 0 && number >= 0 ? number : -1;
        if (rc != MF_EHESSIAN_TYPE)
            return rc;
    }
    return mf_hessian_skip(reader);
}

/* What the leading strings say of what comes behind them, which starts at `at`. */
static int expect_arguments(struct mf_dubbo_request *out, size_t at, const char **why)
{
    long n = count_types(out->types);
    if (n < 0)
        return bad_body(why, not_types);
    out->arguments_at = (uint32_t)at;
    out->n_arguments = (uint32_t)n;
    out->generic = is_generic(out);
    return 0;
}

static int read_hessian_arguments(struct mf_hessian *reader, struct mf_dubbo_request *out)
{
    for (uint32_t i = 0; i < out->n_arguments; i++) {
        int rc = MF_EHESSIAN_TYPE;
        if (out->generic && i == 0) {
            struct mf_slice method;
            rc = mf_hessian_string(reader, &method);
            if (rc == 1)
                out->method = method;
        }
        if (rc == MF_EHESSIAN_TYPE)
            rc = mf_hessian_skip(reader);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Arguments and attachments. */
static int read_hessian_rest(struct mf_hessian *reader, uint32_t max, struct mf_dubbo_request *out, const char **why)
{
    int rc = read_hessian_arguments(reader, out);
    if (rc)
        return rc;
    size_t start = reader->at;
    rc = mf_hessian_map_begin(reader);
    if (rc == MF_EHESSIAN_TYPE)
        return bad_body(why, "the attachments are not a map");
    if (rc < 0)
        return rc;
    out->plain = !out->generic && reader->body.ptr[start] != 'M'; /* a map's type may be one that an argument named */
    if (rc) {
        while ((rc = mf_hessian_map_next(reader)) == 1) {
            rc = read_hessian_pair(reader, max, out, why);
            if (rc)
                return rc;
        }
        if (rc)
            return rc;
    }
    if (reader->at != reader->body.len)
        return bad_body(why, behind);
    out->attachments_at = (uint32_t)start;
    out->complete = true;
    return 0;
}

static int read_hessian(struct mf_hessian *reader, uint32_t max, struct mf_dubbo_request *out, const char **why)
{
    for (int i = 0; i < N_STRINGS; i++) {
        if (i == N_STRINGS - 1 && reader->at == reader->body.len)
            return 0;
        int rc = mf_hessian_string(reader, leading_string(out, i));
        if (rc == MF_EHESSIAN_TYPE)
            return bad_body(why, not_leading);
        if (rc < 0)
            return rc;
        if (i == 3)
            out->method = out->invoked;
    }
    if (reader->at == reader->body.len)
        return 0;
    int rc = expect_arguments(out, reader->at, why);
    return rc ? rc : read_hessian_rest(reader, max, out, why);
}

static int parse_hessian(struct mf_slice body, const struct mf_dubbo_limits *limits, uint32_t max, bool rest,
                         struct mf_dubbo_request *out, const char **why)
{
    struct mf_hessian reader;
    mf_hessian_init(&reader, body, limits->max_depth, limits->max_classes);
    reader.at = rest ? out->arguments_at : 0;
    int rc = rest ? read_hessian_rest(&reader, max, out, why) : read_hessian(&reader, max, out, why);
    if (rc && !**why)
        *why = reader.why;
    out->at = (uint32_t)reader.at;
    return rc;
}

/* --- fastjson2: every value is a frame of its own, so arguments are passed over by their length */

struct frames {
    struct mf_slice body;
    size_t at;
    struct mf_jsonb reader; /* of the frame before `at` */
    uint32_t max_depth;
};

static int next_frame(struct frames *frames, const char **why)
{
    size_t left = frames->body.len - frames->at;
    const uint8_t *p = left < 4 ? NULL : frames->body.ptr + frames->at;
    size_t len = p ? mf_get32(p) : 0;
    if (!p || len > left - 4) {
        mf_jsonb_init(&frames->reader, (struct mf_slice){0}, 0);
        *why = "a value is longer than what is left of the body";
        return MF_EJSONB_SHORT;
    }
    frames->at += 4 + len;
    mf_jsonb_init(&frames->reader, mf_slice_of(p + 4, len), frames->max_depth);
    return 0;
}

static bool frame_read(const struct frames *frames)
{
    return frames->reader.at == frames->reader.body.len;
}

static int read_frame_string(struct frames *frames, struct mf_slice *out, const char **why)
{
    int rc = next_frame(frames, why);
    if (rc)
        return rc;
    rc = mf_jsonb_string(&frames->reader, out);
    if (rc == MF_EJSONB_TYPE && mf_jsonb_is_string(*frames->reader.body.ptr)) {
        *why = "a leading string is written in another encoding than UTF-8";
        return MF_EDUBBO_OPAQUE;
    }
    if (rc == MF_EJSONB_TYPE || (rc >= 0 && !frame_read(frames)))
        return bad_body(why, not_leading);
    return rc < 0 ? rc : 0;
}

static int read_jsonb_pair(struct mf_jsonb *reader, uint32_t max, struct mf_dubbo_request *out, const char **why)
{
    struct mf_slice key, value;
    int has_key = mf_jsonb_string(reader, &key);
    if (has_key == MF_EJSONB_TYPE)
        has_key = mf_jsonb_skip(reader);
    if (has_key < 0)
        return has_key;
    int rc = mf_jsonb_string(reader, &value);
    if (rc == 1 && has_key)
        return keep(key, value, max, out, why);
    if (rc >= 0)
        return 0;
    if (rc != MF_EJSONB_TYPE)
        return rc;
    if (has_key && is_timeout(key)) {
        int64_t number;
        rc = mf_jsonb_integer(reader, &number);
        out->timeout_ms = rc == 0 && number >= 0 ? number : -1;
        if (rc != MF_EJSONB_TYPE)
            return rc;
    }
    return mf_jsonb_skip(reader);
}

static int read_fastjson2_rest(struct frames *frames, uint32_t max, struct mf_dubbo_request *out, const char **why)
{
    int rc;
    for (uint32_t i = 0; i < out->n_arguments; i++) {
        rc = next_frame(frames, why);
        if (rc)
            return rc;
        struct mf_slice method;
        if (out->generic && i == 0 && mf_jsonb_string(&frames->reader, &method) == 1)
            out->method = method;
    }
    uint32_t start = (uint32_t)frames->at;
    rc = next_frame(frames, why);
    if (rc)
        return rc;
    struct mf_jsonb *reader = &frames->reader;
    rc = mf_jsonb_map_begin(reader);
    if (rc == MF_EJSONB_TYPE)
        return bad_body(why, "the attachments are not a map");
    if (rc < 0)
        return rc;
    if (rc) {
        while ((rc = mf_jsonb_map_next(reader)) == 1) {
            rc = read_jsonb_pair(reader, max, out, why);
            if (rc)
                return rc;
        }
        if (rc)
            return rc;
    }
    if (!frame_read(frames) || frames->at != frames->body.len)
        return bad_body(why, behind);
    out->attachments_at = start;
    out->plain = !out->generic;
    out->complete = true;
    return 0;
}

static int read_fastjson2(struct frames *frames, uint32_t max, struct mf_dubbo_request *out, const char **why)
{
    int rc;
    for (int i = 0; i < N_STRINGS; i++) {
        if (i == N_STRINGS - 1 && frames->at == frames->body.len)
            return 0;
        rc = read_frame_string(frames, leading_string(out, i), why);
        if (rc)
            return rc;
        if (i == 3)
            out->method = out->invoked;
    }
    if (frames->at == frames->body.len)
        return 0;
    rc = expect_arguments(out, frames->at, why);
    return rc ? rc : read_fastjson2_rest(frames, max, out, why);
}

static int parse_fastjson2(struct mf_slice body, const struct mf_dubbo_limits *limits, uint32_t max, bool rest,
                           struct mf_dubbo_request *out, const char **why)
{
    struct frames frames = {.body = body, .max_depth = limits->max_depth, .at = rest ? out->arguments_at : 0};
    int rc = rest ? read_fastjson2_rest(&frames, max, out, why) : read_fastjson2(&frames, max, out, why);
    if (rc && !**why)
        *why = frames.reader.why;
    out->at = (uint32_t)(frames.at - frames.reader.body.len + frames.reader.at);
    return rc;
}

/* --- Java's own: the strings only */

static int parse_java(bool counted, struct mf_slice body, struct mf_dubbo_request *out, const char **why)
{
    struct mf_javaser reader;
    bool good = mf_javaser_init(&reader, body);
    *why = "the arguments of a Java stream cannot be passed over";
    for (int i = 0; good && i < N_STRINGS; i++)
        good = mf_javaser_utf(&reader, counted, leading_string(out, i));
    if (good) {
        out->method = out->invoked;
        out->generic = is_generic(out);
        if (out->generic)
            mf_javaser_string(&reader, counted, &out->method);
    } else {
        for (int i = 0; i < N_STRINGS; i++) /* half of them would be routed on as if they were all */
            *leading_string(out, i) = (struct mf_slice){0};
    }
    out->at = (uint32_t)(reader.at < body.len ? reader.at : body.len);
    return MF_EDUBBO_OPAQUE;
}

static const struct mf_dubbo_limits most = {MF_DUBBO_MAX_DEPTH, MF_DUBBO_MAX_CLASSES};

int mf_dubbo_parse_request(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_limits *limits,
                           struct mf_pair *attachments, uint32_t max_attachments, struct mf_dubbo_request *out,
                           const char **why)
{
    *out = (struct mf_dubbo_request){
        .attachments = attachments, .attachments_at = (uint32_t)body.len, .timeout_ms = NO_TIMEOUT};
    *why = "";
    switch (serialization) {
    case MF_DUBBO_HESSIAN2:
        return parse_hessian(body, limits ? limits : &most, max_attachments, false, out, why);
    case MF_DUBBO_FASTJSON2:
        return parse_fastjson2(body, limits ? limits : &most, max_attachments, false, out, why);
    case MF_DUBBO_JAVA:
    case MF_DUBBO_COMPACTED_JAVA:
        return parse_java(true, body, out, why);
    case MF_DUBBO_NATIVE_JAVA:
        return parse_java(false, body, out, why);
    }
    *why = "a serialization that is not read";
    return MF_EDUBBO_OPAQUE;
}

int mf_dubbo_parse_rest(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_limits *limits,
                        uint32_t max_attachments, struct mf_dubbo_request *out, const char **why)
{
    out->n_attachments = 0;
    out->attachments_at = (uint32_t)body.len;
    out->timeout_ms = NO_TIMEOUT;
    out->complete = out->plain = false;
    *why = "";
    if (body.len == out->arguments_at) { /* the strings are all there is: as where they are read */
        out->at = out->arguments_at;
        out->arguments_at = out->n_arguments = 0;
        out->generic = false;
        return 0;
    }
    return serialization == MF_DUBBO_HESSIAN2
               ? parse_hessian(body, limits ? limits : &most, max_attachments, true, out, why)
               : parse_fastjson2(body, limits ? limits : &most, max_attachments, true, out, why);
}

int64_t mf_dubbo_skip_arguments(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request,
                                const struct mf_dubbo_limits *limits)
{
    if (!limits)
        limits = &most;
    if (serialization == MF_DUBBO_HESSIAN2) {
        struct mf_hessian reader;
        mf_hessian_init(&reader, body, limits->max_depth, limits->max_classes);
        reader.at = request->arguments_at;
        for (uint32_t i = 0; i < request->n_arguments; i++) {
            int rc = mf_hessian_skip(&reader);
            if (rc)
                return rc;
        }
        return (int64_t)reader.at;
    }
    struct frames frames = {.body = body, .at = request->arguments_at};
    const char *why;
    for (uint32_t i = 0; i < request->n_arguments; i++) {
        int rc = next_frame(&frames, &why);
        if (rc)
            return rc;
    }
    return (int64_t)frames.at;
}

/* --- a stamp */

size_t mf_dubbo_stamp_room(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request,
                           const struct mf_pair *pairs, uint32_t n_pairs)
{
    size_t room = 2;
    if (serialization == MF_DUBBO_FASTJSON2)
        room += body.len - request->attachments_at;
    for (uint32_t i = 0; i < n_pairs; i++)
        room += mf_hessian_string_room(pairs[i].key.len) + mf_hessian_string_room(pairs[i].value.len) +
                2 * MF_JSONB_STRING_HEAD;
    return room;
}

static size_t stamp_hessian(struct mf_slice body, const struct mf_pair *pairs, uint32_t n_pairs, uint8_t *tail)
{
    uint8_t *p = tail;
    if (body.ptr[body.len - 1] == 'N')
        *p++ = 'H';
    for (uint32_t i = 0; i < n_pairs; i++) {
        p += mf_hessian_put_string(p, mf_hessian_string_room(pairs[i].key.len), pairs[i].key);
        p += mf_hessian_put_string(p, mf_hessian_string_room(pairs[i].value.len), pairs[i].value);
    }
    *p++ = 'Z';
    return (size_t)(p - tail);
}

/* The length of the attachments goes before them, so their frame is written anew. */
static size_t stamp_fastjson2(struct mf_slice frame, const struct mf_pair *pairs, uint32_t n_pairs, uint8_t *tail)
{
    uint8_t *p = tail + 4;
    if (frame.ptr[frame.len - 1] == MF_JSONB_NULL && frame.len == 5) {
        *p++ = MF_JSONB_OBJECT;
    } else {
        memcpy(p, frame.ptr + 4, frame.len - 5);
        p += frame.len - 5;
    }
    for (uint32_t i = 0; i < n_pairs; i++) {
        p += mf_jsonb_put_string(p, pairs[i].key);
        p += mf_jsonb_put_string(p, pairs[i].value);
    }
    *p++ = MF_JSONB_OBJECT_END;
    mf_put32(tail, (uint32_t)(p - tail - 4));
    return (size_t)(p - tail);
}

int mf_dubbo_stamp(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request,
                   const struct mf_pair *pairs, uint32_t n_pairs, uint8_t *tail, size_t room, size_t *cut)
{
    if (!mf_dubbo_readable(serialization) || !request->complete || request->attachments_at >= body.len)
        return MF_EDUBBO_STAMP;
    if (room < mf_dubbo_stamp_room(serialization, body, request, pairs, n_pairs))
        return MF_ELIMIT;
    if (serialization == MF_DUBBO_HESSIAN2) {
        *cut = 1;
        return (int)stamp_hessian(body, pairs, n_pairs, tail);
    }
    *cut = body.len - request->attachments_at;
    return (int)stamp_fastjson2(mf_slice_of(body.ptr + request->attachments_at, *cut), pairs, n_pairs, tail);
}
