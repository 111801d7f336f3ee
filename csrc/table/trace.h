#pragma once
/* trace: remembers the label of a trace id, so that a label survives an application that carries only its trace id.
 *
 * Fixed memory, set-associative, shared by all workers without locks: each set is guarded by a sequence word. A writer
 * that finds its set being written tries a little and leaves it (counted by the caller); a reader that sees it change
 * reads again, a little too.
 *
 * Within its time to live a trace keeps its first label: whoever knows a trace id may not turn its calls over. Where a
 * set is full, whoever has most in it gives way with their own oldest, and the one who comes counts with what they
 * bring: a flood of one caller takes places that were free, or its own. */
#include "base/atom.h"
#include "base/slice.h"

enum { MF_TRACE_ID = 64, MF_TRACE_VALUE = 64 }; /* longest id and value remembered, bytes */

struct mf_trace;

/* `entries` is rounded up to a power of two; one entry takes about 157 bytes. 0 or -ENOMEM. */
int mf_trace_new(size_t entries, uint64_t ttl_ns, struct mf_trace **out);
void mf_trace_free(struct mf_trace *trace);

enum mf_trace_put { MF_TRACE_STORED, MF_TRACE_REFRESHED, MF_TRACE_CONFLICT };
struct mf_trace_entry {
    struct mf_slice id, value;
    uint32_t label;  /* any number that stands for one name as long as the memory lives */
    uint32_t caller; /* who brings it: a hash of its address */
    bool replace;    /* another value takes the place of the one that is known */
};
/* Remembers `value` for (id, label). Returns MF_TRACE_STORED; MF_TRACE_REFRESHED when it was known: its time begins
 * anew; MF_TRACE_CONFLICT when another value was known: that one stays with the time it had, unless `replace`;
 * MF_ELIMIT when id or value is too long or empty; -EAGAIN when another thread was writing there. `*evicted` is set
 * when a live entry had to go. */
int mf_trace_put(struct mf_trace *trace, const struct mf_trace_entry *entry, uint64_t now, bool *evicted);
/* Copies the value into `out`: its length, or 0 when it is not known or too old. */
int mf_trace_find(struct mf_trace *trace, struct mf_slice id, uint32_t label, uint64_t now,
                  uint8_t out[MF_TRACE_VALUE]);
