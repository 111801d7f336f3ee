/* fuzz_jsonb: any bytes as a run of JSONB values, read in each of the ways that callers read them. */
#include "codec/jsonb.h"

#include <stdlib.h>

/* As an object: its keys and values, until it ends or breaks. */
static void read_map(struct mf_slice in)
{
    struct mf_jsonb reader;
    struct mf_slice text;
    mf_jsonb_init(&reader, in, 8);
    int rc = mf_jsonb_map_begin(&reader);
    while (rc == 1 && (rc = mf_jsonb_map_next(&reader)) == 1) {
        size_t before = reader.at;
        if (mf_jsonb_string(&reader, &text) < 0 && mf_jsonb_skip(&reader) < 0)
            break;
        if (reader.at <= before || reader.at > in.len)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct mf_jsonb reader, other;
    struct mf_slice text;
    int64_t number;
    mf_jsonb_init(&reader, mf_slice_of(data, len), MF_JSONB_DEPTH);
    for (size_t before = 0; reader.at < len; before = reader.at) {
        other = reader;
        int skipped = mf_jsonb_skip(&other);
        int rc = mf_jsonb_string(&reader, &text);
        if (rc == 1 && (text.ptr < data || text.ptr + text.len > data + len))
            abort();
        if (rc == MF_EJSONB_TYPE && reader.at != before)
            abort(); /* nothing may be consumed */
        if (rc == MF_EJSONB_TYPE && (rc = mf_jsonb_integer(&reader, &number)) == MF_EJSONB_TYPE) {
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
