/* ring, recorded: pushes and pops of two threads. */
#include "base/ring.h"
#include "table/history.h"

static struct mf_ring ring;
static uint64_t records;

static void *push_all(void *arg)
{
    (void)arg;
    for (uint64_t i = 1; i <= records; i++) {
        RECORD(&histories[0], "push", 0, i, mf_ring_push(&ring, &i) == 0);
        if (!histories[0].operations[i - 1].result)
            sched_yield();
    }
    return NULL;
}

static long long pop(void)
{
    uint64_t number;
    return mf_ring_pop(&ring, &number) ? (long long)number : 0;
}

static void *pop_all(void *arg)
{
    (void)arg;
    for (uint64_t i = 0; i < records; i++) {
        RECORD(&histories[1], "pop", 0, 0, pop());
        if (!histories[1].operations[i].result)
            sched_yield();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[2];
    records = operations(argc, argv, 40000) / 2;
    if (mf_ring_init(&ring, sizeof(uint64_t), 4) != 0)
        return 1;
    history_room(&histories[0], records);
    history_room(&histories[1], records);
    start(&threads[0], push_all, NULL);
    start(&threads[1], pop_all, NULL);
    join(threads[0]);
    join(threads[1]);
    mf_ring_dispose(&ring);
    return history_end("ring");
}
