#include "codec/dubbo_argument.h"

#include "codec/hessian.h"
#include "codec/jsonb.h"
#include "codec/text.h"

#include <stdio.h>

/* What stands for them; no other value begins so. */
struct words {
    uint8_t yes, no, null;
};

static int put_digits(int64_t number, uint8_t *to, size_t room, struct mf_slice *out)
{
    int len = snprintf((char *)to, room, "%lld", (long long)number);
    *out = mf_slice_of(to, (size_t)len);
    return (size_t)len < room ? 1 : MF_ELIMIT;
}

/* Whether a value is a word, by its first byte. */
static bool is_word(const struct words *words, struct mf_slice body, size_t at, struct mf_slice *out)
{
    if (at >= body.len)
        return false;
    uint8_t tag = body.ptr[at];
    if (tag == words->yes)
        *out = MF_SLICE("true");
    else if (tag == words->no)
        *out = MF_SLICE("false");
    else if (tag == words->null)
        *out = MF_SLICE("null");
    else
        return false;
    return true;
}

static int hessian(struct mf_slice body, const struct mf_dubbo_request *request, uint32_t index,
                   const struct mf_dubbo_limits *limits, struct mf_text *text, struct mf_slice *out)
{
    static const struct words words = {'T', 'F', 'N'};
    struct mf_hessian reader;
    int64_t number;
    mf_hessian_init(&reader, body, limits->max_depth, limits->max_classes);
    reader.at = request->arguments_at;
    for (uint32_t i = 0; i < index; i++)
        if (mf_hessian_skip(&reader) != 0)
            return 0;
    if (is_word(&words, body, reader.at, out))
        return 1;
    int rc = mf_hessian_text(&reader, text, out);
    if (rc != MF_EHESSIAN_TYPE)
        return rc == 1 || rc == MF_ELIMIT ? rc : 0;
    return mf_hessian_integer(&reader, &number) == 0 ? put_digits(number, text->to, text->room, out) : 0;
}

/* Each is a frame: a length and a value. */
static int fastjson2(struct mf_slice body, const struct mf_dubbo_request *request, uint32_t index,
                     const struct mf_dubbo_limits *limits, struct mf_text *text, struct mf_slice *out)
{
    static const struct words words = {0xb1, 0xb0, MF_JSONB_NULL};
    size_t at = request->arguments_at, len = 0;
    for (uint32_t i = 0; i <= index; i++, at += len) {
        if (body.len - at < 4)
            return 0;
        len = mf_get32(body.ptr + at);
        at += 4;
        if (len > body.len - at)
            return 0;
    }
    struct mf_jsonb reader;
    int64_t number;
    mf_jsonb_init(&reader, mf_slice_of(body.ptr + at - len, len), limits->max_depth);
    if (is_word(&words, reader.body, 0, out))
        return 1;
    int rc = mf_jsonb_text(&reader, text, out);
    if (rc != MF_EJSONB_TYPE)
        return rc == 1 || rc == MF_ELIMIT ? rc : 0;
    return mf_jsonb_integer(&reader, &number) == 0 ? put_digits(number, text->to, text->room, out) : 0;
}

int mf_dubbo_argument(uint8_t serialization, struct mf_slice body, const struct mf_dubbo_request *request, uint32_t index,
                      const struct mf_dubbo_limits *limits, uint8_t *to, size_t room, struct mf_slice *out)
{
    static const struct mf_dubbo_limits most = {MF_DUBBO_MAX_DEPTH, MF_DUBBO_MAX_CLASSES};
    struct mf_text text = {.to = to, .room = room};
    if (index >= request->n_arguments || request->generic || request->arguments_at > body.len)
        return 0;
    if (serialization == MF_DUBBO_HESSIAN2)
        return hessian(body, request, index, limits ? limits : &most, &text, out);
    if (serialization == MF_DUBBO_FASTJSON2)
        return fastjson2(body, request, index, limits ? limits : &most, &text, out);
    return 0;
}
