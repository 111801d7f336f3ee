#include "table/label.h"

#include "base/err.h"
#include "table/headers.h"
#include "table/writer.h"

int mf_label_intern(struct mf_table *table, struct mf_slice name)
{
    for (uint32_t i = 0; i < table->n_labels; i++)
        if (mf_slice_eq(table->label_names[i], name))
            return (int)i;
    if (table->n_labels == MF_LABELS)
        return MF_ELIMIT;
    char *copy = mf_copy(name.ptr, name.len);
    if (!copy)
        return -ENOMEM;
    table->label_names[table->n_labels] = mf_slice_of(copy, name.len);
    return (int)table->n_labels++;
}

struct mf_slice mf_label_name(const struct mf_table *table, uint32_t index)
{
    return index < MF_LABELS ? table->label_names[index] : mf_slice_of(NULL, 0);
}

static struct mf_slice trace_id(const struct mf_label_source *source, const struct mf_pair *headers, uint32_t n)
{
    const struct mf_slice *value = mf_headers_find(headers, n, source->text);
    return value ? mf_traceid_of(source->format, *value) : mf_slice_of(NULL, 0);
}

static struct mf_slice from_source(const struct mf_label *label, const struct mf_label_source *source,
                                   struct mf_trace *trace, const struct mf_pair *headers, uint32_t n_headers,
                                   uint64_t now, uint8_t kept[MF_TRACE_VALUE])
{
    struct mf_slice none = {NULL, 0};
    switch (source->kind) {
    case MF_LABEL_HEADER: {
        const struct mf_slice *value = mf_headers_find(headers, n_headers, source->text);
        return value ? *value : none;
    }
    case MF_LABEL_CONTEXT: {
        struct mf_slice id = trace ? trace_id(source, headers, n_headers) : none;
        int len = id.len ? mf_trace_find(trace, id, label->index, now, kept) : 0;
        return mf_slice_of(kept, (size_t)len);
    }
    case MF_LABEL_LOCAL:
        return source->text;
    case MF_LABEL_NONE:
        break;
    }
    return none;
}

void mf_label_find(const struct mf_labels *plan, struct mf_trace *trace, const struct mf_pair *headers,
                   uint32_t n_headers, uint64_t now, struct mf_label_values *out)
{
    /* Only what this plan or one before it can have set: clearing all costs as much as finding one. */
    memset(out->value, 0, plan->n_names * sizeof *out->value);
    for (uint32_t i = 0; i < plan->n_labels; i++) {
        const struct mf_label *label = &plan->labels[i];
        out->value[label->index] = mf_slice_of(NULL, 0);
        out->kind[label->index] = MF_LABEL_NONE;
        for (uint32_t j = 0; j < label->n_sources; j++) {
            struct mf_slice value = from_source(label, &label->sources[j], trace, headers, n_headers, now,
                                                out->kept[label->index]);
            if (value.len) {
                out->value[label->index] = value;
                out->kind[label->index] = (uint8_t)label->sources[j].kind;
                break;
            }
        }
    }
}

/* The label as the request itself carries it. */
static struct mf_slice carried(const struct mf_label *label, const struct mf_pair *headers, uint32_t n_headers)
{
    for (uint32_t j = 0; j < label->n_sources; j++) {
        if (label->sources[j].kind != MF_LABEL_HEADER)
            continue;
        const struct mf_slice *value = mf_headers_find(headers, n_headers, label->sources[j].text);
        if (value && value->len)
            return *value;
    }
    return mf_slice_of(NULL, 0);
}

static void remember(struct mf_trace *trace, struct mf_slice id, uint32_t label, struct mf_slice value, uint64_t now,
                     struct mf_label_kept *counted)
{
    bool evicted = false;
    int rc = mf_trace_put(trace, id, label, value, now, &evicted);
    counted->stored += rc == MF_TRACE_STORED;
    counted->conflicts += rc == MF_TRACE_CONFLICT;
    counted->refused += rc < 0;
    counted->evicted += evicted;
}

void mf_label_remember(const struct mf_labels *plan, struct mf_trace *trace, const struct mf_pair *headers,
                       uint32_t n_headers, uint64_t now, struct mf_label_kept *counted)
{
    struct mf_slice ids[MF_LABEL_SOURCES];
    uint32_t n_ids = 0;
    *counted = (struct mf_label_kept){0};
    if (!trace)
        return;
    for (uint32_t i = 0; i < plan->n_traces; i++) {
        ids[n_ids] = trace_id(&plan->traces[i], headers, n_headers);
        n_ids += ids[n_ids].len > 0;
    }
    for (uint32_t i = 0; n_ids && i < plan->n_labels; i++) {
        struct mf_slice value = carried(&plan->labels[i], headers, n_headers);
        for (uint32_t j = 0; value.len && j < n_ids; j++)
            remember(trace, ids[j], plan->labels[i].index, value, now, counted);
    }
}
