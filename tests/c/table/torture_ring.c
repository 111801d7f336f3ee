/* ring under threads: every record arrives once, whole, in order, or its writer was told that the ring is full. */
#include "base/err.h"
#include "base/ring.h"
#include "table/torture.h"

struct record {
    uint64_t number, words[3];
};

static struct mf_ring ring;
static mf_atom32 done;
static uint64_t records, dropped;

static void *push_all(void *arg)
{
    (void)arg;
    for (uint64_t i = 1; i <= records; i++) {
        struct record record = {i, {i * 3, i * 5, i * 7}};
        int rc = mf_ring_push(&ring, &record);
        MUST(rc == 0 || rc == MF_ERING_FULL);
        if (rc == MF_ERING_FULL) {
            dropped++;
            sched_yield();
        }
    }
    /* Pairs with the acquire in main: `dropped` is final, and the last record is in. */
    mf_store_release(&done, 1);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t writer;
    uint64_t seen = 0, last = 0;
    records = operations(argc, argv, 600000);
    if (mf_ring_init(&ring, sizeof(struct record), 64) != 0)
        return 1;
    start(&writer, push_all, NULL);
    for (;;) {
        struct record record;
        uint32_t over = mf_load_acquire(&done); /* before the pop: after it the ring only gets emptier */
        if (mf_ring_pop(&ring, &record)) {
            MUST(record.number > last);
            MUST(record.words[0] == record.number * 3 && record.words[1] == record.number * 5 &&
                 record.words[2] == record.number * 7);
            last = record.number;
            seen++;
        } else if (over) {
            break;
        } else {
            sched_yield();
        }
    }
    join(writer);
    MUST(seen + dropped == records);
    mf_ring_dispose(&ring);
    return torture_end("table/torture_ring", records);
}
