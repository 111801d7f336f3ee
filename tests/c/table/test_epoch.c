/* epoch: nothing is freed before every online reader has been quiescent, everything after. */
#include "base/err.h"
#include "base/list.h"
#include "table/epoch.h"
#include "test.h"

struct thing {
    struct mf_epoch_entry entry;
    int *freed;
    struct mf_epoch *again; /* retires itself once more when freed */
};

static void on_free(struct mf_epoch_entry *entry)
{
    struct thing *thing = MF_CONTAINER(entry, struct thing, entry);
    ++*thing->freed;
    if (thing->again) {
        struct mf_epoch *epoch = thing->again;
        thing->again = NULL;
        mf_epoch_retire(epoch, entry, on_free);
    }
}

static void test_order(void)
{
    static struct mf_epoch epoch;
    int freed = 0;
    struct thing one = {.freed = &freed}, two = {.freed = &freed}, three = {.freed = &freed};
    mf_epoch_init(&epoch);
    CHECK_INT(mf_epoch_reclaim(&epoch), 0);
    int a = mf_epoch_join(&epoch), b = mf_epoch_join(&epoch);
    CHECK(a >= 0 && b >= 0 && a != b);

    mf_epoch_retire(&epoch, &one.entry, on_free);
    CHECK_INT(freed, 0); /* never at once */
    CHECK_INT(mf_epoch_reclaim(&epoch), 0);
    CHECK_INT(freed, 1); /* both readers are offline */

    mf_epoch_online(&epoch, a);
    mf_epoch_online(&epoch, b);
    mf_epoch_retire(&epoch, &two.entry, on_free);
    CHECK_INT(mf_epoch_reclaim(&epoch), 1);
    mf_epoch_quiesce(&epoch, a);
    CHECK_INT(mf_epoch_reclaim(&epoch), 1); /* b still holds it */
    mf_epoch_retire(&epoch, &three.entry, on_free);
    mf_epoch_offline(&epoch, b);
    CHECK_INT(mf_epoch_reclaim(&epoch), 1); /* a has seen two go, not three */
    CHECK_INT(freed, 2);
    mf_epoch_quiesce(&epoch, a);
    CHECK_INT(mf_epoch_reclaim(&epoch), 0);
    CHECK_INT(freed, 3);

    /* A reader that comes online later is no reason to wait for what was retired before. */
    mf_epoch_offline(&epoch, a);
    mf_epoch_retire(&epoch, &one.entry, on_free);
    mf_epoch_online(&epoch, a);
    CHECK_INT(mf_epoch_reclaim(&epoch), 0);
    CHECK_INT(freed, 4);
    mf_epoch_leave(&epoch, a);
    mf_epoch_leave(&epoch, b);
}

static void test_retire_while_freeing(void)
{
    static struct mf_epoch epoch;
    int freed = 0;
    struct thing thing = {.freed = &freed};
    mf_epoch_init(&epoch);
    thing.again = &epoch;
    mf_epoch_retire(&epoch, &thing.entry, on_free);
    CHECK_INT(mf_epoch_reclaim(&epoch), 1);
    CHECK_INT(freed, 1);
    CHECK_INT(mf_epoch_reclaim(&epoch), 0);
    CHECK_INT(freed, 2);
    thing.again = &epoch;
    mf_epoch_retire(&epoch, &thing.entry, on_free);
    mf_epoch_dispose(&epoch);
    CHECK_INT(freed, 4);
}

static void test_places(void)
{
    static struct mf_epoch epoch;
    mf_epoch_init(&epoch);
    for (int i = 0; i < MF_EPOCH_READERS; i++)
        CHECK_INT(mf_epoch_join(&epoch), i);
    CHECK_INT(mf_epoch_join(&epoch), MF_ELIMIT);
    mf_epoch_online(&epoch, 5);
    mf_epoch_leave(&epoch, 5);
    int freed = 0;
    struct thing thing = {.freed = &freed};
    mf_epoch_retire(&epoch, &thing.entry, on_free);
    CHECK_INT(mf_epoch_reclaim(&epoch), 0); /* who left is not waited for */
    CHECK_INT(freed, 1);
    CHECK_INT(mf_epoch_join(&epoch), 5);
}

int main(void)
{
    test_order();
    test_retire_while_freeing();
    test_places();
    return test_end("table/epoch");
}
