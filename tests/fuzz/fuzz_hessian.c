/* fuzz_hessian: any bytes as a run of Hessian2 values. */
#include "codec/hessian.h"
#include "codec/text.h"

#define READ(verb) mf_hessian_##verb

typedef struct mf_hessian reader_t;
enum { OTHER_TYPE = MF_EHESSIAN_TYPE, DEPTH = MF_HESSIAN_DEPTH };

static void init(reader_t *reader, struct mf_slice in, uint32_t depth)
{
    mf_hessian_init(reader, in, depth, depth == DEPTH ? MF_HESSIAN_CLASSES : 4);
}

#include "values.h"
