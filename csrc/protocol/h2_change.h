#pragma once
/* h2_change: requests and answers as a rule changes them (codec/change.h), in the room that a worker's connections share. */
#include "codec/change.h"
#include "protocol/h2_frozen.h"

/* A request's fields, wherever they lie, as they go on: in the share's room, as good as a request's must be. 0; or an error:
 * what came cannot be changed so, and goes nowhere. `list` is replaced. */
int mf_h2_change_request(struct mf_h2_share *share, const struct mf_change *change, struct mf_h2_list *list);
/* Fields of an answer, in the same room. */
void mf_h2_change_answer(const struct mf_h2_share *share, const struct mf_change_list *change, struct mf_h2_list *list);
