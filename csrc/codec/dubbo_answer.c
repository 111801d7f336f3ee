/* What dubbo.h tells of answers: an error's text, and whether a provider says that it is stopping. */
#include "codec/dubbo.h"
#include "codec/hessian.h"
#include "codec/javaser.h"
#include "codec/jsonb.h"
#include "codec/text.h"

/* --- an error's text */

static bool error_text(uint8_t serialization, struct mf_slice body, struct mf_slice *text)
{
    struct mf_hessian hessian;
    struct mf_jsonb jsonb;
    struct mf_javaser java;
    switch (serialization) {
    case MF_DUBBO_HESSIAN2:
        mf_hessian_init(&hessian, body, 0, 0);
        return mf_hessian_string(&hessian, text) == 1;
    case MF_DUBBO_FASTJSON2:
        if (body.len < 4)
            return false;
        mf_jsonb_init(&jsonb, mf_slice_of(body.ptr + 4, body.len - 4), 0);
        return mf_jsonb_string(&jsonb, text) == 1;
    case MF_DUBBO_JAVA:
    case MF_DUBBO_COMPACTED_JAVA:
    case MF_DUBBO_NATIVE_JAVA:
        return mf_javaser_init(&java, body) && mf_javaser_utf(&java, serialization != MF_DUBBO_NATIVE_JAVA, text);
    case MF_DUBBO_FASTJSON:
        if (!body.len || body.ptr[0] != '"')
            return false;
        *text = mf_slice_of(body.ptr + 1, body.len - 1);
        return true;
    }
    return false;
}

bool mf_dubbo_error_begins(uint8_t serialization, struct mf_slice body, struct mf_slice prefix)
{
    struct mf_slice text;
    return error_text(serialization, body, &text) && text.len >= prefix.len &&
           mf_slice_eq(mf_slice_of(text.ptr, prefix.len), prefix);
}

/* --- a provider that is stopping */

enum { WITH_EXCEPTION = 3, WITH_VALUE = 4, WITH_NULL = 5 }; /* and with attachments */

/* Looks for a byte that is rare in most answers first: the length of the key in Hessian2, its tag in JSONB. */
static bool has_key(struct mf_slice body, uint8_t tag)
{
    const struct mf_slice key = MF_SLICE(MF_DUBBO_CLOSING);
    const uint8_t *end = body.ptr + body.len;
    const uint8_t *p = body.len > MF_DUBBO_CLOSING_LOOK ? end - MF_DUBBO_CLOSING_LOOK : body.ptr;
    while ((size_t)(end - p) > key.len && (p = memchr(p, tag, (size_t)(end - p) - key.len))) {
        if (memcmp(++p, key.ptr, key.len) == 0)
            return true;
    }
    return false;
}

/* The last word on the key counts. */
static void note(struct mf_slice key, struct mf_slice value, size_t *at, struct mf_slice body)
{
    if (mf_slice_eq(key, MF_SLICE(MF_DUBBO_CLOSING)))
        *at = mf_slice_eq(value, MF_SLICE("true")) ? (size_t)(value.ptr - body.ptr) : 0; /* 0 is where the kind is */
}

static bool closing_hessian(struct mf_slice body, const struct mf_dubbo_limits *limits, size_t *at)
{
    struct mf_hessian reader;
    uint8_t nowhere[1];
    struct mf_text none = {.to = nowhere};
    struct mf_slice key, value;
    int64_t kind;
    mf_hessian_init(&reader, body, limits->max_depth, limits->max_classes);
    if (mf_hessian_integer(&reader, &kind) < 0 || kind < WITH_EXCEPTION || kind > WITH_NULL)
        return false;
    if (kind != WITH_NULL && mf_hessian_skip(&reader) < 0)
        return false;
    int rc = mf_hessian_map_begin(&reader);
    while (rc == 1 && (rc = mf_hessian_map_next(&reader)) == 1) {
        rc = mf_hessian_text(&reader, &none, &key);
        if (rc == MF_EHESSIAN_TYPE)
            rc = mf_hessian_skip(&reader);
        if (rc < 0 && rc != MF_ELIMIT)
            break;
        rc = mf_hessian_text(&reader, &none, &value);
        if (rc == MF_EHESSIAN_TYPE)
            rc = mf_hessian_only_text(&reader, &none, &value);
        if (rc == MF_EHESSIAN_TYPE)
            rc = mf_hessian_skip(&reader);
        if (rc < 0 && rc != MF_ELIMIT)
            break;
        note(key, value, at, body);
        rc = 1;
    }
    return rc == 0 && *at;
}

