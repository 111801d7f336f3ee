/* fuzz_javaser: any bytes as a Java object stream, with and without counts, strings of both kinds. */
#include "codec/javaser.h"

#include <stdlib.h>

static void check_inside(struct mf_slice body, struct mf_slice part)
{
    if (part.len && (part.ptr < body.ptr || part.ptr + part.len > body.ptr + body.len))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct mf_slice in = mf_slice_of(data, len);
    for (int counted = 0; counted < 2; counted++) {
        struct mf_javaser reader, other;
        struct mf_slice text;
        if (!mf_javaser_init(&reader, in))
            continue;
        size_t reads = 0;
        bool good = true;
        while (good) {
            other = reader;
            if (mf_javaser_string(&other, counted, &text)) {
                check_inside(in, text);
                if (other.at <= reader.at)
                    abort();
            }
            size_t before = reader.at;
            good = mf_javaser_utf(&reader, counted, &text);
            check_inside(in, text);
            if (reader.at > len || (good && reader.at <= before) || reads++ > len)
                abort();
        }
    }
    return 0;
}
