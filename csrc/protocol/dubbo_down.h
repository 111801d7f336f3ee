#pragma once
/* dubbo_down: the caller's end of Dubbo2: its requests begin calls, their answers go back to it. */
#include "protocol/dubbo_request.h"

struct mf_dubbo_down {
    struct mf_conn conn; /* first */
    struct mf_caller caller;
    struct mf_dubbo_source source;
    uint64_t discard;
    bool own_gone;      /* the address that it dialled itself asks for no calls */
    bool told_readonly; /* what it was told last */
    bool ended;         /* it has ended its side, and is to be asked once more whether it is there */
};

/* Makes a connection whose first bytes are Dubbo2 one of these: its memory has room for it. */
void mf_dubbo_down_start(struct mf_conn *conn, struct mf_dubbo_share *share, struct mf_inlet *inlet);
/* The same of one that another process went on with until now: of a frame that was refused `discard` bytes are to come. */
void mf_dubbo_down_adopt(struct mf_conn *conn, struct mf_dubbo_share *share, struct mf_inlet *inlet, uint64_t discard);
