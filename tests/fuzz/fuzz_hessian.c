/* fuzz_hessian: any bytes as a run of Hessian2 values, read in each of the ways that callers read them. */
#include "codec/hessian.h"

#include <stdlib.h>

static void read_map(struct mf_slice in)
{
    struct mf_hessian reader;
    struct mf_slice text;
    mf_hessian_init(&reader, in, 8, 4);
    int rc = mf_hessian_map_begin(&reader);
    while (rc == 1 && (rc = mf_hessian_map_next(&reader)) == 1) {
        size_t before = reader.at;
        if (mf_hessian_string(&reader, &text) < 0 && mf_hessian_skip(&reader) < 0)
            break;
        if (reader.at <= before || reader.at > in.len)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct mf_hessian reader, other;
    struct mf_slice text;
    int64_t number;
    mf_hessian_init(&reader, mf_slice_of(data, len), MF_HESSIAN_DEPTH, MF_HESSIAN_CLASSES);
    for (size_t before = 0; reader.at < len; before = reader.at) {
        other = reader;
        int skipped = mf_hessian_skip(&other);
        int rc = mf_hessian_string(&reader, &text);
        if (rc == 1 && (text.ptr < data || text.ptr + text.len > data + len))
            abort();
        if (rc == MF_EHESSIAN_TYPE && reader.at != before)
            abort(); /* nothing may be consumed */
        if (rc == MF_EHESSIAN_TYPE && (rc = mf_hessian_integer(&reader, &number)) == MF_EHESSIAN_TYPE) {
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
