#pragma once
/* jsonb: a pull reader of JSONB, fastjson2's binary JSON, that never builds anything. Source: fastjson2
 * JSONB.Constants, JSONWriterJSONB, JSONReaderJSONB. Dubbo's fastjson2 serialization (id 23) writes each value as a
 * 4-byte length and a JSONB value of that length (FastJson2ObjectOutput). */
#include "base/err.h"
#include "base/slice.h"

struct mf_text;

enum { MF_JSONB_DEPTH = 1024 };

struct mf_jsonb {
    struct mf_slice body;
    size_t at;          /* offset of the next value */
    const char *why;    /* static text of the last error */
    uint32_t max_depth; /* at most MF_JSONB_DEPTH */
};

void mf_jsonb_init(struct mf_jsonb *reader, struct mf_slice body, uint32_t max_depth);

/* A string whose bytes are UTF-8 as they lie: 1 and `out` (borrowed); 0 for null (`out` empty); MF_EJSONB_TYPE for
 * another type and for strings written in Latin-1 or UTF-16 (nothing is consumed); MF_EJSONB_SHORT. */
int mf_jsonb_string(struct mf_jsonb *reader, struct mf_slice *out);

/* A string in any encoding as UTF-8: as it lies where it can be, else made in `text`. 1; 0 for null; MF_EJSONB_TYPE for
 * another type (nothing is consumed); MF_ELIMIT where `text` has no room, and for GB18030 that is more than ASCII: the
 * string is passed over, `out` empty. */
int mf_jsonb_text(struct mf_jsonb *reader, struct mf_text *text, struct mf_slice *out);

/* The string in an array of exactly one: 1; MF_EJSONB_TYPE for any other value, nothing is consumed; else as
 * mf_jsonb_text. */
int mf_jsonb_only_text(struct mf_jsonb *reader, struct mf_text *text, struct mf_slice *out);

/* An int or long: 0, or MF_EJSONB_TYPE (nothing consumed), or MF_EJSONB_SHORT. */
int mf_jsonb_integer(struct mf_jsonb *reader, int64_t *out);

/* Passes over one value, or one name, of any type: 0 or MF_EJSONB_*. Iterative. */
int mf_jsonb_skip(struct mf_jsonb *reader);

/* Enters an object: 1; 0 for null in its place; MF_EJSONB_TYPE for another type. */
int mf_jsonb_map_begin(struct mf_jsonb *reader);
/* At a key: 1; at the end of the object, which is consumed: 0. */
int mf_jsonb_map_next(struct mf_jsonb *reader);

/* Encodes a UTF-8 string, at most MF_JSONB_STRING_HEAD bytes longer than it: the length. */
enum { MF_JSONB_STRING_HEAD = 6 };
size_t mf_jsonb_put_string(uint8_t *to, struct mf_slice text);

/* The tags that a writer needs. */
enum { MF_JSONB_OBJECT_END = 0xa5, MF_JSONB_OBJECT = 0xa6, MF_JSONB_NULL = 0xaf };

/* inline */

/* True for the tag of a string in any encoding. */
static inline bool mf_jsonb_is_string(uint8_t tag)
{
    return tag >= 0x49 && tag <= 0x7e;
}
