/* trace under threads: a value found is one that was put for that id, whole, however sets are fought over. */
#include "base/err.h"
#include "table/torture.h"
#include "table/trace.h"

#include <errno.h>

enum { THREADS = 4, IDS = 64, WORDS = MF_TRACE_VALUE / 8 };

static struct mf_trace *trace;
static char ids[IDS][MF_TRACE_ID];
static uint64_t rounds; /* of each thread */
static mf_atom64 found, refused;

static void name_ids(void)
{
    for (unsigned i = 0; i < IDS; i++)
        snprintf(ids[i], sizeof ids[i], "trace-%u-%u", i, i * 7919);
}

static void *work(void *arg)
{
    uint64_t random = (uintptr_t)arg, hits = 0, busy = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t r = next_random(&random), number = r % IDS;
        uint64_t words[WORDS], now = 1000 + i / 100;
        struct mf_slice id = mf_slice_str(ids[number]);
        if (r >> 32 & 3) {
            int len = mf_trace_find(trace, id, (uint32_t)(number % 3), now, (uint8_t *)words);
            MUST(len == 0 || len == (int)(8 * (1 + (words[0] >> 40) % WORDS)));
            for (int w = 0; w < len / 8; w++)
                MUST(words[w] == words[0] && (words[0] & 0xffff) == number);
            hits += len > 0;
            continue;
        }
        uint64_t word = (r & ~UINT64_C(0xffff)) | number;
        for (int w = 0; w < WORDS; w++)
            words[w] = word;
        bool evicted;
        struct mf_trace_entry entry = {.id = id, .value = mf_slice_of(words, 8 * (1 + (word >> 40) % WORDS)),
                                       .label = (uint32_t)(number % 3), .caller = (uint32_t)(r >> 40 & 3),
                                       .replace = r >> 34 & 1};
        int rc = mf_trace_put(trace, &entry, now, &evicted);
        MUST(rc >= 0 || rc == -EAGAIN);
        busy += rc == -EAGAIN;
    }
    atomic_fetch_add(&found, hits);
    atomic_fetch_add(&refused, busy);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    rounds = operations(argc, argv, 600000) / THREADS;
    name_ids();
    if (mf_trace_new(32, 5, &trace) != 0) /* few sets, half as many entries as ids, a short life: all paths */
        return 1;
    for (uintptr_t i = 0; i < THREADS; i++)
        start(&threads[i], work, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
    MUST(found > rounds / 10);
    MUST(refused < rounds / 10);
    mf_trace_free(trace);
    return torture_end("table/torture_trace", (uint64_t)THREADS * rounds);
}
