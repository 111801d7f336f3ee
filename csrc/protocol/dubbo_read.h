#pragma once
/* dubbo_read: what a request says: recalled where an equal one was read lately, else read.
 *
 * A worker keeps what it read by the bytes before the arguments, a few variants of each; a connection keeps which of
 * them its own requests were. Whose bytes they were does not matter: they mean the same. */
#include "protocol/dubbo_share.h"

/* Of one connection: places of memos, counted from 1, the likeliest first. Zeroed: none. */
struct mf_recent {
    uint16_t _places[MF_MEMO_VARIANTS];
};

/* As mf_dubbo_parse_request, and MF_EDUBBO_CALLBACK for one that must not go over a shared connection; `*said` is `own`, or what is remembered: good until the next request is read. */
int mf_dubbo_read(struct mf_dubbo_share *share, struct mf_recent *recent, uint8_t serialization, struct mf_slice body,
                  struct mf_dubbo_request *own, const struct mf_dubbo_request **said, const char **why);
