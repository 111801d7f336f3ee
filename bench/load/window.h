#pragma once
/* window: what a load generator looks at when its window begins and ends, and how it says what it saw. */
#include "hist.h"
#include "probe.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

enum { WATCH_MAX = 8 };

/* The processes whose CPU is looked at. */
struct watch {
    int pids[WATCH_MAX];
    uint32_t n;
};

struct spent {
    uint64_t at, own_ns;
    struct probe_cpu watched[WATCH_MAX];
    struct probe_machine machine;
};

static inline struct spent window_look(const struct watch *watch)
{
    struct spent spent = {.machine = probe_machine()};
    for (uint32_t i = 0; i < watch->n; i++)
        spent.watched[i] = probe_cpu(watch->pids[i]);
    struct timespec own;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
    spent.own_ns = (uint64_t)own.tv_sec * SECOND + (uint64_t)own.tv_nsec;
    spent.at = now_ns();
    return spent;
}

/* "cpu_s", "machine" and "watched": what was spent between two looks. */
static inline void window_put_spent(const struct watch *watch, const struct spent *first, const struct spent *last)
{
    printf("\"cpu_s\": %.6f, \"machine\": {\"busy_s\": %.2f, \"steal_s\": %.2f}, \"watched\": [",
           (double)(last->own_ns - first->own_ns) / 1e9, last->machine.busy_s - first->machine.busy_s,
           last->machine.steal_s - first->machine.steal_s);
    for (uint32_t i = 0; i < watch->n; i++)
        printf("%s{\"pid\": %d, \"cpu_s\": %.6f, \"main_cpu_s\": %.6f, \"rss\": %llu}", i ? ", " : "", watch->pids[i],
               (double)(last->watched[i].all - first->watched[i].all) / 1e9,
               (double)(last->watched[i].main - first->watched[i].main) / 1e9,
               (unsigned long long)probe_rss(watch->pids[i]));
    printf("], ");
}

static inline void window_put_quantiles(const char *name, const struct hist *h)
{
    printf("\"%s\": {\"mean\": %.3f, \"p50\": %.3f, \"p90\": %.3f, \"p99\": %.3f, \"p99_9\": %.3f, \"max\": %.3f}, ", name,
           h->n ? (double)h->sum / (double)h->n / 1e3 : 0.0, (double)hist_quantile(h, 0.5) / 1e3,
           (double)hist_quantile(h, 0.9) / 1e3, (double)hist_quantile(h, 0.99) / 1e3,
           (double)hist_quantile(h, 0.999) / 1e3, (double)h->max / 1e3);
}

static inline void window_put_text(const char *text)
{
    putchar('"');
    for (; *text; text++)
        if (*text >= ' ' && *text < 127 && *text != '"' && *text != '\\')
            putchar(*text);
        else
            printf("\\u%04x", (unsigned char)*text);
    putchar('"');
}

static inline double window_number(const char *text, double least, double most)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= least && v <= most))
        die(EXIT_USAGE, "'%s' is not a number from %g to %g", text, least, most);
    return v;
}

static inline void window_watch(struct watch *watch, const char *pid)
{
    if (watch->n == WATCH_MAX)
        die(EXIT_USAGE, "--watch can be given %d times", WATCH_MAX);
    watch->pids[watch->n++] = (int)window_number(pid, 1, 1 << 22);
}
