#include "table/label.h"

#include "base/err.h"
#include "table/dfa.h"
#include "table/headers.h"
#include "table/route.h"
#include "table/writer.h"

int mf_label_number(const struct mf_table *table, struct mf_slice name)
{
    for (uint32_t i = 0; i < table->n_labels; i++)
        if (table->labels[i].refs && mf_slice_eq(table->labels[i].text, name))
            return (int)i;
    return -ENOENT;
}

int mf_label_intern(struct mf_table *table, struct mf_slice name)
{
    int known = mf_label_number(table, name);
    if (known >= 0) {
        table->labels[known].refs++;
        return known;
    }
    uint32_t i = 0; /* the lowest, so that readers have few to clear */
    while (i < MF_LABELS && table->labels[i].refs)
        i++;
    if (i == MF_LABELS)
        return MF_ELIMIT;
    char *copy = mf_copy(name.ptr, name.len);
    if (!copy)
        return -ENOMEM;
    table->labels[i] = (struct mf_name){mf_slice_of(copy, name.len), 1, table->label_ids++};
    if (i == table->n_labels)
        table->n_labels++;
    return (int)i;
}

void mf_label_give(struct mf_table *table, uint32_t index)
{
    struct mf_name *name = &table->labels[index];
    if (--name->refs > 0)
        return;
    mf_free((void *)name->text.ptr);
    name->text = mf_slice_of(NULL, 0);
}

void mf_label_take_all(struct mf_table *table, uint64_t labels)
{
    for (; labels; labels &= labels - 1)
        table->labels[__builtin_ctzll(labels)].refs++;
}

void mf_label_give_all(struct mf_table *table, uint64_t labels)
{
    for (; labels; labels &= labels - 1)
        mf_label_give(table, (uint32_t)__builtin_ctzll(labels));
}

struct mf_slice mf_label_name(const struct mf_table *table, uint32_t index)
{
    return index < MF_LABELS ? table->labels[index].text : mf_slice_of(NULL, 0);
}

static const struct mf_slice *header(const struct mf_query *query, struct mf_slice name)
{
    return mf_headers_find(query, name);
}

static struct mf_slice trace_id(const struct mf_label_source *source, const struct mf_query *query)
{
    const struct mf_slice *value = header(query, source->text);
    return value && value->ptr ? mf_traceid_of(source->format, *value) : mf_slice_of(NULL, 0);
}

/* What the source has; `*ends`: no other is asked, though it has nothing. */
static struct mf_slice from_source(const struct mf_label *label, const struct mf_label_source *source,
                                   struct mf_trace *trace, const struct mf_query *query, uint8_t kept[MF_TRACE_VALUE],
                                   bool *ends)
{
    struct mf_slice none = {NULL, 0};
    switch (source->kind) {
    case MF_LABEL_HEADER: {
        const struct mf_slice *value = header(query, source->text);
        *ends = value && !value->ptr;
        return value ? *value : none;
    }
    case MF_LABEL_CONTEXT: {
        struct mf_slice id = trace ? trace_id(source, query) : none;
        int len = id.len ? mf_trace_find(trace, id, label->id, query->now, kept) : 0;
        return mf_slice_of(kept, (size_t)len);
    }
    case MF_LABEL_LOCAL:
        return source->text;
    case MF_LABEL_NONE:
        break;
    }
    return none;
}

void mf_label_find(const struct mf_labels *plan, struct mf_trace *trace, const struct mf_query *query,
                   struct mf_label_values *out)
{
    /* Only what this plan or one before it can have set: clearing all costs as much as finding one. */
    memset(out->value, 0, plan->n_names * sizeof *out->value);
    for (uint32_t i = 0; i < plan->n_labels; i++) {
        const struct mf_label *label = &plan->labels[i];
        bool ends = false;
        out->value[label->index] = mf_slice_of(NULL, 0);
        out->kind[label->index] = MF_LABEL_NONE;
        if (label->except >> query->speaks & 1)
            continue;
        for (uint32_t j = 0; j < label->n_sources; j++) {
            struct mf_slice value = from_source(label, &label->sources[j], trace, query, out->kept[i], &ends);
            if (value.len || ends) {
                out->value[label->index] = value;
                out->kind[label->index] = (uint8_t)label->sources[j].kind;
                break;
            }
        }
    }
}

bool mf_label_goes_on(const struct mf_label *label, const struct mf_query *query)
{
    const uint8_t *hosts = label->hosts.ptr;
    return !label->hosts.len || mf_dfa_match(hosts, query->service) ||
           (query->http && mf_dfa_match(hosts, query->http->authority));
}

bool mf_label_key_said(struct mf_slice key, const struct mf_query *query)
{
    const struct mf_slice *value = header(query, key);
    return value && (value->len || !value->ptr);
}

/* The label as the request itself carries it. */
static struct mf_slice carried(const struct mf_label *label, const struct mf_query *query)
{
    for (uint32_t j = 0; j < label->n_sources; j++) {
        if (label->sources[j].kind != MF_LABEL_HEADER)
            continue;
        const struct mf_slice *value = header(query, label->sources[j].text);
        if (value && (value->len || !value->ptr))
            return *value;
    }
    return mf_slice_of(NULL, 0);
}

static void remember(struct mf_trace *trace, const struct mf_trace_entry *entry, uint64_t now,
                     struct mf_label_kept *counted)
{
    bool evicted = false;
    int rc = mf_trace_put(trace, entry, now, &evicted);
    counted->stored += rc == MF_TRACE_STORED;
    counted->conflicts += rc == MF_TRACE_CONFLICT;
    counted->refused += rc < 0;
    counted->evicted += evicted;
}

void mf_label_remember(const struct mf_labels *plan, struct mf_trace *trace, const struct mf_query *query,
                       enum mf_label_trust trust, uint32_t caller, struct mf_label_kept *counted)
{
    struct mf_slice ids[MF_LABEL_SOURCES];
    uint32_t n_ids = 0;
    *counted = (struct mf_label_kept){0};
    if (!trace || trust == MF_LABELS_STRIP)
        return;
    for (uint32_t i = 0; i < plan->n_traces; i++) {
        ids[n_ids] = trace_id(&plan->traces[i], query);
        n_ids += ids[n_ids].len > 0;
    }
    for (uint32_t i = 0; n_ids && i < plan->n_labels; i++) {
        if (plan->labels[i].except >> query->speaks & 1)
            continue;
        struct mf_trace_entry entry = {.value = carried(&plan->labels[i], query), .label = plan->labels[i].id,
                                       .caller = caller, .replace = trust == MF_LABELS_TRUST};
        for (uint32_t j = 0; entry.value.len && j < n_ids; j++) {
            entry.id = ids[j];
            remember(trace, &entry, query->now, counted);
        }
    }
}
