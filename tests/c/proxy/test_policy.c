/* policy: what errors become, timeouts, backoff; and the table of limits. */
#include "base/err.h"
#include "codec/dubbo.h"
#include "proxy/engine.h"
#include "proxy/policy.h"
#include "test.h"

#include <errno.h>

static void test_faults(void)
{
    struct {
        int rc;
        enum mf_side side;
        int status;
    } rows[] = {
        {MF_EROUTE_SERVICE, MF_SIDE_UPSTREAM, 60},     {MF_EROUTE_RULE, MF_SIDE_UPSTREAM, 60},
        {MF_EDUBBO_OPAQUE, MF_SIDE_OURS, 60},          {MF_EROUTE_PEER, MF_SIDE_UPSTREAM, 80},
        {MF_EROUTE_DOWN, MF_SIDE_UPSTREAM, 80},        {-ETIMEDOUT, MF_SIDE_UPSTREAM, 31},
        {-ENOMEM, MF_SIDE_OURS, 100},                  {MF_ELIMIT, MF_SIDE_OURS, 100},
        {MF_EHESSIAN_DEPTH, MF_SIDE_DOWNSTREAM, 40},   {MF_EDUBBO_SIZE, MF_SIDE_DOWNSTREAM, 40},
        {MF_EHESSIAN_SHORT, MF_SIDE_DOWNSTREAM, 40},   {-ECONNRESET, MF_SIDE_UPSTREAM, 35},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mf_fault fault = mf_fault_of(rows[i].rc, rows[i].side);
        CHECK_INT(fault.status, rows[i].status);
        CHECK_INT(fault.rc, rows[i].rc);
        CHECK(fault.text && fault.text[0]);
    }
    CHECK_INT(mf_fault_of(MF_EDUBBO_MAGIC, MF_SIDE_DOWNSTREAM).scope, MF_SCOPE_CONNECTION);
}

static void test_waits(void)
{
    struct mf_limits limits;
    mf_limits_default(&limits);
    CHECK_INT(mf_policy_timeout(-1, 0, &limits), 60000);
    CHECK_INT(mf_policy_timeout(1000, 0, &limits), 1000);
    CHECK_INT(mf_policy_timeout(1000, 300, &limits), 300);
    CHECK_INT(mf_policy_timeout(100, 300, &limits), 100);
    CHECK_INT(mf_policy_timeout(0, 300, &limits), 300);
    CHECK_INT(mf_policy_timeout(INT64_MAX, 0, &limits), INT32_MAX); /* "for ever" is not "at once" */
    CHECK_INT(mf_policy_timeout(INT64_MAX, 300, &limits), 300);
    CHECK_INT(mf_policy_backoff(1, &limits), 1000000000);
    CHECK_INT(mf_policy_backoff(3, &limits), 4000000000);
    CHECK_INT(mf_policy_backoff(1000, &limits), 30000000000);
    CHECK_INT(mf_policy_frame_wait(0, &limits), 10000000000);
    CHECK(mf_policy_frame_wait(8388608, &limits) > 100000000000);
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
    for (const struct mf_limit_info *info = mf_limit_table(); info->name; info++, n++)
        CHECK(info->value >= info->least);
    CHECK_INT(n, sizeof limits / sizeof(uint64_t));
    n = 0;
    for (const struct mf_counter_info *info = mf_counter_table(); info->name; info++, n++)
        CHECK(strcmp(info->kind, "counter") == 0 || strcmp(info->kind, "gauge") == 0);
    CHECK_INT(n, sizeof(struct mf_counters) / sizeof(mf_atom64));
}

int main(void)
{
    test_faults();
    test_waits();
    test_limits();
    return test_end("policy");
}
