#pragma once
/* label: how a request's traffic labels are found: in the request, by its trace id, or the workload's own.
 *
 * The names that plans and services use are numbered, and a number is given back when the last that used it is gone and
 * no reader can look at it any more; the sources are an immutable plan, published like a service. */
#include "base/slice.h"
#include "codec/traceid.h"
#include "table/epoch.h"
#include "table/trace.h"

struct mf_query;
struct mf_table;

/* Numbers, and names of one plan. Policies that replace each other use names of both, and those that readers may still
 * look at keep theirs a moment longer, so there are more numbers than one policy can need. */
enum { MF_LABELS = 64, MF_PLAN_LABELS = 16, MF_LABEL_SOURCES = 8 };
/* Longest name of a label or of a header that has one, and longest value of a workload's own, bytes: what is added to a
 * request has a bound. */
enum { MF_LABEL_TEXT = 63 };

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

/* What a request speaks, as far as labels are told apart by it. */
enum mf_speaks { MF_SPEAKS_DUBBO, MF_SPEAKS_TRIPLE, MF_SPEAKS_GRPC, MF_SPEAKS_HTTP };

struct mf_label {
    struct mf_slice name;
    uint32_t index; /* the table's number of the name; set when it is published */
    bool own_first; /* its first source is the header of its own name; set when it is published */
    uint32_t id;    /* what the trace memory knows it by: no other name ever had it; set when it is published */
    uint8_t except; /* bits 1 << enum mf_speaks: requests of these do not carry it; it is not found in them */
    uint32_t n_sources;
    struct mf_slice hosts; /* a blob of dfa.h: whose requests it is put into; empty: any */
    struct mf_label_source sources[MF_LABEL_SOURCES];
};

struct mf_labels {
    struct mf_epoch_entry _entry;
    uint32_t n_labels;
    uint32_t n_names; /* set when it is published: no number up to now was as high */
    struct mf_table *_table;
    struct mf_label labels[MF_PLAN_LABELS];
    struct mf_label_source traces[MF_LABEL_SOURCES]; /* where trace ids are looked for on requests that come in */
    uint32_t n_traces;
};

/* The number of a label name, 0..MF_LABELS-1, with a reference for the caller; -ENOMEM, or MF_ELIMIT when all are
 * taken. Plans and services take their own. Writer only, as the next three. */
int mf_label_intern(struct mf_table *table, struct mf_slice name);
void mf_label_give(struct mf_table *table, uint32_t index);
/* The number of a name that is in use, or -ENOENT. */
int mf_label_number(const struct mf_table *table, struct mf_slice name);
/* The name of a number; empty when nobody uses it. */
struct mf_slice mf_label_name(const struct mf_table *table, uint32_t index);

/* What was found for one request. Values are borrowed from the request, the plan or `kept`. */
struct mf_label_values {
    struct mf_slice value[MF_LABELS];    /* by the table's number; empty: none */
    uint8_t kind[MF_LABELS];             /* enum mf_label_kind; set for the labels of the plan */
    uint8_t kept[MF_PLAN_LABELS][MF_TRACE_VALUE];
};

/* Fills `out` for each label of the plan, first source that yields wins; it was zeroed once, or used with an earlier
 * plan of the same table. A header that is there and no text yields nothing and ends the search: what the request says
 * of a label is its caller's, whether we can read it or not. `trace` may be NULL. Of the query its headers and `now`. */
void mf_label_find(const struct mf_labels *plan, struct mf_trace *trace, const struct mf_query *query,
                   struct mf_label_values *out);

/* Whether it is put into requests for this service; of HTTP also by the authority. */
bool mf_label_goes_on(const struct mf_label *label, const struct mf_query *query);
/* Whether the request says something under this key: an empty text is nothing, a value that is no text is not. */
bool mf_label_key_said(struct mf_slice key, const struct mf_query *query);

/* Whose word on the labels of a trace holds. */
enum mf_label_trust {
    MF_LABELS_KEEP_FIRST, /* the first one's, as long as it is remembered */
    MF_LABELS_TRUST,      /* the newest one's */
    MF_LABELS_STRIP,      /* nobody's: nothing is remembered */
};
struct mf_label_kept { uint32_t stored, conflicts, evicted, refused; };
/* Remembers the labels that a request carries itself under every trace id it carries. `caller`: a hash of who sent it,
 * so that nobody fills the memory alone (trace.h). Of the query its headers and `now`. */
void mf_label_remember(const struct mf_labels *plan, struct mf_trace *trace, const struct mf_query *query,
                       enum mf_label_trust trust, uint32_t caller, struct mf_label_kept *counted);
