/* epoch under threads: what a reader reached in its section stays whole until the section ends. */
#include "base/list.h"
#include "table/epoch.h"
#include "table/torture.h"

enum { READERS = 3, SLOTS = 8, READS = 400000, WRITES = 60000, MAGIC = 0x600d };

struct thing {
    struct mf_epoch_entry entry;
    uint64_t magic, number, twice;
};

static struct mf_epoch epoch;
static _Atomic(struct thing *) slots[SLOTS];
static mf_atom32 running;

static void on_free(struct mf_epoch_entry *entry)
{
    mf_free(MF_CONTAINER(entry, struct thing, entry));
}

static struct thing *new_thing(uint64_t number)
{
    struct thing *thing = mf_zalloc(sizeof *thing);
    thing->magic = MAGIC;
    thing->number = number;
    thing->twice = number * 2;
    return thing;
}

static void *read_things(void *arg)
{
    uint64_t random = (uintptr_t)arg, newest[SLOTS] = {0};
    int reader = mf_epoch_join(&epoch);
    mf_epoch_online(&epoch, reader);
    for (int i = 0; i < READS; i++) {
        uint64_t r = next_random(&random);
        /* Pairs with the release in main. */
        struct thing *thing = mf_load_acquire(&slots[r % SLOTS]);
        if (r >> 32 & 1)
            sched_yield();
        MUST(thing->magic == MAGIC && thing->twice == thing->number * 2);
        MUST(thing->number >= newest[r % SLOTS]); /* never back in time */
        newest[r % SLOTS] = thing->number;
        if (r >> 33 & 7)
            continue;
        if (r >> 36 & 15) {
            mf_epoch_quiesce(&epoch, reader);
        } else if (r >> 40 & 3) {
            mf_epoch_offline(&epoch, reader);
            mf_epoch_online(&epoch, reader);
        } else {
            mf_epoch_leave(&epoch, reader);
            reader = mf_epoch_join(&epoch);
            mf_epoch_online(&epoch, reader);
        }
    }
    mf_epoch_leave(&epoch, reader);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

int main(void)
{
    pthread_t threads[READERS];
    uint64_t random = 99, writes = 0;
    poison_what_is_freed();
    mf_epoch_init(&epoch);
    for (int i = 0; i < SLOTS; i++)
        mf_store_relaxed(&slots[i], new_thing(0));
    atomic_store(&running, READERS);
    for (uintptr_t i = 0; i < READERS; i++)
        start(&threads[i], read_things, (void *)(i + 1));
    while (writes < WRITES || atomic_load(&running)) {
        uint64_t r = next_random(&random);
        struct thing *old = mf_load_relaxed(&slots[r % SLOTS]); /* our own store */
        /* Pairs with the acquire in read_things. */
        mf_store_release(&slots[r % SLOTS], new_thing(++writes));
        mf_epoch_retire(&epoch, &old->entry, on_free);
        if (r >> 32 & 1)
            mf_epoch_reclaim(&epoch);
    }
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < SLOTS; i++)
        mf_epoch_retire(&epoch, &mf_load_relaxed(&slots[i])->entry, on_free);
    mf_epoch_reclaim(&epoch);
    MUST(epoch._waiting == 0);
    return torture_end("table/torture_epoch", (uint64_t)READERS * READS + writes);
}
