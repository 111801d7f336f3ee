#pragma once
/* http1_route: where policy sends an HTTP/1 connection, by its first request. */
#include "codec/http1_head.h"
#include "protocol/http1.h"

/* What is chosen by a request: a peer of the table, or (NULL) the address alone. */
struct mf_http1_aim {
    struct mf_peer *peer;
    struct mf_addr addr;
    struct mf_stat *stat; /* of whoever of the table is chosen or lacking; NULL */
    struct mf_actions *actions; /* of its rule, until the end of the turn; NULL */
    const struct mf_change *change;
    bool fallback;
    struct mf_guard *guard; /* that bounds its connections, or NULL */
};

/* 0, or MF_EROUTE_*: nowhere; `aim` is zeroed, or was filled before. */
int mf_http1_choose(struct mf_conn *conn, const struct mf_http1_head *head, struct mf_http1_aim *aim);
/* For the access log: kept once. */
void mf_http1_note(struct mf_http1 *http1, const struct mf_query *query);
