/* fuzz_jsonb: any bytes as a run of JSONB values. */
#include "codec/jsonb.h"
#include "codec/text.h"

#define READ(verb) mf_jsonb_##verb

typedef struct mf_jsonb reader_t;
enum { OTHER_TYPE = MF_EJSONB_TYPE, DEPTH = MF_JSONB_DEPTH };

static void init(reader_t *reader, struct mf_slice in, uint32_t depth)
{
    mf_jsonb_init(reader, in, depth);
}

#include "values.h"
