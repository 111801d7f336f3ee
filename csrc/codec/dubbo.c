#include "codec/dubbo.h"
#include "codec/hessian.h"
#include "codec/javaser.h"
#include "codec/jsonb.h"
#include "codec/text.h"

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

/* --- a request */

bool mf_dubbo_readable(uint8_t serialization)
{
    return serialization == MF_DUBBO_HESSIAN2 || serialization == MF_DUBBO_FASTJSON2;
}

enum { N_STRINGS = 5 };

static inline struct mf_slice *leading_string(struct mf_dubbo_request *out, int i)
{
    static const uint8_t at[N_STRINGS] = {
        offsetof(struct mf_dubbo_request, dubbo_version), offsetof(struct mf_dubbo_request, service),
        offsetof(struct mf_dubbo_request, version),       offsetof(struct mf_dubbo_request, invoked),
        offsetof(struct mf_dubbo_request, types),
    };
    return (struct mf_slice *)((char *)out + at[i]);
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

static inline bool is_key(struct mf_slice key, const char name[8])
{
    return key.len == 7 && memcmp(key.ptr, name, 7) == 0;
}

static const char callback_key[] = MF_DUBBO_CALLBACK;

static inline bool is_time(struct mf_slice key)
{
    return is_key(key, "timeout") || (key.len == 3 && memcmp(key.ptr, "_TO", 3) == 0);
}

/* --- what is being read */

struct reading {
    struct mf_dubbo_request *out;
    const char **why;
    uint32_t most; /* attachments, the leading ones too */
    struct mf_text text;
};

static const uint8_t no_text[1]; /* nothing is ever written there */

static void begin(struct reading *reading, const struct mf_dubbo_room *room, struct mf_dubbo_request *out,
                  const char **why)
{
    reading->out = out;
    reading->why = why;
    reading->most = room->max_attachments;
    reading->text.to = room->text ? room->text : (uint8_t *)(uintptr_t)no_text;
    reading->text.room = room->text_len;
    reading->text.used = 0;
    out->attachments = room->attachments;
    *why = "";
}

static inline uint32_t put_leading(const struct mf_dubbo_request *request, struct mf_pair *pairs)
{
    uint32_t n = 0;
    if (request->dubbo_version.ptr)
        pairs[n++] = (struct mf_pair){MF_SLICE("dubbo"), request->dubbo_version};
    if (request->service.ptr)
        pairs[n++] = (struct mf_pair){MF_SLICE("path"), request->service};
    if (request->version.ptr)
        pairs[n++] = (struct mf_pair){MF_SLICE("version"), request->version};
    return n;
}

uint32_t mf_dubbo_put_leading(const struct mf_dubbo_request *request, struct mf_pair *pairs)
{
    return put_leading(request, pairs);
}

/* The leading strings are the first attachments, beside what the map may have. */
static void begin_attachments(struct reading *reading)
{
    struct mf_dubbo_request *out = reading->out;
    out->n_attachments = put_leading(out, out->attachments);
    out->key_lengths = 1u << 4 | 1u << 5 | 1u << 7; /* path, dubbo, version */
    reading->most += out->n_attachments;
}

static int keep(struct reading *reading, struct mf_slice key, struct mf_slice value)
{
    struct mf_dubbo_request *out = reading->out;
    if (out->n_attachments == reading->most) {
        *reading->why = "too many attachments";
        return MF_ELIMIT;
    }
    out->attachments[out->n_attachments++] = (struct mf_pair){key, value};
    out->key_lengths |= UINT64_C(1) << key.len % 64;
    if (is_time(key))
        out->timeout_ms = read_timeout(value);
    else if (is_key(key, MF_DUBBO_CLOSING))
        out->says_closing = true;
    else if (key.len >= sizeof callback_key - 1 && memcmp(key.ptr, callback_key, sizeof callback_key - 1) == 0)
        out->callback = true;
    return 0;
}

/* A value that is there, but is not text; `lost`: it could have been. */
static int keep_other(struct reading *reading, struct mf_slice key, bool lost)
{
    reading->out->text_lost |= lost;
    return keep(reading, key, (struct mf_slice){0});
}

static int say(struct reading *reading, int rc, const char *text)
{
    *reading->why = text;
    return rc;
}

static const char not_leading[] = "one of the leading strings is missing or not a string";
static const char not_types[] = "the parameter types are not a descriptor";
static const char not_map[] = "the attachments are not a map";
static const char no_room[] = "a leading string is too long to be converted, or in an encoding that is not read";

/* What the leading strings say of what comes behind them, which starts at `at`. */
static int expect_arguments(struct reading *reading, size_t at)
{
    struct mf_dubbo_request *out = reading->out;
    long n = count_types(out->types);
    if (n < 0)
        return say(reading, MF_EDUBBO_OPAQUE, not_types);
    out->arguments_at = (uint32_t)at;
    out->n_arguments = (uint32_t)n;
    out->generic = is_generic(out);
    begin_attachments(reading);
    return 0;
}

static void found(struct reading *reading, size_t start, size_t end, bool plain)
{
    struct mf_dubbo_request *out = reading->out;
    out->attachments_at = (uint32_t)start;
    out->attachments_end = (uint32_t)end;
    out->plain = plain && !out->generic && !reading->text.used && !out->text_lost && !out->callback;
    out->complete = true;
}

/* --- Hessian2 */

/* A value that is not a string; `plain` is cleared where it may name a class that an argument defined. */
static int read_hessian_other(struct mf_hessian *reader, struct reading *reading, struct mf_slice key, bool *plain)
{
    struct mf_slice value;
    int64_t number;
    if (is_time(key) && mf_hessian_integer(reader, &number) == 0) {
        int rc = keep_other(reading, key, false);
        reading->out->timeout_ms = number < 0 ? NO_TIMEOUT : number;
        return rc;
    }
    int rc = mf_hessian_only_text(reader, &reading->text, &value);
    if (rc == 1)
        return keep(reading, key, value);
    if (rc == MF_EHESSIAN_TYPE) {
        *plain = false;
        rc = mf_hessian_skip(reader);
        return rc < 0 ? rc : keep_other(reading, key, false);
    }
    return rc == MF_ELIMIT ? keep_other(reading, key, true) : rc;
}

/* An entry whose key is not text: nobody can ask for it. */
static int pass_hessian_pair(struct mf_hessian *reader, struct reading *reading, int rc, bool *plain)
{
    *plain = false;
    reading->out->text_lost |= rc == MF_ELIMIT;
    if (rc == MF_EHESSIAN_TYPE)
        rc = mf_hessian_skip(reader);
    else if (rc == MF_ELIMIT)
        rc = 0;
    return rc ? rc : mf_hessian_skip(reader);
}

static int read_hessian_pair(struct mf_hessian *reader, struct reading *reading, bool *plain)
{
    struct mf_slice key, value;
    int rc = mf_hessian_text(reader, &reading->text, &key);
    if (rc != 1)
        return pass_hessian_pair(reader, reading, rc, plain);
    rc = mf_hessian_text(reader, &reading->text, &value);
    if (rc == 1)
        return keep(reading, key, value);
    if (rc == MF_EHESSIAN_TYPE)
        return read_hessian_other(reader, reading, key, plain);
    return rc == 0 || rc == MF_ELIMIT ? keep_other(reading, key, rc) : rc;
}

static int read_hessian_arguments(struct mf_hessian *reader, struct reading *reading)
{
    struct mf_dubbo_request *out = reading->out;
    for (uint32_t i = 0; i < out->n_arguments; i++) {
        int rc = MF_EHESSIAN_TYPE;
        if (out->generic && i == 0) {
            struct mf_slice method;
            rc = mf_hessian_text(reader, &reading->text, &method);
            if (rc == 1)
                out->method = method;
            if (rc == MF_ELIMIT)
                rc = say(reading, MF_EDUBBO_OPAQUE, no_room);
        }
        if (rc == MF_EHESSIAN_TYPE)
            rc = mf_hessian_skip(reader);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Arguments and attachments. */
static int read_hessian_rest(struct mf_hessian *reader, struct reading *reading)
{
    int rc = read_hessian_arguments(reader, reading);
    if (rc)
        return rc;
    size_t start = reader->at;
    rc = mf_hessian_map_begin(reader);
    if (rc == MF_EHESSIAN_TYPE)
        return say(reading, MF_EDUBBO_OPAQUE, not_map);
    if (rc < 0)
        return rc;
    bool plain = reader->body.ptr[start] != 'M'; /* a map's type may be one that an argument named */
    if (rc) {
        while ((rc = mf_hessian_map_next(reader)) == 1) {
            rc = read_hessian_pair(reader, reading, &plain);
            if (rc)
                return rc;
        }
        if (rc)
            return rc;
    }
    found(reading, start, reader->at, plain);
    return 0;
}

static int read_hessian(struct mf_hessian *reader, struct reading *reading)
{
    struct mf_dubbo_request *out = reading->out;
    for (int i = 0; i < N_STRINGS; i++) {
        if (i == N_STRINGS - 1 && reader->at == reader->body.len)
            return 0;
        int rc = mf_hessian_text(reader, &reading->text, leading_string(out, i));
        if (rc == MF_EHESSIAN_TYPE || rc == MF_ELIMIT)
            return say(reading, MF_EDUBBO_OPAQUE, rc == MF_ELIMIT ? no_room : not_leading);
        if (rc < 0)
            return rc;
        if (i == 3)
            out->method = out->invoked;
    }
    if (reader->at == reader->body.len)
        return 0;
    int rc = expect_arguments(reading, reader->at);
    return rc ? rc : read_hessian_rest(reader, reading);
}

static int parse_hessian(struct mf_slice body, const struct mf_dubbo_limits *limits, bool rest,
                         struct reading *reading)
{
    struct mf_hessian reader;
    mf_hessian_init(&reader, body, limits->max_depth, limits->max_classes);
    reader.at = rest ? reading->out->arguments_at : 0;
    int rc = rest ? read_hessian_rest(&reader, reading) : read_hessian(&reader, reading);
    if (rc && !**reading->why)
        *reading->why = reader.why;
    reading->out->at = (uint32_t)reader.at;
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

/* What a frame has behind its value is ignored, as in Java. */
static int read_frame_string(struct frames *frames, struct reading *reading, struct mf_slice *out)
{
    int rc = next_frame(frames, reading->why);
    if (rc)
        return rc;
    rc = mf_jsonb_text(&frames->reader, &reading->text, out);
    if (rc == MF_EJSONB_TYPE || rc == MF_ELIMIT)
        return say(reading, MF_EDUBBO_OPAQUE, rc == MF_ELIMIT ? no_room : not_leading);
    return rc < 0 ? rc : 0;
}

static int read_jsonb_other(struct mf_jsonb *reader, struct reading *reading, struct mf_slice key)
{
    struct mf_slice value;
    int64_t number;
    if (is_time(key) && mf_jsonb_integer(reader, &number) == 0) {
        int rc = keep_other(reading, key, false);
        reading->out->timeout_ms = number < 0 ? NO_TIMEOUT : number;
        return rc;
    }
    int rc = mf_jsonb_only_text(reader, &reading->text, &value);
    if (rc == 1)
        return keep(reading, key, value);
    if (rc == MF_EJSONB_TYPE) {
        rc = mf_jsonb_skip(reader);
        return rc < 0 ? rc : keep_other(reading, key, false);
    }
    return rc == MF_ELIMIT ? keep_other(reading, key, true) : rc;
}

static int read_jsonb_pair(struct mf_jsonb *reader, struct reading *reading)
{
    struct mf_slice key, value;
    int rc = mf_jsonb_text(reader, &reading->text, &key);
    if (rc != 1) { /* an entry whose key is not text: nobody can ask for it */
        reading->out->text_lost |= rc == MF_ELIMIT;
        rc = rc == MF_EJSONB_TYPE ? mf_jsonb_skip(reader) : rc == MF_ELIMIT ? 0 : rc;
        return rc ? rc : mf_jsonb_skip(reader);
    }
    rc = mf_jsonb_text(reader, &reading->text, &value);
    if (rc == 1)
        return keep(reading, key, value);
    if (rc == MF_EJSONB_TYPE)
        return read_jsonb_other(reader, reading, key);
    return rc == 0 || rc == MF_ELIMIT ? keep_other(reading, key, rc) : rc;
}

static int read_fastjson2_rest(struct frames *frames, struct reading *reading)
{
    struct mf_dubbo_request *out = reading->out;
    int rc;
    for (uint32_t i = 0; i < out->n_arguments; i++) {
        rc = next_frame(frames, reading->why);
        if (rc)
            return rc;
        struct mf_slice method;
        rc = out->generic && i == 0 ? mf_jsonb_text(&frames->reader, &reading->text, &method) : 0;
        if (rc == 1)
            out->method = method;
        if (rc == MF_ELIMIT)
            return say(reading, MF_EDUBBO_OPAQUE, no_room);
    }
    size_t start = frames->at;
    rc = next_frame(frames, reading->why);
    if (rc)
        return rc;
    struct mf_jsonb *reader = &frames->reader;
    rc = mf_jsonb_map_begin(reader);
    if (rc == MF_EJSONB_TYPE)
        return say(reading, MF_EDUBBO_OPAQUE, not_map);
    if (rc < 0)
        return rc;
    if (rc) {
        while ((rc = mf_jsonb_map_next(reader)) == 1) {
            rc = read_jsonb_pair(reader, reading);
            if (rc)
                return rc;
        }
        if (rc)
            return rc;
    }
    found(reading, start, start + 4 + reader->at, true);
    return 0;
}

static int read_fastjson2(struct frames *frames, struct reading *reading)
{
    struct mf_dubbo_request *out = reading->out;
    int rc;
    for (int i = 0; i < N_STRINGS; i++) {
        if (i == N_STRINGS - 1 && frames->at == frames->body.len)
            return 0;
        rc = read_frame_string(frames, reading, leading_string(out, i));
        if (rc)
            return rc;
        if (i == 3)
            out->method = out->invoked;
    }
    if (frames->at == frames->body.len)
        return 0;
    rc = expect_arguments(reading, frames->at);
    return rc ? rc : read_fastjson2_rest(frames, reading);
}

static int parse_fastjson2(struct mf_slice body, const struct mf_dubbo_limits *limits, bool rest,
                           struct reading *reading)
{
    struct frames frames = {
        .body = body, .max_depth = limits->max_depth, .at = rest ? reading->out->arguments_at : 0};
    int rc = rest ? read_fastjson2_rest(&frames, reading) : read_fastjson2(&frames, reading);
    if (rc && !**reading->why)
        *reading->why = frames.reader.why;
    reading->out->at = (uint32_t)(frames.at - frames.reader.body.len + frames.reader.at);
    return rc;
}

/* --- Java's own: the strings only */

/* The next string as UTF-8; false when it is not there, or cannot be. */
static bool java_text(struct mf_javaser *reader, bool counted, struct mf_text *text, struct mf_slice *out)
{
    if (!mf_javaser_utf(reader, counted, out))
        return false;
    if (mf_text_plain(*out))
        return true;
    mf_text_begin(text);
    if (!mf_text_put_utf8(text, *out))
        return false;
    *out = mf_text_end(text);
    return true;
}

static int parse_java(bool counted, struct mf_slice body, struct reading *reading)
{
    struct mf_dubbo_request *out = reading->out;
    struct mf_javaser reader;
    bool good = mf_javaser_init(&reader, body);
    for (int i = 0; good && i < N_STRINGS; i++)
        good = java_text(&reader, counted, &reading->text, leading_string(out, i));
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
    return say(reading, MF_EDUBBO_OPAQUE, "the arguments of a Java stream cannot be passed over");
}

/* --- any */

static const struct mf_dubbo_limits most = {MF_DUBBO_MAX_DEPTH, MF_DUBBO_MAX_CLASSES};

static int parse(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_limits *limits,
                 struct reading *reading)
{
    switch (serialization) {
    case MF_DUBBO_HESSIAN2:
        return parse_hessian(body, limits ? limits : &most, false, reading);
    case MF_DUBBO_FASTJSON2:
        return parse_fastjson2(body, limits ? limits : &most, false, reading);
    case MF_DUBBO_JAVA:
    case MF_DUBBO_COMPACTED_JAVA:
        return parse_java(true, body, reading);
    case MF_DUBBO_NATIVE_JAVA:
        return parse_java(false, body, reading);
    }
    return say(reading, MF_EDUBBO_OPAQUE, "a serialization that is not read");
}

int mf_dubbo_parse_request(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_limits *limits,
                           const struct mf_dubbo_room *room, struct mf_dubbo_request *out, const char **why)
{
    *out = (struct mf_dubbo_request){.attachments_at = (uint32_t)body.len,
                                     .attachments_end = (uint32_t)body.len,
                                     .timeout_ms = NO_TIMEOUT};
    struct reading reading;
    begin(&reading, room, out, why);
    int rc = parse(serialization, body, limits, &reading);
    if (!out->complete && (rc == 0 || rc == MF_EDUBBO_OPAQUE))
        begin_attachments(&reading);
    return rc;
}

int mf_dubbo_parse_rest(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_limits *limits,
                        const struct mf_dubbo_room *room, struct mf_dubbo_request *out, const char **why)
{
    struct reading reading;
    begin(&reading, room, out, why);
    begin_attachments(&reading);
    out->attachments_at = out->attachments_end = (uint32_t)body.len;
    out->timeout_ms = NO_TIMEOUT;
    out->complete = out->plain = out->text_lost = out->callback = out->says_closing = false;
    if (body.len == out->arguments_at) { /* the strings are all there is: as where they are read */
        out->at = out->arguments_at;
        out->arguments_at = out->n_arguments = 0;
        out->generic = false;
        return 0;
    }
    return serialization == MF_DUBBO_HESSIAN2 ? parse_hessian(body, limits ? limits : &most, true, &reading)
                                              : parse_fastjson2(body, limits ? limits : &most, true, &reading);
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
