/* tally: each key has its own place, as long as there are places; the rest share one of each kind. */
#include "call/tally.h"

#include "base/mem.h"
#include "test.h"

static struct mf_stat_shard *find(struct mf_tally *tally, uint8_t kind, const char *first, const char *second, enum mf_tally_place want)
{
    enum mf_tally_place over;
    struct mf_stat_shard *found =
        mf_tally_find(tally, kind, mf_slice_str(first), mf_slice_str(second), &over);
    CHECK_INT(over, want);
    CHECK(found != NULL);
    return found;
}

static void test_places(void)
{
    struct mf_tally tally;
    CHECK_INT(mf_tally_init(&tally, 3, 0, 7), 0);
    uint32_t at = 0;
    CHECK(mf_tally_next(&tally, &at) == NULL);

    struct mf_stat_shard *a = find(&tally, 0, "s", "ab", MF_TALLY_OWN), *b = find(&tally, 0, "sa", "b", MF_TALLY_OWN);
    struct mf_stat_shard *c = find(&tally, 1, "s", "ab", MF_TALLY_OWN);
    CHECK(a != b && a != c && b != c);
    CHECK(find(&tally, 0, "s", "ab", MF_TALLY_OWN) == a && find(&tally, 0, "s", "ab", MF_TALLY_OWN) == a);
    struct mf_stat_shard *others = find(&tally, 0, "t", "", MF_TALLY_OTHERS);
    CHECK(find(&tally, 0, "u", "x", MF_TALLY_OTHERS) == others);
    CHECK(find(&tally, 1, "u", "x", MF_TALLY_OTHERS) != others);
    CHECK(find(&tally, 0, "sa", "b", MF_TALLY_OWN) == b); /* those that are there stay */

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

/* One first name takes no more than its part. */
static void test_each(void)
{
    struct mf_tally tally;
    CHECK_INT(mf_tally_init(&tally, 4, 2, 7), 0);
    struct mf_stat_shard *a = find(&tally, 0, "s", "a", MF_TALLY_OWN), *b = find(&tally, 0, "s", "", MF_TALLY_OWN);
    struct mf_stat_shard *rest = find(&tally, 0, "s", "c", MF_TALLY_REST);
    CHECK(a != b && rest != a && rest != b && find(&tally, 0, "s", "d", MF_TALLY_REST) == rest);
    CHECK(find(&tally, 1, "s", "c", MF_TALLY_OWN) != rest); /* of another kind */
    CHECK(find(&tally, 0, "t", "a", MF_TALLY_OWN) != a);
    struct mf_stat_shard *others = find(&tally, 0, "t", "b", MF_TALLY_OTHERS); /* there are no more places */
    CHECK(find(&tally, 0, "u", "a", MF_TALLY_OTHERS) == others && find(&tally, 0, "s", "e", MF_TALLY_REST) == rest);
    CHECK(find(&tally, 0, "s", "a", MF_TALLY_OWN) == a && find(&tally, 0, "s", "", MF_TALLY_OWN) == b);
    int n = 0, n_rest = 0;
    const struct mf_tallied *one;
    mf_count(&rest->begun, 1);
    for (uint32_t at = 0; (one = mf_tally_next(&tally, &at)); n++) {
        n_rest += one->rest;
        if (one->rest)
            CHECK_STR(mf_tallied_first(one), "s");
    }
    CHECK_INT(n, 6);
    CHECK_INT(n_rest, 1);
    mf_tally_dispose(&tally);
}

static void test_none_and_many(void)
{
    struct mf_tally tally;
    CHECK_INT(mf_tally_init(&tally, 0, 0, 0), 0);
    find(&tally, 1, "s", "", MF_TALLY_OTHERS);
    mf_tally_dispose(&tally);

    char name[300];
    memset(name, 'x', sizeof name);
    enum mf_tally_place over;
    CHECK_INT(mf_tally_init(&tally, 100000, 0, 1), 0);
    CHECK(mf_tally_find(&tally, 0, mf_slice_of(name, 255), mf_slice_of(NULL, 0), &over) && !over);
    CHECK(mf_tally_find(&tally, 0, mf_slice_of(name, 256), mf_slice_of(NULL, 0), &over) && over);
    for (int i = 0; i < 2 * MF_TALLY_MOST; i++) {
        memcpy(name, &i, sizeof i);
        CHECK(mf_tally_find(&tally, 0, mf_slice_of(name, 8), mf_slice_of(NULL, 0), &over) && (over == MF_TALLY_OTHERS) == (i >= MF_TALLY_MOST - 1));
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
    enum mf_tally_place over;
    mf_mem_use(&(struct mf_mem_ops){scarce, realloc, free});
    CHECK_INT(mf_tally_init(&tally, 4, 0, 0), 0);
    dry = true;
    CHECK(mf_tally_find(&tally, 0, MF_SLICE("s"), MF_SLICE(""), &over) == NULL && over);
    dry = false;
    CHECK(mf_tally_find(&tally, 0, MF_SLICE("s"), MF_SLICE(""), &over) != NULL && !over);
    dry = true;
    struct mf_tally none;
    CHECK(mf_tally_init(&none, 4, 0, 0) < 0);
    mf_tally_dispose(&none);
    dry = false;
    mf_tally_dispose(&tally);
    mf_mem_use(NULL);
}

static int rationed;

static void *every_second(size_t size)
{
    return rationed++ % 2 ? NULL : malloc(size);
}

/* Rests without a key, as there was no memory for that, take no more places than there are. */
static void test_little_memory(void)
{
    struct mf_tally tally;
    enum mf_tally_place whose;
    CHECK_INT(mf_tally_init(&tally, 4, 2, 0), 0);
    mf_mem_use(&(struct mf_mem_ops){every_second, realloc, free});
    for (char name = 'a'; name <= 'z'; name++) {
        rationed = 0;
        mf_tally_find(&tally, 0, mf_slice_of(&name, 1), MF_SLICE("m"), &whose);
        CHECK_INT(whose, MF_TALLY_OTHERS);
    }
    mf_mem_use(NULL);
    mf_tally_dispose(&tally);
}

int main(void)
{
    test_places();
    test_each();
    test_none_and_many();
    test_no_memory();
    test_little_memory();
    return test_end("tally");
}