/* The next value, which a length goes before. */
static bool next_jsonb(struct mf_slice body, size_t *at, uint32_t max_depth, struct mf_jsonb *reader)
{
    size_t left = body.len - *at, len = left < 4 ? 0 : mf_get32(body.ptr + *at);
    if (left < 4 || len > left - 4)
        return false;
    mf_jsonb_init(reader, mf_slice_of(body.ptr + *at + 4, len), max_depth);
    *at += 4 + len;
    return true;
}

static bool closing_fastjson2(struct mf_slice body, const struct mf_dubbo_limits *limits, size_t *at)
{
    struct mf_jsonb reader;
    uint8_t nowhere[1];
    struct mf_text none = {.to = nowhere};
    struct mf_slice key, value;
    int64_t kind;
    size_t next = 0;
    if (!next_jsonb(body, &next, limits->max_depth, &reader) || mf_jsonb_integer(&reader, &kind) < 0 ||
        kind < WITH_EXCEPTION || kind > WITH_NULL)
        return false;
    if ((kind != WITH_NULL && !next_jsonb(body, &next, limits->max_depth, &reader)) ||
        !next_jsonb(body, &next, limits->max_depth, &reader))
        return false;
    int rc = mf_jsonb_map_begin(&reader);
    while (rc == 1 && (rc = mf_jsonb_map_next(&reader)) == 1) {
        rc = mf_jsonb_text(&reader, &none, &key);
        if (rc == MF_EJSONB_TYPE)
            rc = mf_jsonb_skip(&reader);
        if (rc < 0 && rc != MF_ELIMIT)
            break;
        rc = mf_jsonb_text(&reader, &none, &value);
        if (rc == MF_EJSONB_TYPE)
            rc = mf_jsonb_only_text(&reader, &none, &value);
        if (rc == MF_EJSONB_TYPE)
            rc = mf_jsonb_skip(&reader);
        if (rc < 0 && rc != MF_ELIMIT)
            break;
        note(key, value, at, body);
        rc = 1;
    }
    return rc == 0 && *at;
}

__attribute__((noinline)) static bool confirm(uint8_t serialization, struct mf_slice body,
                                              const struct mf_dubbo_limits *limits, size_t *at)
{
    static const struct mf_dubbo_limits most = {MF_DUBBO_MAX_DEPTH, MF_DUBBO_MAX_CLASSES};
    const struct mf_dubbo_limits *within = limits ? limits : &most;
    bool is = serialization == MF_DUBBO_HESSIAN2 ? closing_hessian(body, within, at) : closing_fastjson2(body, within, at);
    if (!is)
        *at = 0;
    return is;
}

/* The attachments that Dubbo for Java gives nearly every answer, and nothing else. In Hessian2 the same bytes may end a
 * longer map, behind a text that ends in H: such an answer's mark is missed, which costs its own caller a mark. */
static inline bool ends_as_java(struct mf_slice body)
{
    static const char hessian[] = "H\5dubbo\0052.0.2Z", jsonb[] = "\xa6\x4e" "dubbo\x4e" "2.0.2\xa5";
    enum { LEN = sizeof hessian - 1 };
    if (body.len < LEN)
        return false;
    const uint8_t *end = body.ptr + body.len - LEN;
    return (memcmp(end, hessian, LEN) == 0 || memcmp(end, jsonb, LEN) == 0);
}

bool mf_dubbo_closing(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_limits *limits, size_t *at)
{
    *at = 0;
    if (ends_as_java(body) || (serialization != MF_DUBBO_HESSIAN2 && serialization != MF_DUBBO_FASTJSON2))
        return false;
    return has_key(body, serialization == MF_DUBBO_HESSIAN2 ? 7 : 0x49 + 7) && confirm(serialization, body, limits, at);
}
