#pragma once
/* frames: the requests that the codec is measured on, as Apache Dubbo writes them. */
#include "codec/dubbo.h"
#include "codec/hessian.h"
#include "codec/jsonb.h"

#define FRAMES_SERVICE "org.apache.dubbo.demo.DemoService"

struct frame_shape {
    uint8_t serialization;
    int attachments;  /* how many of the usual ones; -1: the body ends after the leading strings */
    size_t argument;  /* bytes of the one string argument; 0: no argument */
    const char *unit; /* what the argument is made of; NULL: "x" */
    bool nested;      /* an argument of lists, maps and objects instead (Hessian2) */
};

static inline size_t frame_text(uint8_t *to, uint8_t serialization, struct mf_slice text)
{
    if (serialization == MF_DUBBO_FASTJSON2)
        return mf_jsonb_put_string(to, text);
    return (size_t)mf_hessian_put_string(to, mf_hessian_string_room(text.len), text);
}

/* One of the values that a body is made of: fastjson2 writes its length before it. */
static inline size_t frame_value(uint8_t *to, uint8_t serialization, struct mf_slice text)
{
    if (serialization != MF_DUBBO_FASTJSON2)
        return frame_text(to, serialization, text);
    size_t len = frame_text(to + 4, serialization, text);
    mf_put32(to, (uint32_t)len);
    return 4 + len;
}

/* Four orders of two lines each, as objects of a class with three fields, in a map in a list: 70 values, depth 4. */
static inline size_t frame_nested(uint8_t *to)
{
    uint8_t *p = to;
    struct mf_slice texts[] = {MF_SLICE("com.x.Line"), MF_SLICE("sku"), MF_SLICE("name"), MF_SLICE("count")};
    *p++ = 'C';
    p += frame_text(p, MF_DUBBO_HESSIAN2, texts[0]);
    *p++ = 0x93;
    for (int i = 1; i < 4; i++)
        p += frame_text(p, MF_DUBBO_HESSIAN2, texts[i]);
    *p++ = 0x78 + 4; /* a list of 4 */
    for (int order = 0; order < 4; order++) {
        *p++ = 'H';
        p += frame_text(p, MF_DUBBO_HESSIAN2, MF_SLICE("customer"));
        p += frame_text(p, MF_DUBBO_HESSIAN2, MF_SLICE("\xe4\xb8\x8a\xe6\xb5\xb7"));
        p += frame_text(p, MF_DUBBO_HESSIAN2, MF_SLICE("lines"));
        *p++ = 0x78 + 2;
        for (int line = 0; line < 2; line++) {
            *p++ = 0x60; /* an object of the first class */
            p += frame_text(p, MF_DUBBO_HESSIAN2, MF_SLICE("A-10023-77"));
            p += frame_text(p, MF_DUBBO_HESSIAN2, MF_SLICE("a thing that is sold by the piece, with a text over 31 bytes"));
            *p++ = 'L';
            mf_put64(p, UINT64_C(123456789012));
            p += 8;
        }
        *p++ = 'Z';
    }
    return (size_t)(p - to);
}

/* Writes the frame to `to`, which has room for twice its argument and 4 KiB. */
static inline struct mf_slice frame_build(uint8_t *to, const struct frame_shape *shape)
{
    static const char *const attachments[][2] = {{"path", FRAMES_SERVICE},
                                                 {"interface", FRAMES_SERVICE},
                                                 {"version", "1.0.0"},
                                                 {"timeout", "3000"},
                                                 {"remote.application", "demo-consumer"}};
    const char *types = shape->nested ? "Ljava/util/List;" : shape->argument ? "Ljava/lang/String;" : "";
    const char *strings[] = {"2.0.2", FRAMES_SERVICE, "1.0.0", "sayHello", types};
    uint8_t kind = shape->serialization, *p = to + MF_DUBBO_HEAD_LEN;
    for (int i = 0; i < 5; i++)
        p += frame_value(p, kind, mf_slice_str(strings[i]));
    if (shape->nested) {
        p += frame_nested(p);
    } else if (shape->argument) {
        const char *unit = shape->unit ? shape->unit : "x";
        size_t step = strlen(unit), len = shape->argument - shape->argument % step;
        uint8_t *text = p + len + 2048; /* behind what it becomes */
        for (size_t i = 0; i < len; i += step)
            memcpy(text + i, unit, step);
        p += frame_value(p, kind, mf_slice_of(text, len));
    }
    if (shape->attachments >= 0) {
        uint8_t *map = p;
        p += kind == MF_DUBBO_FASTJSON2 ? 4 : 0;
        *p++ = kind == MF_DUBBO_FASTJSON2 ? MF_JSONB_OBJECT : 'H';
        for (int i = 0; i < shape->attachments; i++) {
            p += frame_text(p, kind, mf_slice_str(attachments[i][0]));
            p += frame_text(p, kind, mf_slice_str(attachments[i][1]));
        }
        *p++ = kind == MF_DUBBO_FASTJSON2 ? MF_JSONB_OBJECT_END : 'Z';
        if (kind == MF_DUBBO_FASTJSON2)
            mf_put32(map, (uint32_t)(p - map - 4));
    }
    size_t len = (size_t)(p - to);
    struct mf_dubbo_head head = {.id = 1, .body_len = (uint32_t)(len - MF_DUBBO_HEAD_LEN), .flags = 0xc0};
    head.serialization = kind;
    mf_dubbo_put_head(to, &head);
    return mf_slice_of(to, len);
}
