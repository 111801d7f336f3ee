#pragma once
/* dubbo_share: what a worker's Dubbo2 connections share: memory of requests, room to read one, counts by serialization;
 * and Dubbo2 as a pool's dialer. */
#include "call/pool.h"
#include "codec/dubbo_memo.h"
#include "protocol/dubbo_counts.h"

enum { MF_MEMOS = 256, MF_MEMO_VARIANTS = 4 };

struct mf_memos {
    struct mf_dubbo_memo *_memos[MF_MEMOS];
    uint32_t _misses[MF_MEMOS]; /* what was read and would have had its place here */
};

struct mf_dubbo_share {
    struct mf_dialer dialer; /* first */
    struct mf_local *local;
    struct mf_calls *calls;
    struct mf_dubbo_room room; /* one request is read at a time */
    struct mf_dubbo_limits limits;
    struct mf_memos memos;
    struct mf_serialization_counters serializations[MF_SERIALIZATIONS];
};

/* `ops`: dubbo_up's. 0 or -ENOMEM. */
int mf_dubbo_share_init(struct mf_dubbo_share *share, const struct mf_dialer_ops *ops, uint32_t index,
                        struct mf_local *local, struct mf_calls *calls);
void mf_dubbo_share_dispose(struct mf_dubbo_share *share);
