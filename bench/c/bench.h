#pragma once
/* bench: times one primitive: pinned to a core, in rounds, one JSON object a line: least, median and most.
 *
 * 1. bench_begin with the program's arguments: --rounds N (15), --ms N (20) for one round, --cpu N (the last that we
 *    may use), --only PART of a name, --most N (grow.c: no size above it)
 * 2. bench_op for what can be called again and again; bench_rounds for what has to be prepared out of the clock
 * The least is what the machine can do when nothing else runs; the median is what is compared. */
#include "base/slice.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BENCH_ROUNDS = 200 };

static struct {
    int rounds, cpu, other; /* `other`: for a second thread; `cpu` itself where there is but one core */
    double ms;
    uint64_t most;
    const char *only;
} bench = {.rounds = 15, .cpu = -1, .other = -1, .ms = 20, .most = UINT64_MAX};

static volatile uint64_t bench_sink; /* what keeps a result from being optimised away */

static inline double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* CPU time of this thread: what others did meanwhile is not in it. Reading it is a system call. */
static inline double bench_cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline void bench_must(int rc, const char *what)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "%s failed: %d\n", what, rc);
    exit(1);
}

static inline void bench_pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0) {
        perror("cannot be pinned");
        exit(1);
    }
}

/* By default the last core that we may use, and the first one for `other`. */
static inline void bench_choose_cores(void)
{
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    for (int i = CPU_SETSIZE - 1; bench.cpu < 0 && i >= 0; i--)
        if (CPU_ISSET(i, &set))
            bench.cpu = i;
    bench.other = bench.cpu;
    for (int i = CPU_SETSIZE - 1; i >= 0; i--)
        if (CPU_ISSET(i, &set) && i != bench.cpu)
            bench.other = i;
}

static inline void bench_begin(int argc, char **argv)
{
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (value && !strcmp(argv[i], "--rounds"))
            bench.rounds = atoi(value);
        else if (value && !strcmp(argv[i], "--ms"))
            bench.ms = atof(value);
        else if (value && !strcmp(argv[i], "--cpu"))
            bench.cpu = atoi(value);
        else if (value && !strcmp(argv[i], "--most"))
            bench.most = strtoull(value, NULL, 10);
        else if (value && !strcmp(argv[i], "--only"))
            bench.only = value;
        else {
            fprintf(stderr, "usage: %s [--rounds N] [--ms N] [--cpu N] [--only PART] [--most N]\n", argv[0]);
            exit(2);
        }
    }
    if (bench.rounds < 1 || bench.rounds > BENCH_ROUNDS || bench.ms <= 0) {
        fprintf(stderr, "%s: 1 to %d rounds of more than 0 ms\n", argv[0], BENCH_ROUNDS);
        exit(2);
    }
    bench_choose_cores();
    bench_pin(bench.cpu);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

static inline bool bench_wanted(const char *name)
{
    return !bench.only || strstr(name, bench.only);
}

static inline int bench_by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static inline void bench_print(const char *name, const char *unit, double *rounds, int n)
{
    qsort(rounds, (size_t)n, sizeof *rounds, bench_by_number);
    double middle = n % 2 ? rounds[n / 2] : (rounds[n / 2 - 1] + rounds[n / 2]) / 2;
    printf("{\"name\": \"%s\", \"unit\": \"%s\", \"rounds\": %d, \"min\": %.6g, \"median\": %.6g, \"max\": %.6g}\n",
           name, unit, n, rounds[0], middle, rounds[n - 1]);
}

/* The mean of short spans, less those in which something else must have run: over 8 times their median. */
static inline double bench_settled(double *spans, size_t n)
{
    double sum = 0;
    size_t kept = 0;
    qsort(spans, n, sizeof *spans, bench_by_number);
    for (; kept < n && spans[kept] <= 8 * spans[n / 2]; kept++)
        sum += spans[kept];
    return sum / (double)kept;
}

/* `round` does one round and returns ns per operation. */
static inline void bench_rounds(const char *name, double (*round)(void *), void *arg)
{
    double took[BENCH_ROUNDS];
    if (!bench_wanted(name))
        return;
    round(arg); /* caches and branch predictors settle */
    for (int i = 0; i < bench.rounds; i++)
        took[i] = round(arg);
    bench_print(name, "ns", took, bench.rounds);
}

/* `run` does `n` operations. A round is as many as take about `bench.ms`. */
static inline void bench_op(const char *name, void (*run)(void *, uint64_t), void *arg)
{
    double took[BENCH_ROUNDS], start, ms;
    uint64_t n = 1;
    if (!bench_wanted(name))
        return;
    for (;; n *= 2) {
        start = bench_cpu_now();
        run(arg, n);
        ms = (bench_cpu_now() - start) / 1e6;
        if (ms >= bench.ms / 2)
            break;
    }
    for (int i = 0; i < bench.rounds; i++) {
        start = bench_cpu_now();
        run(arg, n);
        took[i] = (bench_cpu_now() - start) / (double)n;
    }
    bench_print(name, "ns", took, bench.rounds);
}
