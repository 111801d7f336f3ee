/* bench_guard: what outlier detection costs a call: an answer that is well, counted, and a choice while somebody is out. One
 * JSON object a line (bench.h). Names end in the number of instances. */
#include "bench.h"

#include "table/guard.h"
#include "table/table.h"

enum { MOST = 1000 };

struct job {
    struct mf_outlier outlier;
    struct mf_peer *peers[MOST];
    uint32_t n;
};

/* Answers of all instances in turn. */
static void count(void *arg, uint64_t n)
{
    struct job *job = arg;
    uint32_t at = 0;
    for (uint64_t i = 0; i < n; i++) {
        bench_sink += mf_outlier_count(&job->outlier, job->peers[at], 200, false, 1000).news;
        at = at + 1 == job->n ? 0 : at + 1;
    }
}

static void out(void *arg, uint64_t n)
{
    struct job *job = arg;
    uint32_t at = 0;
    for (uint64_t i = 0; i < n; i++) {
        bench_sink += mf_outlier_out(&job->outlier, job->peers[at], 1000);
        at = at + 1 == job->n ? 0 : at + 1;
    }
}

static void take(void *arg, uint64_t n)
{
    struct mf_breaker *breaker = arg;
    for (uint64_t i = 0; i < n; i++) {
        bench_sink += mf_breaker_take(breaker, MF_BREAKER_REQUESTS);
        mf_breaker_give(breaker, MF_BREAKER_REQUESTS);
    }
}

static void at(struct mf_table *table, uint32_t n)
{
    static struct job job;
    const struct mf_outlier_rules rules = {.errors = 1, .max_percent = 100, .interval = 1, .base = 1u << 30,
                                           .longest = 1u << 30};
    char name[64];
    job = (struct job){.n = n};
    for (uint32_t i = 0; i < n; i++) {
        struct mf_addr addr;
        snprintf(name, sizeof name, "10.0.%u.%u:80", i / 250, i % 250 + 1);
        bench_must(mf_addr_parse(mf_slice_str(name), &addr), "an address");
        job.peers[i] = mf_peer_intern(table, &addr);
    }
    mf_outlier_use(table, &job.outlier, mf_outlier_keep(&rules));
    bench_must(mf_outlier_enlist(table, &job.outlier, job.peers, n), "a list");
    snprintf(name, sizeof name, "guard.count/%u", n);
    bench_op(name, count, &job);
    mf_outlier_count(&job.outlier, job.peers[0], 500, false, 1000);
    snprintf(name, sizeof name, "guard.out/%u", n);
    bench_op(name, out, &job);
    mf_outlier_dismiss(&job.outlier, job.peers, n);
    mf_outlier_dispose(&job.outlier);
    for (uint32_t i = 0; i < n; i++)
        mf_peer_give(table, job.peers[i]);
}

int main(int argc, char **argv)
{
    struct mf_table *table;
    struct mf_breaker breaker = {0};
    bench_begin(argc, argv);
    bench_must(mf_table_new(&table), "a table");
    at(table, 3);
    at(table, MOST);
    bench_op("guard.take", take, &breaker);
    mf_table_free(table);
    return 0;
}
