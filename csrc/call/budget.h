#pragma once
/* budget: what all connections of a worker hold together, against maxMemory. Whoever holds most gives first.
 *
 * Over it, a long frame that is not whole yet is refused instead of being read on: those that come, and of those under
 * way the longest. Where that has not helped for memoryTimeout, connections are closed: first those to peers that have
 * taken nothing for so long, then callers that take nothing or little of what waits for them, who hold most first, and at
 * last those who take nothing of a few KiB. What waits for peers has a share of its own, and one that hangs is let go where that share is nearly used up, too: its callers
 * are told, and no caller gives for it. */
#include "call/conn.h"

/* Frames from this length on are long. */
enum { MF_BUDGET_LONG = 65536 };

/* There is no room for a long frame, nor for an answer to who does not read. */
bool mf_budget_over(const struct mf_local *local);
/* And this has been so for so long that it does not end by itself. */
bool mf_budget_late(const struct mf_local *local);
/* `last`: what it was a turn ago. */
void mf_budget_mind(struct mf_local *local, size_t used, size_t last);

/* Once a second: gives the system back what is not needed any more. At the end of a tight moment, too, but no more often:
 * there may be hundreds a second, and the allocator's whole memory is gone through. */
void mf_budget_sweep(struct mf_local *local);

/* inline */

/* Once a turn. */
static inline void mf_budget_watch(struct mf_local *local)
{
    size_t used = mf_loop_memory(local->loop), last = mf_load_relaxed(&local->counters.memory_bytes);
    mf_store_relaxed(&local->counters.memory_bytes, used);
    if (used > local->budget.mark)
        mf_budget_mind(local, used, last);
}
