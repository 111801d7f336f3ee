/* tally: each key has its own place, as long as there are places; the rest share one of each kind. */
#include "call/tally.h"

#include "base/mem.h"
#include "test.h"

static struct mf_stat_shard *find(struct mf_tally *tally, uint8_t kind, const char *first, const char *second, bool want_over)
{
    bool over;
    struct mf_stat_shard *found =
        mf_tally_find(tally, kind, mf_slice_str(first), mf_slice_str(second), &over);
    CHECK_INT(over, want_over);
    CHECK(found != NULL);
    return found;
}

static void test_places(void)
{
    struct mf_tally tally;
    CHECK_INT(mf_tally_init(&tally, 3, 7), 0);
    uint32_t at = 0;
    CHECK(mf_tally_next(&tally, &at) == NULL);

    struct mf_stat_shard *a = find(&tally, 0, "s", "ab", false), *b = find(&tally, 0, "sa", "b", false);
    struct mf_stat_shard *c = find(&tally, 1, "s", "ab", false);
    CHECK(a != b && a != c && b != c);
    CHECK(find(&tally, 0, "s", "ab", false) == a && find(&tally, 0, "s", "ab", false) == a);
    struct mf_stat_shard *others = find(&tally, 0, "t", "", true);
    CHECK(find(&tally, 0, "u", "x", true) == others);
    CHECK(find(&tally, 1, "u", "x", true) != others);
    CHECK(find(&tally, 0, "sa", "b", false) == b); /* those that are there stay */

    int n = 0, n_others = 0;
    const struct mf_tallied *one;
    for (at = 0; (one = mf_tally_next(&tally, &at)); n++) {
        n_others += one->other;
        if (&one->counts == b) {
            CHECK_STR(mf_tallied_first(one), "sa");
            CHECK_STR(mf_tallied_second(one), "b");
        }
    }
    CHECK_INT(n, 5);
    CHECK_INT(n_others, 2);
    mf_tally_dispose(&tally);
    mf_tally_dispose(&tally);
}

static void test_none_and_many(void)
{
    struct mf_tally tally;
    CHECK_INT(mf_tally_init(&tally, 0, 0), 0);
    find(&tally, 1, "s", "", true);
    mf_tally_dispose(&tally);

    char name[300];
    memset(name, 'x', sizeof name);
    bool over;
    CHECK_INT(mf_tally_init(&tally, 100000, 1), 0);
    CHECK(mf_tally_find(&tally, 0, mf_slice_of(name, 255), mf_slice_of(NULL, 0), &over) && !over);
    CHECK(mf_tally_find(&tally, 0, mf_slice_of(name, 256), mf_slice_of(NULL, 0), &over) && over);
    for (int i = 0; i < 2 * MF_TALLY_MOST; i++) {
        memcpy(name, &i, sizeof i);
        CHECK(mf_tally_find(&tally, 0, mf_slice_of(name, 8), mf_slice_of(NULL, 0), &over) && over == (i >= MF_TALLY_MOST - 1));
    }
    mf_tally_dispose(&tally);
}

static bool dry;

static void *scarce(size_t size)
{
    return dry ? NULL : malloc(size);
}

static void test_no_memory(void)
{
    struct mf_tally tally;
    bool over;
    mf_mem_use(&(struct mf_mem_ops){scarce, realloc, free});
    CHECK_INT(mf_tally_init(&tally, 4, 0), 0);
    dry = true;
    CHECK(mf_tally_find(&tally, 0, MF_SLICE("s"), MF_SLICE(""), &over) == NULL && over);
    dry = false;
    CHECK(mf_tally_find(&tally, 0, MF_SLICE("s"), MF_SLICE(""), &over) != NULL && !over);
    dry = true;
    struct mf_tally none;
    CHECK(mf_tally_init(&none, 4, 0) < 0);
    mf_tally_dispose(&none);
    dry = false;
    mf_tally_dispose(&tally);
    mf_mem_use(NULL);
}

int main(void)
{
    test_places();
    test_none_and_many();
    test_no_memory();
    return test_end("tally");
}
