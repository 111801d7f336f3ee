#pragma once
/* h2_down: a caller's connection: its streams are calls. */
#include "protocol/h2_request.h"

enum { MF_H2_ANSWERS = 4 };

struct mf_h2_down {
    struct mf_h2_conn h2; /* first */
    struct mf_h2_source source;
    struct mf_caller caller;
    bool parting; /* it was idle, and told so */
    uint32_t next_answer;
    struct {
        uint64_t number; /* of fields that come again (h2_ask.h); 0: free */
        struct mf_h2_again again;
    } answers[MF_H2_ANSWERS];
};

/* An accepted connection, whose struct has room for one, becomes it. */
void mf_h2_down_start(struct mf_conn *conn, struct mf_h2_share *share, struct mf_inlet *inlet);
