/* fuzz_put: any bytes as a text that is written, in every serialization; it is read again, and is the same text where
 * it was one. */
#include "codec/dubbo.h"
#include "codec/hessian.h"
#include "codec/javaser.h"
#include "codec/jsonb.h"

#include <stdlib.h>

static void put_hessian(struct mf_slice text)
{
    size_t room = mf_hessian_string_room(text.len);
    uint8_t *to = malloc(room);
    static struct mf_hessian reader;
    struct mf_slice again;
    int n = mf_hessian_put_string(to, room, text);
    if (n <= 0 || (size_t)n > room || mf_hessian_put_string(to, room - 1, text) != MF_ELIMIT)
        abort();
    mf_hessian_init(&reader, mf_slice_of(to, (size_t)n), 1, 1);
    int rc = mf_hessian_string(&reader, &again);
    bool ascii = true;
    for (size_t i = 0; i < text.len; i++)
        ascii &= text.ptr[i] < 0x80;
    if (rc == MF_EHESSIAN_TYPE ? mf_hessian_skip(&reader) != 0 : rc != 1 || (ascii && !mf_slice_eq(again, text)))
        abort();
    if (reader.at != (size_t)n)
        abort();
    free(to);
}

static void put_jsonb(struct mf_slice text)
{
    uint8_t *to = malloc(text.len + MF_JSONB_STRING_HEAD);
    size_t n = mf_jsonb_put_string(to, text);
    struct mf_jsonb reader;
    struct mf_slice again;
    mf_jsonb_init(&reader, mf_slice_of(to, n), 1);
    if (n > text.len + MF_JSONB_STRING_HEAD || mf_jsonb_string(&reader, &again) != 1 || !mf_slice_eq(again, text) ||
        reader.at != n)
        abort();
    free(to);
}

static void put_java(struct mf_slice text)
{
    if (text.len > 65000)
        return;
    for (int counted = 0; counted < 2; counted++) {
        uint8_t *to = malloc(text.len + MF_JAVASER_HEAD);
        size_t n = mf_javaser_put_utf(to, counted, text);
        struct mf_javaser reader;
        struct mf_slice again;
        if (n > text.len + MF_JAVASER_HEAD || !mf_javaser_init(&reader, mf_slice_of(to, n)) ||
            !mf_javaser_utf(&reader, counted, &again) || !mf_slice_eq(again, text) || reader.at != n)
            abort();
        free(to);
    }
}

/* The error's text, as a caller of that serialization reads it. */
static bool read_error(uint8_t serialization, struct mf_slice body, struct mf_slice *text)
{
    static struct mf_hessian hessian;
    struct mf_jsonb jsonb;
    struct mf_javaser java;
    switch (serialization) {
    case MF_DUBBO_FASTJSON2:
        mf_jsonb_init(&jsonb, mf_slice_of(body.ptr + 4, body.len - 4), 1);
        return mf_get32(body.ptr) == body.len - 4 && mf_jsonb_string(&jsonb, text) == 1;
    case MF_DUBBO_JAVA:
    case MF_DUBBO_COMPACTED_JAVA:
    case MF_DUBBO_NATIVE_JAVA:
        return mf_javaser_init(&java, body) && mf_javaser_utf(&java, serialization != MF_DUBBO_NATIVE_JAVA, text);
    case MF_DUBBO_FASTJSON:
        *text = mf_slice_of(body.ptr + 1, body.len - 3);
        return body.ptr[0] == '"' && !memchr(text->ptr, '"', text->len) && !memchr(text->ptr, '\\', text->len);
    }
    mf_hessian_init(&hessian, body, 1, 1);
    return mf_hessian_string(&hessian, text) == 1 && hessian.at == body.len;
}

static void put_error(const uint8_t *data, size_t len)
{
    uint8_t frame[MF_DUBBO_ERROR_ROOM];
    char *text = malloc(len + 1);
    memcpy(text, data, len);
    text[len] = 0;
    for (uint8_t serialization = 0; serialization < 32; serialization++) {
        struct mf_dubbo_head head;
        struct mf_slice line;
        size_t n = mf_dubbo_put_error(frame, 7, serialization, MF_DUBBO_BAD_REQUEST, text);
        if (n > sizeof frame || mf_dubbo_parse_head(mf_slice_of(frame, n), sizeof frame, &head) != MF_DUBBO_HEAD_LEN ||
            head.id != 7 || head.status != MF_DUBBO_BAD_REQUEST || head.body_len != n - MF_DUBBO_HEAD_LEN)
            abort();
        if (!read_error(head.serialization, mf_slice_of(frame + MF_DUBBO_HEAD_LEN, head.body_len), &line) ||
            line.len > MF_DUBBO_TEXT)
            abort();
        for (size_t i = 0; i < line.len; i++)
            if (line.ptr[i] < 0x20 || line.ptr[i] == 0x7f)
                abort();
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const uint8_t none[1];
    struct mf_slice text = mf_slice_of(len ? data : none, len);
    put_hessian(text);
    put_jsonb(text);
    put_java(text);
    put_error(text.ptr, len);
    /* The same over and over: longer than one chunk of Hessian2. */
    if (len > 1 && data[0] == 'L') {
        enum { LONG = 70000 };
        uint8_t *many = malloc(LONG);
        for (size_t i = 0; i < LONG; i++)
            many[i] = data[1 + i % (len - 1)];
        put_hessian(mf_slice_of(many, LONG));
        put_jsonb(mf_slice_of(many, LONG));
        free(many);
    }
    return 0;
}
