/* fuzz_hessian: any bytes as a run of values, in Hessian2 and in JSONB. */
#include "codec/hessian.h"
#include "codec/jsonb.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct mf_hessian hessian;
    struct mf_jsonb jsonb;
    struct mf_slice text;
    int64_t number;
    mf_hessian_init(&hessian, mf_slice_of(data, len), MF_HESSIAN_DEPTH, MF_HESSIAN_CLASSES);
    for (size_t before = 0; hessian.at < len; before = hessian.at) {
        int rc = mf_hessian_string(&hessian, &text);
        if (rc == MF_EHESSIAN_TYPE && hessian.at != before)
            abort(); /* nothing may be consumed */
        if (rc == MF_EHESSIAN_TYPE)
            rc = mf_hessian_integer(&hessian, &number);
        if (rc == MF_EHESSIAN_TYPE)
            rc = mf_hessian_skip(&hessian);
        if (hessian.at > len || (rc >= 0 && hessian.at <= before))
            abort();
        if (rc < 0)
            break;
    }
    mf_jsonb_init(&jsonb, mf_slice_of(data, len), MF_JSONB_DEPTH);
    for (size_t before = 0; jsonb.at < len; before = jsonb.at) {
        int rc = mf_jsonb_string(&jsonb, &text);
        if (rc == MF_EJSONB_TYPE && jsonb.at != before)
            abort();
        if (rc == MF_EJSONB_TYPE)
            rc = mf_jsonb_skip(&jsonb);
        if (jsonb.at > len || (rc >= 0 && jsonb.at <= before))
            abort();
        if (rc < 0)
            break;
    }
    return 0;
}
