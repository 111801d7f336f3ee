#pragma once
/* bare: what calls and pools need of a worker, without one. */
#include "base/mem.h"
#include "call/call.h"
#include "test.h"

struct bare {
    struct mf_table *table;
    struct mf_limits limits;
    struct mf_local local;
    struct mf_calls calls;
};

static void bare_report(struct mf_local *local, enum mf_event_kind kind, int rc, const struct mf_addr *addr)
{
    (void)local;
    (void)kind;
    (void)rc;
    (void)addr;
}

/* On a loop that is the test's. */
static void open_bare(struct bare *bare, struct mf_loop *loop, uint64_t max_calls)
{
    memset(bare, 0, sizeof *bare);
    CHECK_INT(mf_table_new(&bare->table), 0);
    mf_limits_default(&bare->limits);
    if (max_calls)
        bare->limits.max_calls = max_calls;
    bare->local.limits = &bare->limits;
    bare->local.loop = loop;
    bare->local.table = bare->table;
    bare->local.random = 1;
    bare->local.report = bare_report;
    mf_list_init(&bare->local.conns);
    bare->local.reader = mf_epoch_join(mf_table_epoch(bare->table));
    CHECK(bare->local.reader >= 0);
    CHECK_INT(mf_calls_init(&bare->calls, &bare->local), 0);
}

static void close_bare(struct bare *bare)
{
    mf_calls_dispose(&bare->calls);
    mf_epoch_leave(mf_table_epoch(bare->table), bare->local.reader);
    mf_table_free(bare->table);
}
