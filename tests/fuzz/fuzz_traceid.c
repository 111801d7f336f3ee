/* fuzz_traceid: any key and value as a tracing header, and the label that is remembered under what it names. */
#include "table/table.h"

#include <stdlib.h>

static struct mf_table *table;
static struct mf_trace *trace;
static struct mf_labels plan = {.n_labels = 1, .n_traces = 3};

static void prepare(void)
{
    if (table)
        return;
    if (mf_table_new(&table) < 0 || mf_trace_new(16, 1000, &trace) < 0)
        abort();
    plan.labels[0] = (struct mf_label){.name = MF_SLICE("dev"), .n_sources = 4};
    plan.labels[0].index = (uint32_t)mf_label_intern(table, MF_SLICE("dev"));
    plan.labels[0].sources[0] = (struct mf_label_source){MF_LABEL_HEADER, MF_TRACEID_PLAIN, MF_SLICE("dev")};
    static const char *const keys[] = {"traceparent", "sw8", "x-request-id"};
    for (int i = 0; i < 3; i++) {
        struct mf_slice key = mf_slice_str(keys[i]);
        plan.traces[i] = (struct mf_label_source){MF_LABEL_CONTEXT, mf_traceid_format_of(key), key};
        plan.labels[0].sources[1 + i] = plan.traces[i];
    }
}

/* The input up to a NUL, which is passed; all of it where there is none. */
static struct mf_slice piece(struct mf_slice *in)
{
    const uint8_t *end = in->len ? memchr(in->ptr, 0, in->len) : NULL;
    struct mf_slice out = mf_slice_of(in->ptr, end ? (size_t)(end - in->ptr) : in->len);
    size_t passed = out.len + (end != NULL);
    *in = mf_slice_of(in->ptr + passed, in->len - passed);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct mf_slice in = mf_slice_of(data, len);
    struct mf_pair headers[8];
    uint32_t n = 0;
    prepare();
    for (; in.len && n < 8; n++) {
        headers[n].key = piece(&in);
        headers[n].value = piece(&in);
        struct mf_slice value = headers[n].value;
        for (int format = MF_TRACEID_PLAIN; format <= MF_TRACEID_SW8; format++) {
            struct mf_slice id = mf_traceid_of((enum mf_traceid_format)format, value);
            if (id.len && (id.ptr < value.ptr || id.ptr + id.len > value.ptr + value.len))
                abort();
        }
        mf_traceid_format_of(headers[n].key);
    }
    /* What a request carries is found again by its trace id alone, unless it is too long to remember. */
    struct mf_label_kept kept;
    struct mf_label_values values;
    struct mf_query query = {.headers = headers, .n_headers = n, .fold_names = len & 1, .now = 1};
    mf_label_remember(&plan, trace, &query, MF_LABELS_KEEP_FIRST, (uint32_t)len, &kept);
    query.now = 2;
    mf_label_find(&plan, trace, &query, &values);
    if (kept.stored && !values.value[plan.labels[0].index].len)
        abort();
    query.now = 5000;
    mf_label_find(&plan, trace, &query, &values);
    if (values.kind[plan.labels[0].index] == MF_LABEL_CONTEXT)
        abort(); /* too old */
    return 0;
}
