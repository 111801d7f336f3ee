#pragma once
/* h2_down: a caller's connection: its streams are calls. */
#include "protocol/h2_request.h"

struct mf_h2_down {
    struct mf_h2_conn h2; /* first */
    struct mf_h2_source source;
    struct mf_caller caller;
    bool parting; /* it was idle, and told so */
};

/* An accepted connection, whose struct has room for one, becomes it. */
void mf_h2_down_start(struct mf_conn *conn, struct mf_h2_share *share, struct mf_inlet *inlet);
