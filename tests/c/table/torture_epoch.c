/* epoch under threads: what a reader reached in its section stays whole until the section ends; what was retired is
 * freed once every reader has moved on, so the backlog cannot grow without end. */
#include "base/list.h"
#include "table/epoch.h"
#include "table/torture.h"

enum { READERS = 3, SLOTS = 8, MAGIC = 0x600d };

struct thing {
    struct mf_epoch_entry entry;
    uint64_t magic, number, twice;
};

static struct mf_epoch epoch;
static _Atomic(struct thing *) slots[SLOTS];
static mf_atom32 running, written;
static mf_atom64 n_reads;
static uint64_t reads; /* of each reader, at least */
static mf_atom64 asked, passed[READERS]; /* the writer's question: who has been quiescent since? and the answers */
static uint64_t n_freed; /* the writer's */

static void on_free(struct mf_epoch_entry *entry)
{
    mf_free(MF_CONTAINER(entry, struct thing, entry));
    n_freed++;
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
    uint64_t me = (uintptr_t)arg, random = me + 1, newest[SLOTS] = {0};
    int reader = mf_epoch_join(&epoch);
    mf_epoch_online(&epoch, reader);
    uint64_t i = 0;
    bool fresh = true; /* just online: it looks where the writer writes most, and stays there a while */
    for (; i < reads || !mf_load_relaxed(&written); i++) {
        uint64_t r = next_random(&random), at = fresh ? 0 : r % SLOTS;
        /* Pairs with the release in publish. */
        struct thing *thing = mf_load_acquire(&slots[at]);
        if (fresh || (r >> 32 & 255) == 0)
            sched_yield();
        fresh = false;
        MUST(thing->magic == MAGIC && thing->twice == thing->number * 2);
        MUST(thing->number >= newest[at]); /* never back in time */
        newest[at] = thing->number;
        if (r >> 40 & 7)
            continue;
        /* Pairs with the release in watch: what was retired before the question is seen as unlinked. */
        uint64_t question = mf_load_acquire(&asked);
        if (r >> 43 & 3) {
            mf_epoch_quiesce(&epoch, reader);
        } else if (r >> 47 & 3) {
            mf_epoch_offline(&epoch, reader);
            fresh = true;
            for (uint64_t k = r >> 52 & 7; k > 4; k--) /* now and then all are offline */
                sched_yield();
            mf_epoch_online(&epoch, reader);
        } else {
            mf_epoch_leave(&epoch, reader);
            reader = mf_epoch_join(&epoch);
            mf_epoch_online(&epoch, reader);
        }
        mf_store_release(&passed[me], question); /* pairs with the acquire in watch */
    }
    mf_epoch_leave(&epoch, reader);
    mf_store_release(&passed[me], UINT64_MAX);
    atomic_fetch_add(&n_reads, i);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static uint64_t n_retired, most_waiting;

static void publish(uint64_t slot, uint64_t number)
{
    struct thing *old = mf_load_relaxed(&slots[slot]); /* our own store */
    /* Pairs with the acquire in read_things. */
    mf_store_release(&slots[slot], new_thing(number));
    mf_epoch_retire(&epoch, &old->entry, on_free);
    n_retired++;
}

/* What was retired before the question is freed by the first reclaim after every reader has answered. */
static void watch(void)
{
    static uint64_t question, mark;
    bool all = true;
    for (int i = 0; i < READERS; i++)
        all = all && mf_load_acquire(&passed[i]) >= question;
    size_t left = mf_epoch_reclaim(&epoch);
    MUST(left == n_retired - n_freed);
    if (left > most_waiting)
        most_waiting = left;
    if (!all)
        return;
    MUST(n_freed >= mark);
    mark = n_retired;
    mf_store_release(&asked, ++question);
}

int main(int argc, char **argv)
{
    pthread_t threads[READERS];
    uint64_t random = 99, writes = 0, n = operations(argc, argv, 1200000);
    reads = n / READERS;
    poison_what_is_freed();
    mf_epoch_init(&epoch);
    for (int i = 0; i < SLOTS; i++)
        mf_store_relaxed(&slots[i], new_thing(0));
    atomic_store(&running, READERS);
    for (uintptr_t i = 0; i < READERS; i++)
        start(&threads[i], read_things, (void *)i);
    while (atomic_load(&running)) {
        uint64_t r = next_random(&random);
        publish(r >> 40 & 1 ? 0 : r % SLOTS, ++writes);
        if (writes == n / 16)
            mf_store_release(&written, 1);
        if (r >> 32 & 1)
            watch();
    }
    for (int i = 0; i < READERS; i++)
        join(threads[i]);
    for (int i = 0; i < SLOTS; i++)
        mf_epoch_retire(&epoch, &mf_load_relaxed(&slots[i])->entry, on_free);
    MUST(mf_epoch_reclaim(&epoch) == 0);
    MUST(n_freed == writes + SLOTS);
    printf("  %llu freed, at most %llu waited\n", (unsigned long long)n_freed, (unsigned long long)most_waiting);
    return torture_end("table/torture_epoch", n_reads + writes);
}
