/* breaker: as many as may be, and no more. */
#include "table/breaker.h"
#include "table/mesh.h"

static void test_bounds(void)
{
    struct mf_breaker breaker = {0};
    for (int i = 0; i < 1000; i++)
        CHECK(mf_breaker_take(&breaker, MF_BREAKER_REQUESTS)); /* no bound */
    struct mf_breaker_rules rules = {.most = {[MF_BREAKER_REQUESTS] = 2, [MF_BREAKER_PENDING] = 1}, .connect_ms = 7};
    mf_breaker_set(&breaker, &rules);
    CHECK_INT(mf_load_relaxed(&breaker.connect_ms), 7);
    CHECK(!mf_breaker_take(&breaker, MF_BREAKER_REQUESTS)); /* those that are there stay */
    for (int i = 0; i < 999; i++)
        mf_breaker_give(&breaker, MF_BREAKER_REQUESTS);
    CHECK(mf_breaker_take(&breaker, MF_BREAKER_REQUESTS));
    CHECK(!mf_breaker_take(&breaker, MF_BREAKER_REQUESTS));
    CHECK_INT(mf_load_relaxed(&breaker.overflows[MF_BREAKER_REQUESTS]), 2);
    CHECK(mf_breaker_take(&breaker, MF_BREAKER_PENDING));
    CHECK(!mf_breaker_take(&breaker, MF_BREAKER_PENDING));
    CHECK_INT(mf_load_relaxed(&breaker.overflows[MF_BREAKER_PENDING]), 1);
    mf_breaker_give(&breaker, MF_BREAKER_REQUESTS);
    CHECK(mf_breaker_take(&breaker, MF_BREAKER_REQUESTS));
    mf_breaker_set(&breaker, NULL);
    CHECK(mf_breaker_take(&breaker, MF_BREAKER_REQUESTS));
    CHECK_INT(mf_load_relaxed(&breaker.now[MF_BREAKER_REQUESTS]), 3);
    CHECK_INT(mf_load_relaxed(&breaker.connect_ms), 0);
}

int main(void)
{
    test_bounds();
    return test_end("table/breaker");
}
