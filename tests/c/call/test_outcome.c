/* outcome, health, dispatch, limits, counters: what errors become, and as which Dubbo status; timeouts, backoff; the table of limits. */
#include "base/err.h"
#include "call/dispatch.h"
#include "codec/dubbo.h"
#include "protocol/dubbo_code.h"
#include "test.h"

#include <errno.h>

static void test_outcomes(void)
{
    struct {
        int rc, status;
    } rows[] = {
        {MF_EROUTE_SERVICE, 60}, {MF_EROUTE_RULE, 60},    {MF_EDUBBO_OPAQUE, 60}, {MF_EROUTE_PEER, 80},
        {MF_EROUTE_DOWN, 80},    {MF_EROUTE_FULL, 100},    {-ETIMEDOUT, 31},        {-ENOMEM, 100},
        {MF_ELIMIT, 100},        {MF_EH2_LIST, 40},       {MF_EROUTE_BUSY, 100},
        {MF_EHESSIAN_DEPTH, 40}, {MF_EDUBBO_SIZE, 40},    {MF_EHESSIAN_SHORT, 40}, {-ECONNRESET, 35},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mf_fault fault = mf_outcome_of(rows[i].rc);
        CHECK_INT(mf_dubbo_code(fault.outcome), rows[i].status);
        CHECK(fault.text && fault.text[0]);
    }
    for (int outcome = 0; outcome < MF_OUTCOMES; outcome++) {
        CHECK(strcmp(mf_outcome_name((enum mf_outcome)outcome), "other") != 0);
        if (outcome != MF_OUTCOME_CANCELLED) /* nobody is told that */
            CHECK_INT(mf_dubbo_code_stats[outcome], mf_stat_status_index(mf_dubbo_code((enum mf_outcome)outcome)));
    }
    CHECK(strcmp(mf_outcome_name(MF_OUTCOMES), "other") == 0);
    /* Two shards side by side: what is written of one is on no line of the other's. */
    CHECK(sizeof(struct mf_stat_shard) - offsetof(struct mf_stat_shard, outcome[MF_OUTCOMES - 1]) >= MF_CACHE_LINE);
    CHECK_INT(mf_dubbo_code_outcome(20), MF_OUTCOME_OK);
    CHECK_INT(mf_dubbo_code_outcome(70), MF_OUTCOME_REMOTE_ERROR);
}

static void test_waits(void)
{
    struct mf_limits limits;
    mf_limits_default(&limits);
    CHECK_INT(mf_dispatch_timeout(-1, 0, &limits), 60000);
    CHECK_INT(mf_dispatch_timeout(1000, 0, &limits), 1000);
    CHECK_INT(mf_dispatch_timeout(1000, 300, &limits), 300);
    CHECK_INT(mf_dispatch_timeout(100, 300, &limits), 100);
    CHECK_INT(mf_dispatch_timeout(0, 300, &limits), 300);
    CHECK_INT(mf_dispatch_timeout(INT64_MAX, 0, &limits), 3600000); /* "for ever" is not "at once" */
    CHECK_INT(mf_dispatch_timeout(3600001, 0, &limits), 3600000);
    CHECK_INT(mf_dispatch_timeout(-1, 7200000, &limits), 7200000); /* a rule's is the operator's */
    CHECK_INT(mf_dispatch_timeout(INT64_MAX, 300, &limits), 300);
    CHECK_INT(mf_health_backoff(1, &limits), 250000000);
    CHECK_INT(mf_health_backoff(3, &limits), 1000000000);
    CHECK_INT(mf_health_backoff(1000, &limits), 1000000000);
}

static void test_health(void)
{
    struct mf_limits limits;
    struct mf_health health = {0};
    mf_limits_default(&limits);
    CHECK(!mf_health_alive(&health));
    CHECK_INT(mf_health_failed(&health, 5, &limits), 250000005);
    CHECK_INT(mf_health_failed(&health, 5, &limits), 500000005);
    CHECK_INT(mf_health_tried(&health, 7, &limits), 500000007);
    CHECK_INT(mf_health_rest(7, &limits), 250000007);
    CHECK(mf_health_alive(&health));
    CHECK_INT(mf_health_failed(&health, 0, &limits), 250000000);
}

static void test_limits(void)
{
    struct mf_limits limits;
    mf_limits_default(&limits);
    CHECK_INT(mf_limits_set(&limits, "maxBody", 1000), 0);
    CHECK_INT(limits.max_body, 1000);
    CHECK_INT(mf_limits_set(&limits, "maxBody", 1), MF_ELIMIT);
    CHECK_INT(limits.max_body, 1000);
    CHECK_INT(mf_limits_set(&limits, "drainTimeout", 0), 0);
    CHECK_INT(limits.drain_timeout, 0);
    CHECK_INT(mf_limits_set(&limits, "max_body", 1000), -ENOENT);
    size_t n = 0;
    for (const struct mf_limit_info *info = mf_limits_table(); info->name; info++, n++)
        CHECK(info->value >= info->least);
    CHECK_INT(n, sizeof limits / sizeof(uint64_t));
    n = 0;
    for (const struct mf_counter_info *info = mf_counters_table(); info->name; info++, n++)
        CHECK(strcmp(info->kind, "counter") == 0 || strcmp(info->kind, "gauge") == 0);
    CHECK_INT(n, sizeof(struct mf_counters) / sizeof(mf_atom64));
}

int main(void)
{
    test_outcomes();
    test_waits();
    test_health();
    test_limits();
    return test_end("outcome");
}
