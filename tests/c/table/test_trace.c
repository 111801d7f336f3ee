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
    struct mf_trace_entry entry = {.id = guarded(S(id)), .value = S(value), .label = label};
    return mf_trace_put(trace, &entry, now, &evicted);
}

static int replace(struct mf_trace *trace, const char *id, const char *value, uint64_t now)
{
    bool evicted;
    struct mf_trace_entry entry = {.id = S(id), .value = S(value), .replace = true};
    return mf_trace_put(trace, &entry, now, &evicted);
}

/* Whether a live entry had to go for one of `caller`. */
static bool evicts(struct mf_trace *trace, const char *id, uint32_t caller, uint64_t now)
{
    bool evicted;
    struct mf_trace_entry entry = {.id = S(id), .value = S("v"), .caller = caller};
    CHECK_INT(mf_trace_put(trace, &entry, now, &evicted), MF_TRACE_STORED);
    return evicted;
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
    CHECK_INT(put(trace, "t", 0, "blue", 60), MF_TRACE_CONFLICT); /* the first stays, */
    CHECK_STR(find(trace, "t", 0, 149), "red");
    CHECK_STR(find(trace, "t", 0, 150), ""); /* and no longer than it would have */
    CHECK_INT(put(trace, "t", 0, "blue", 149), MF_TRACE_CONFLICT);
    CHECK_INT(put(trace, "t", 0, "blue", 150), MF_TRACE_STORED); /* the first one has ended */
    CHECK_STR(find(trace, "t", 0, 150), "blue");
    CHECK_INT(replace(trace, "t", "red", 151), MF_TRACE_CONFLICT);
    CHECK_STR(find(trace, "t", 0, 250), "red"); /* with a time of its own */
    CHECK_INT(replace(trace, "t", "red", 152), MF_TRACE_REFRESHED);
    CHECK_INT(replace(trace, "t", "blue", 152), MF_TRACE_CONFLICT);
    CHECK_INT(put(trace, "t", 0, "green", 252), MF_TRACE_STORED); /* the old one had ended */
    CHECK_INT(put(trace, "t", 0, "green", 352), MF_TRACE_STORED);
    CHECK_INT(put(trace, "t", 1, "z", 352), MF_TRACE_STORED);
    CHECK_STR(find(trace, "t", 0, 352), "green");
    mf_trace_free(trace);
}

static void test_lengths(void)
{
    struct mf_trace *trace;
    char longest[MF_TRACE_ID + 2];
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
    bool evicted;
    struct mf_trace_entry odd = {.id = mf_slice_of("a\0", 2), .value = S("two")};
    CHECK_INT(mf_trace_put(trace, &odd, 1, &evicted), MF_TRACE_STORED);
    CHECK_STR(find(trace, "a", 0, 1), "");
    mf_trace_free(trace);
}

/* One set of eight: the ninth makes the one go that would end first, and an ended one before a live one. */
static void test_eviction(void)
{
    struct mf_trace *trace;
    char id[16];
    CHECK_INT(mf_trace_new(1, 100, &trace), 0);
    for (int i = 0; i < 8; i++) {
        snprintf(id, sizeof id, "id%d", i);
        CHECK(!evicts(trace, id, 7, (uint64_t)(i == 5 ? 1 : 10 + i)));
    }
    CHECK(evicts(trace, "new", 7, 50));
    CHECK_STR(find(trace, "id5", 0, 50), "");
    CHECK_STR(find(trace, "id0", 0, 50), "v");
    CHECK(!evicts(trace, "newer", 7, 111)); /* id0 ended at 110 */
    CHECK_STR(find(trace, "new", 0, 111), "v");
    mf_trace_free(trace);
}

/* How many of `prefix`0 to 7 are known. */
static int known(struct mf_trace *trace, const char *prefix, uint64_t now)
{
    char id[16];
    int n = 0;
    for (int i = 0; i < 8; i++) {
        snprintf(id, sizeof id, "%s%d", prefix, i);
        n += find(trace, id, 0, now).len > 0;
    }
    return n;
}

