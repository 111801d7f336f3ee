#pragma once
/* labels: a request's traffic labels: found, counted, and those that must travel on in it; remembered where they come
 * in. How they are looked for is table/label.h's. */
#include "call/local.h"

/* Finds the labels of a request into local->labels. Where they came from elsewhere than the request they are put into
 * `stamps` (room for MF_PLAN_LABELS; NULL: it cannot carry more, or does already). Returns how many. */
uint32_t mf_labels_find(struct mf_local *local, const struct mf_query *query, struct mf_pair *stamps);
/* The same, uncounted, for a request that was stamped before. */
void mf_labels_find_again(struct mf_local *local, const struct mf_query *query);
/* What a request says of labels is not to be passed on: puts an empty text, which is no label, for each key that it says
 * one with into `stamps` (room for MF_LABELS_SAID). Returns how many. */
enum { MF_LABELS_SAID = MF_PLAN_LABELS * MF_LABEL_SOURCES };
uint32_t mf_labels_strip(const struct mf_local *local, const struct mf_query *query, struct mf_pair *stamps);
/* Remembers those that the request itself carries by its trace ids. `caller`: a hash of who sent it. */
void mf_labels_remember(struct mf_local *local, const struct mf_query *query, enum mf_label_trust trust, uint32_t caller);
