#pragma once
/* pace_say: the options that all load generators have, and how they say what they saw. */
#include "pace.h"

#include <getopt.h>

static inline void pace_put_begin(const struct spent *first, const struct spent *last)
{
    double seconds = (double)(last->at - first->at) / 1e9;
    printf("{\"calls\": %llu, \"seconds\": %.6f, \"calls_per_s\": %.1f, \"loop\": \"%s\", \"rate\": %.1f, ",
           (unsigned long long)pace.calls, seconds, seconds > 0 ? (double)pace.calls / seconds : 0.0,
           pace.rate > 0 ? "open" : "closed", pace.rate);
}

static inline void pace_put_latency(void)
{
    window_put_quantiles("latency_us", &pace.latency);
    if (pace.rate > 0)
        window_put_quantiles("lag_us", &pace.lag);
    printf("\"unsent\": %llu, ", (unsigned long long)pace.unsent);
}

static inline void pace_put_end(const struct spent *first, const struct spent *last)
{
    window_put_spent(&pace.watch, first, last);
    printf("\"errors\": %llu, \"wrong\": {", (unsigned long long)pace.n_wrong);
    for (int i = 0; pace.ops->kinds[i]; i++)
        printf("%s\"%s\": %llu", i ? ", " : "", pace.ops->kinds[i], (unsigned long long)pace.wrong[i]);
    printf("}, \"first_error\": ");
    window_put_text(pace.first_wrong);
    printf("}\n");
}

/* True: it was one of those that all load generators have. */
#define PACE_OPTIONS                                                                                                   \
    {"connections", 1, NULL, 'c'}, {"warmup", 1, NULL, 'w'}, {"seconds", 1, NULL, 's'}, {"rate", 1, NULL, 'r'},        \
        {"calls", 1, NULL, 'N'}, {"stall", 1, NULL, 'S'}, {"watch", 1, NULL, 'W'}
static inline bool pace_option(int c, const char *text)
{
    switch (c) {
    case 'c': pace.connections = (uint32_t)window_number(text, 1, 60000); break;
    case 'w': pace.warmup = window_number(text, 0, 3600); break;
    case 's': pace.seconds = window_number(text, 0.01, 86400); break;
    case 'r': pace.rate = window_number(text, 0, 1e8); break;
    case 'N': pace.most = (uint64_t)window_number(text, 1, 1e12); break;
    case 'S': pace.stall = (uint64_t)window_number(text, 10, 3600e3) * MS; break;
    case 'W': window_watch(&pace.watch, text); break;
    default: return false;
    }
    return true;
}

/* Once all are read. */
static inline void pace_options_end(void)
{
    if (pace.most && pace.rate > 0)
        die(EXIT_USAGE, "--calls is for the closed loop; leave --rate out");
    if (pace.most)
        pace.warmup = 0, pace.seconds = 86400;
}