/* In one set: who has most gives way, the one who comes before others, and with their own oldest. */
static void test_callers_share_a_set(void)
{
    struct mf_trace *trace;
    char id[24];
    CHECK_INT(mf_trace_new(1, 1000, &trace), 0);
    for (int i = 0; i < 8; i++) { /* alone one may have all */
        snprintf(id, sizeof id, "a%d", i);
        CHECK(!evicts(trace, id, 1, (uint64_t)(i + 1)));
    }
    for (int i = 0; i < 8; i++) { /* another gets half, however much it brings */
        snprintf(id, sizeof id, "b%d", i);
        CHECK(evicts(trace, id, 2, (uint64_t)(i + 10)));
    }
    CHECK_INT(known(trace, "a", 20), 4);
    CHECK_INT(known(trace, "b", 20), 4);
    CHECK_STR(find(trace, "a3", 0, 20), ""); /* the oldest went */
    CHECK_STR(find(trace, "a4", 0, 20), "v");
    CHECK_STR(find(trace, "b3", 0, 20), "");
    CHECK(evicts(trace, "c0", 3, 30)); /* a third takes from one of those who have most: the oldest there */
    CHECK_STR(find(trace, "a4", 0, 30), "");
    for (int i = 0; i < 100; i++) {
        snprintf(id, sizeof id, "flood%d", i);
        CHECK(evicts(trace, id, 2, (uint64_t)(31 + i)));
    }
    CHECK_INT(known(trace, "a", 200), 3);
    CHECK_INT(known(trace, "c", 200), 1);
    mf_trace_free(trace);

    CHECK_INT(mf_trace_new(1, 1000, &trace), 0);
    for (uint32_t i = 0; i < 8; i++) { /* eight callers, one each */
        snprintf(id, sizeof id, "o%u", i);
        CHECK(!evicts(trace, id, 10 + i, 1 + i));
    }
    for (int i = 0; i < 100; i++) { /* a ninth gets one, and has no more than that */
        snprintf(id, sizeof id, "n%d", i);
        CHECK(evicts(trace, id, 99, (uint64_t)(50 + i)));
    }
    CHECK_INT(known(trace, "o", 200), 7);
    CHECK_STR(find(trace, "n99", 0, 200), "v");
    mf_trace_free(trace);
}

/* One caller's flood in all sets: what the others' traces remembered stays, whether they came before or come late. */
static void test_flood(void)
{
    enum { FLOOD = 90000, CALLERS = 50, EACH = 50 };
    struct mf_trace *trace;
    char id[40];
    int lost = 0;
    CHECK_INT(mf_trace_new(65536, 1 << 20, &trace), 0);
    for (int i = 0; i < FLOOD; i++) {
        snprintf(id, sizeof id, "flood-%d", i);
        (void)evicts(trace, id, 1, 10 + (uint64_t)i);
        if (i % (FLOOD / EACH) == 0) {
            for (uint32_t caller = 2; caller < 2 + CALLERS; caller++) {
                snprintf(id, sizeof id, "%u-%d", caller, i);
                (void)evicts(trace, id, caller, 10 + (uint64_t)i);
            }
        }
    }
    for (int i = 0; i < FLOOD; i += FLOOD / EACH) {
        for (uint32_t caller = 2; caller < 2 + CALLERS; caller++) {
            snprintf(id, sizeof id, "%u-%d", caller, i);
            lost += find(trace, id, 0, FLOOD).len == 0;
        }
    }
    CHECK_INT(lost, 0);
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
        CHECK_INT(put(trace, id, (uint32_t)i % 3, value, 1), MF_TRACE_STORED);
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
    test_callers_share_a_set();
    test_flood();
    test_many();
    return test_end("table/trace");
}
