/* trace, recorded: three threads remember and look for labels of the few ids that one set has room for. A put keeps the
 * first value, a turn replaces it. */
#include "base/err.h"
#include "table/history.h"
#include "table/trace.h"

#include <errno.h>

enum { THREADS = 3, IDS = 4 };

static struct mf_trace *trace;
static const char *const ids[IDS] = {"one", "two", "three", "four"};
static uint64_t rounds;

static long long find(uint64_t id)
{
    uint64_t words[MF_TRACE_VALUE / 8] = {0};
    int len = mf_trace_find(trace, mf_slice_str(ids[id]), 0, 1, (uint8_t *)words);
    for (int i = 1; i < len / 8; i++)
        MUST(words[i] == words[0]);
    return len ? (long long)words[0] : 0;
}

static int put(uint64_t id, uint64_t value, bool replace)
{
    uint64_t words[MF_TRACE_VALUE / 8];
    bool evicted;
    for (int i = 0; i < MF_TRACE_VALUE / 8; i++)
        words[i] = value;
    struct mf_trace_entry entry = {
        .id = mf_slice_str(ids[id]), .value = mf_slice_of(words, 8 * (1 + value % 8)), .replace = replace};
    int rc = mf_trace_put(trace, &entry, 1, &evicted);
    MUST(!evicted);
    return rc == -EAGAIN ? -1 : rc;
}

static void *work(void *arg)
{
    uint64_t me = (uintptr_t)arg, random = me + 77;
    for (uint64_t i = 0; i < rounds; i++) {
        uint64_t r = next_random(&random), id = r % IDS, value = 1 + (r >> 40) % 6;
        if (r >> 32 & 1)
            RECORD(&histories[me], "find", id, 0, find(id));
        else if (r >> 33 & 1)
            RECORD(&histories[me], "turn", id, value, put(id, value, true));
        else
            RECORD(&histories[me], "put", id, value, put(id, value, false));
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    rounds = operations(argc, argv, 40000) / THREADS;
    if (mf_trace_new(8, UINT64_C(1) << 60, &trace) != 0)
        return 1;
    for (uintptr_t i = 0; i < THREADS; i++) {
        history_room(&histories[i], rounds);
        start(&threads[i], work, (void *)i);
    }
    for (int i = 0; i < THREADS; i++)
        join(threads[i]);
    mf_trace_free(trace);
    return history_end("trace");
}
