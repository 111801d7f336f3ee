#pragma once
/* label: how a request's traffic labels are found: in the request, by its trace id, or the workload's own.
 *
 * Names are numbered by the table once and for ever; the sources are an immutable plan, published like a service. */
#include "base/slice.h"
#include "codec/traceid.h"
#include "table/epoch.h"
#include "table/trace.h"

struct mf_table;

enum { MF_LABELS = 16, MF_LABEL_SOURCES = 8 };

enum mf_label_kind {
    MF_LABEL_HEADER,  /* an attachment or header of the request */
    MF_LABEL_CONTEXT, /* remembered under the trace id found at this key */
    MF_LABEL_LOCAL,   /* this workload's own label */
    MF_LABEL_NONE,    /* no source gave one; also the number of kinds */
};

struct mf_label_source {
    enum mf_label_kind kind;
    enum mf_traceid_format format;
    struct mf_slice text; /* the key, or the local value */
};

struct mf_label {
    struct mf_slice name;
    uint32_t index; /* the table's number of the name */
    uint32_t n_sources;
    struct mf_label_source sources[MF_LABEL_SOURCES];
};

struct mf_labels {
    struct mf_epoch_entry _entry;
    uint32_t n_labels;
    uint32_t n_names; /* set when it is published: the labels that have a number by then */
    struct mf_label labels[MF_LABELS];
    struct mf_label_source traces[MF_LABEL_SOURCES]; /* where trace ids are looked for on requests that come in */
    uint32_t n_traces;
};

/* The number of a label name, given on first sight: 0..MF_LABELS-1, or MF_ELIMIT. Writer only. */
int mf_label_intern(struct mf_table *table, struct mf_slice name);
/* The name of a number; empty when it was never given. */
struct mf_slice mf_label_name(const struct mf_table *table, uint32_t index);

/* What was found for one request. Values are borrowed from the request, the plan or `kept`. */
struct mf_label_values {
    struct mf_slice value[MF_LABELS];    /* by the table's number; empty: none */
    uint8_t kind[MF_LABELS];             /* enum mf_label_kind; set for the labels of the plan */
    uint8_t kept[MF_LABELS][MF_TRACE_VALUE];
};

/* Fills `out` for each label of the plan, first source that yields wins; it was zeroed once, or used with an earlier
 * plan of the same table. `trace` may be NULL. */
void mf_label_find(const struct mf_labels *plan, struct mf_trace *trace, const struct mf_pair *headers,
                   uint32_t n_headers, uint64_t now, struct mf_label_values *out);

struct mf_label_kept { uint32_t stored, conflicts, evicted, refused; };
/* Remembers the labels that a request carries itself under every trace id it carries. */
void mf_label_remember(const struct mf_labels *plan, struct mf_trace *trace, const struct mf_pair *headers,
                       uint32_t n_headers, uint64_t now, struct mf_label_kept *counted);
