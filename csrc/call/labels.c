#include "call/labels.h"

static bool has_trace(const struct mf_labels *plan, const struct mf_query *query)
{
    for (uint32_t t = 0; t < plan->n_traces; t++)
        if (mf_label_key_said(plan->traces[t].text, query))
            return true;
    return false;
}

void mf_labels_find_again(struct mf_local *local, const struct mf_query *query)
{
    mf_label_find(mf_table_labels(local->table), local->trace, query, &local->labels);
}

uint32_t mf_labels_find(struct mf_local *local, const struct mf_query *query, struct mf_pair *stamps)
{
    const struct mf_labels *plan = mf_table_labels(local->table);
    uint32_t n = 0;
    if (plan->n_names == 0) /* no label was ever named */
        return 0;
    mf_label_find(plan, local->trace, query, &local->labels);
    for (uint32_t i = 0; i < plan->n_labels; i++) {
        const struct mf_label *label = &plan->labels[i];
        if (label->except >> query->speaks & 1)
            continue;
        switch (local->labels.kind[label->index]) {
        case MF_LABEL_HEADER:
            MF_COUNT(local, labels_header);
            continue;
        case MF_LABEL_CONTEXT:
            MF_COUNT(local, labels_context);
            break;
        case MF_LABEL_LOCAL:
            MF_COUNT(local, labels_local);
            break;
        default:
            if (local->trace && has_trace(plan, query))
                MF_COUNT(local, labels_lost);
            else
                MF_COUNT(local, labels_none);
            continue;
        }
        /* It came from elsewhere: it travels on in the request, but never over what that says of the label itself, which
         * was asked first, or is now. */
        if (stamps && (label->own_first || !mf_label_key_said(label->name, query)) && mf_label_goes_on(label, query))
            stamps[n++] = (struct mf_pair){label->name, local->labels.value[label->index]};
    }
    if (n)
        MF_COUNT(local, labels_stamped);
    return n;
}

uint32_t mf_labels_strip(const struct mf_local *local, const struct mf_query *query, struct mf_pair *stamps)
{
    const struct mf_labels *plan = mf_table_labels(local->table);
    uint32_t n = 0;
    for (uint32_t i = 0; i < plan->n_labels; i++)
        for (uint32_t j = 0; j < plan->labels[i].n_sources; j++) {
            const struct mf_label_source *source = &plan->labels[i].sources[j];
            if (source->kind == MF_LABEL_HEADER && mf_label_key_said(source->text, query))
                stamps[n++] = (struct mf_pair){source->text, MF_SLICE("")};
        }
    return n;
}

void mf_labels_remember(struct mf_local *local, const struct mf_query *query, enum mf_label_trust trust, uint32_t caller)
{
    if (!local->trace)
        return;
    struct mf_label_kept kept = {0};
    mf_label_remember(mf_table_labels(local->table), local->trace, query, trust, caller, &kept);
    MF_COUNT_N(local, labels_conflict, kept.conflicts);
    MF_COUNT_N(local, labels_evicted, kept.evicted);
    MF_COUNT_N(local, labels_refused, kept.refused);
}
