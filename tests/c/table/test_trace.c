/* trace: what is remembered, for how long, and what has to go. */
#include "table/trace.h"
#include "base/err.h"
#include "test.h"

#include <errno.h>
#include <unistd.h>

static struct mf_slice S(const char *text)
{
    return mf_slice_str(text);
}

static int put(struct mf_trace *trace, const char *id, uint32_t label, const char *value, uint64_t now)
{
    bool evicted;
    return mf_trace_put(trace, guarded(S(id)), label, S(value), now, &evicted);
}

/* The value, "" when there is none. Not written past. */
static struct mf_slice find(struct mf_trace *trace, const char *id, uint32_t label, uint64_t now)
{
    static uint8_t out[MF_TRACE_VALUE];
    int len = mf_trace_find(trace, guarded(S(id)), label, now, out);
    CHECK(len >= 0);
    return mf_slice_of(out, (size_t)len);
}

static void test_life(void)
{
    struct mf_trace *trace;
    CHECK_INT(mf_trace_new(64, 100, &trace), 0);
    CHECK_STR(find(trace, "t", 0, 1), "");
    CHECK_INT(put(trace, "t", 0, "red", 1), MF_TRACE_STORED);
    CHECK_STR(find(trace, "t", 0, 1), "red");
    CHECK_STR(find(trace, "t", 1, 1), ""); /* another label */
    CHECK_STR(find(trace, "tt", 0, 1), "");
    CHECK_STR(find(trace, "", 0, 1), "");
    CHECK_STR(find(trace, "t", 0, 100), "red");
    CHECK_STR(find(trace, "t", 0, 101), ""); /* too old */
    CHECK_INT(put(trace, "t", 0, "red", 50), MF_TRACE_REFRESHED);
    CHECK_STR(find(trace, "t", 0, 149), "red");
    CHECK_INT(put(trace, "t", 0, "blue", 60), MF_TRACE_CONFLICT);
    CHECK_STR(find(trace, "t", 0, 60), "blue");
    CHECK_INT(put(trace, "t", 0, "green", 160), MF_TRACE_STORED); /* the old one had ended */
    CHECK_INT(put(trace, "t", 0, "green", 260), MF_TRACE_STORED);
    CHECK_INT(put(trace, "t", 1, "z", 260), MF_TRACE_STORED);
    CHECK_STR(find(trace, "t", 0, 260), "green");
    mf_trace_free(trace);
}

static void test_lengths(void)
{
    struct mf_trace *trace;
    char longest[MF_TRACE_ID + 2];
    bool evicted;
    CHECK_INT(mf_trace_new(8, 100, &trace), 0);
    memset(longest, 'x', sizeof longest);
    longest[MF_TRACE_ID] = 0;
    CHECK_INT(put(trace, longest, 0, longest, 1), MF_TRACE_STORED);
    CHECK_STR(find(trace, longest, 0, 1), longest);
    longest[MF_TRACE_ID - 1] = 0; /* a shorter one of the same bytes */
    CHECK_STR(find(trace, longest, 0, 1), "");
    memset(longest, 'x', sizeof longest - 1);
    longest[MF_TRACE_ID + 1] = 0;
    CHECK_INT(put(trace, longest, 0, "v", 1), MF_ELIMIT);
    CHECK_INT(put(trace, "id", 0, longest, 1), MF_ELIMIT);
    CHECK_INT(put(trace, "", 0, "v", 1), MF_ELIMIT);
    CHECK_INT(put(trace, "id", 0, "", 1), MF_ELIMIT);
    CHECK_STR(find(trace, longest, 0, 1), "");
    /* Zero bytes at the end of an id are part of it. */
    CHECK_INT(mf_trace_put(trace, mf_slice_of("a\0", 2), 0, S("two"), 1, &evicted), MF_TRACE_STORED);
    CHECK_STR(find(trace, "a", 0, 1), "");
    mf_trace_free(trace);
}

/* One set of eight: the ninth makes the one go that would end first, and an ended one before a live one. */
static void test_eviction(void)
{
    struct mf_trace *trace;
    char id[16];
    bool evicted;
    CHECK_INT(mf_trace_new(1, 100, &trace), 0);
    for (int i = 0; i < 8; i++) {
        snprintf(id, sizeof id, "id%d", i);
        CHECK_INT(mf_trace_put(trace, S(id), 0, S("v"), (uint64_t)(i == 5 ? 1 : 10 + i), &evicted), MF_TRACE_STORED);
        CHECK(!evicted);
    }
    CHECK_INT(mf_trace_put(trace, S("new"), 0, S("v"), 50, &evicted), MF_TRACE_STORED);
    CHECK(evicted);
    CHECK_STR(find(trace, "id5", 0, 50), "");
    CHECK_STR(find(trace, "id0", 0, 50), "v");
    CHECK_INT(mf_trace_put(trace, S("newer"), 0, S("v"), 111, &evicted), MF_TRACE_STORED); /* id0 ended at 110 */
    CHECK(!evicted);
    CHECK_STR(find(trace, "new", 0, 111), "v");
    mf_trace_free(trace);
}

static void test_many(void)
{
    enum { N = 2000 };
    struct mf_trace *trace;
    char id[40], value[16];
    int lost = 0, wrong = 0;
    CHECK_INT(mf_trace_new(4 * N, 1000, &trace), 0);
    for (int i = 0; i < N; i++) {
        snprintf(id, sizeof id, "4bf92f3577b34da6a3ce929d0e0e%04x", i);
        snprintf(value, sizeof value, "env%d", i);
        bool evicted;
        CHECK_INT(mf_trace_put(trace, S(id), i % 3, S(value), 1, &evicted), MF_TRACE_STORED);
    }
    for (int i = 0; i < N; i++) {
        uint8_t out[MF_TRACE_VALUE];
        snprintf(id, sizeof id, "4bf92f3577b34da6a3ce929d0e0e%04x", i);
        snprintf(value, sizeof value, "env%d", i);
        int len = mf_trace_find(trace, S(id), i % 3, 2, out);
        lost += len == 0;
        wrong += len != 0 && !mf_slice_eq(mf_slice_of(out, (size_t)len), S(value));
    }
    CHECK_INT(wrong, 0);
    CHECK(lost < N / 100); /* at a quarter full a set of 8 hardly ever overflows */
    mf_trace_free(trace);
    fail_at(1);
    CHECK_INT(mf_trace_new(1, 1, &trace), -ENOMEM);
    fail_at(0);
}

static long resident_pages(void)
{
    long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    CHECK(file && fscanf(file, "%ld %ld", &all, &resident) == 2);
    if (file)
        fclose(file);
    return resident;
}

/* Room is set aside, not taken: 150 MiB of it. (A sanitizer's own shadow of it may be.) */
static void test_unused_room(void)
{
    struct mf_trace *trace;
    long before = resident_pages();
    CHECK_INT(mf_trace_new(1 << 20, 1, &trace), 0);
    CHECK((resident_pages() - before) * sysconf(_SC_PAGESIZE) < 50 << 20);
    mf_trace_free(trace);
}

int main(void)
{
    test_unused_room();
    test_life();
    test_lengths();
    test_eviction();
    test_many();
    return test_end("table/trace");
}
