#pragma once
/* values: any bytes as a run of values, read in each of the ways that callers read them.
 *
 * The codec's own file says which functions these are: READ(skip) is mf_hessian_skip or mf_jsonb_skip; OTHER_TYPE is the
 * error after which nothing may be consumed; init() begins a reader. */
#include <stdlib.h>

/* As a map: its keys and values, until it ends or breaks. */
static void read_map(struct mf_slice in)
{
    static reader_t reader;
    struct mf_slice text;
    init(&reader, in, 8);
    int rc = READ(map_begin)(&reader);
    while (rc == 1 && (rc = READ(map_next)(&reader)) == 1) {
        size_t before = reader.at;
        if (READ(string)(&reader, &text) < 0 && READ(skip)(&reader) < 0)
            break;
        if (reader.at <= before || reader.at > in.len)
            abort();
    }
}

/* As text in any form: it ends where passing over it does, and is the same where it is plain. */
static void read_texts(const reader_t *passed, size_t start, bool plain, struct mf_slice want, int skipped)
{
    static reader_t reader;
    uint8_t room[64];
    struct mf_slice got;
    for (int only = 0; only < 2; only++) {
        struct mf_text text = {.to = room, .room = sizeof room};
        reader = *passed;
        reader.at = start;
        int rc = only ? READ(only_text)(&reader, &text, &got) : READ(text)(&reader, &text, &got);
        if (text.used > sizeof room || (rc == OTHER_TYPE && (reader.at != start || text.used)))
            abort();
        if ((rc >= 0 || rc == MF_ELIMIT) && (skipped || reader.at != passed->at))
            abort();
        if (!only && plain && (rc == MF_ELIMIT ? want.len < 20 : rc != 1 || (got.ptr == want.ptr && got.len != want.len)))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static reader_t reader, other;
    struct mf_slice text;
    int64_t number;
    init(&reader, mf_slice_of(data, len), DEPTH);
    for (size_t before = 0; reader.at < len; before = reader.at) {
        other = reader;
        int skipped = READ(skip)(&other);
        int rc = READ(string)(&reader, &text);
        if (rc == 1 && (text.ptr < data || text.ptr + text.len > data + len))
            abort();
        if (rc == OTHER_TYPE && reader.at != before)
            abort(); /* nothing may be consumed */
        read_texts(&other, before, rc == 1, text, skipped);
        if (rc == OTHER_TYPE && (rc = READ(integer)(&reader, &number)) == OTHER_TYPE) {
            if (reader.at != before)
                abort();
            reader = other;
            rc = skipped;
        }
        if (reader.at > len || (rc >= 0 && (reader.at <= before || skipped || reader.at != other.at)))
            abort(); /* each way of reading a value ends where passing over it does */
        if (rc < 0 && !*reader.why)
            abort();
        if (rc < 0)
            break;
    }
    read_map(mf_slice_of(data, len));
    return 0;
}
