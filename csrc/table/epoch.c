#include "table/epoch.h"

#include "base/err.h"

#include <string.h>

/* Why it is safe. The writer unlinks an object, stamps it with the epoch it sees in _now, and moves _now on. It frees
 * the object when every reader that is online has seen a later epoch. Two cases for a reader:
 *  - quiesce: it loads the later _now with acquire, which pairs with the release in retire, so all it loads afterwards
 *    comes after the unlinking; its stores of `seen` release what it read before to the writer's read of `seen`.
 *  - online: its exchange and the writer's read-modify-write of `seen` have one order. If the writer came first, the
 *    exchange reads what the writer wrote and acquires the unlinking; if the exchange came first, the writer sees the
 *    reader online with an epoch no later than the stamp, and waits. A plain load by the writer would leave room for
 *    both to miss each other (store buffering). */

void mf_epoch_init(struct mf_epoch *epoch)
{
    memset(epoch, 0, sizeof *epoch);
    mf_store_relaxed(&epoch->_now, 1);
    epoch->_last = &epoch->_first;
}

static struct mf_epoch_entry *shift(struct mf_epoch *epoch)
{
    struct mf_epoch_entry *entry = epoch->_first;
    epoch->_waiting--;
    epoch->_first = entry->_next;
    if (!epoch->_first)
        epoch->_last = &epoch->_first;
    return entry;
}

void mf_epoch_dispose(struct mf_epoch *epoch)
{
    while (epoch->_first) {
        struct mf_epoch_entry *entry = shift(epoch);
        entry->_fn(entry);
    }
}

int mf_epoch_join(struct mf_epoch *epoch)
{
    for (int i = 0; i < MF_EPOCH_READERS; i++) {
        uint32_t free_ = 0;
        /* Acquire: pairs with the release in leave, so that the words of this place are the last reader's final ones. */
        if (atomic_compare_exchange_strong_explicit(&epoch->_readers[i].joined, &free_, 1, memory_order_acquire,
                                                    memory_order_relaxed))
            return i;
    }
    return MF_ELIMIT;
}

void mf_epoch_leave(struct mf_epoch *epoch, int reader)
{
    mf_epoch_offline(epoch, reader);
    /* Pairs with the acquire in join. */
    mf_store_release(&epoch->_readers[reader].joined, 0);
}

void mf_epoch_online(struct mf_epoch *epoch, int reader)
{
    /* An old value only delays the writer. Acquire pairs with the release in retire. */
    uint64_t now = mf_load_acquire(&epoch->_now);
    /* Pairs with the read-modify-write in oldest_seen: see the top of this file. */
    atomic_exchange_explicit(&epoch->_readers[reader].seen, now, memory_order_acq_rel);
}

void mf_epoch_offline(struct mf_epoch *epoch, int reader)
{
    /* Pairs with oldest_seen: what this reader read was read before it is freed. */
    mf_store_release(&epoch->_readers[reader].seen, 0);
}

void mf_epoch_quiesce(struct mf_epoch *epoch, int reader)
{
    /* Acquire pairs with the release in retire. */
    uint64_t now = mf_load_acquire(&epoch->_now);
    if (now != mf_load_relaxed(&epoch->_readers[reader].seen)) /* our own store */
        /* Pairs with oldest_seen, as in offline. */
        mf_store_release(&epoch->_readers[reader].seen, now);
}

void mf_epoch_retire(struct mf_epoch *epoch, struct mf_epoch_entry *entry, void (*fn)(struct mf_epoch_entry *))
{
    uint64_t now = mf_load_relaxed(&epoch->_now); /* our own store */
    entry->_next = NULL;
    entry->_at = now;
    entry->_fn = fn;
    *epoch->_last = entry;
    epoch->_last = &entry->_next;
    epoch->_waiting++;
    /* Pairs with the acquires in online and quiesce: who sees the new epoch sees the unlinking before it. */
    mf_store_release(&epoch->_now, now + 1);
}

/* The oldest epoch that a reader may still be in. */
static uint64_t oldest_seen(struct mf_epoch *epoch)
{
    uint64_t oldest = UINT64_MAX;
    for (int i = 0; i < MF_EPOCH_READERS; i++) {
        /* Adds nothing, but takes its place in the order of all stores to `seen`. Acquire pairs with the releases in
         * offline and quiesce; release with the exchange in online. */
        uint64_t seen = atomic_fetch_add_explicit(&epoch->_readers[i].seen, 0, memory_order_acq_rel);
        if (seen && seen < oldest)
            oldest = seen;
    }
    return oldest;
}

size_t mf_epoch_reclaim(struct mf_epoch *epoch)
{
    if (!epoch->_first)
        return 0;
    uint64_t oldest = oldest_seen(epoch);
    /* What a callback retires is stamped later than `oldest_seen` has looked at, so it must wait. */
    uint64_t until = mf_load_relaxed(&epoch->_now);
    if (oldest > until)
        oldest = until;
    while (epoch->_first && epoch->_first->_at < oldest) {
        struct mf_epoch_entry *entry = shift(epoch);
        entry->_fn(entry);
    }
    return epoch->_waiting;
}
