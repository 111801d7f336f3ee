#pragma once
/* phases: what became of a caller's calls, counted in the phase in which they began, and told as JSON. */
#include "command.h"
#include "hist.h"

enum { PHASES = 64, NAME_ROOM = 32 };

struct phase {
    char name[NAME_ROOM];
    uint64_t sent, right, crossed, misrouted, cut, lost, late, errors, statuses[256], ends, refused, readonly;
    struct hist latency, failing;
};

static struct {
    struct phase *all[PHASES], *now;
    uint16_t n;
} phases;

static inline void phase_begin(const char *name)
{
    if (phases.n == PHASES || strlen(name) >= NAME_ROOM)
        die(EXIT_USAGE, "at most %d phases, with names under %d bytes", PHASES, NAME_ROOM);
    phases.now = phases.all[phases.n++] = must_alloc(sizeof *phases.now);
    snprintf(phases.now->name, NAME_ROOM, "%s", name);
}

static inline void phase_count(const struct phase *phase)
{
    reply("ok %llu %llu %llu %llu %llu", (unsigned long long)phase->sent, (unsigned long long)phase->right,
          (unsigned long long)phase->errors, (unsigned long long)phase->cut, (unsigned long long)phase->lost);
}

static inline void phase_put_hist(const char *name, const struct hist *h)
{
    printf("\"%s\": {\"n\": %llu, \"p50\": %.3f, \"p99\": %.3f, \"max\": %.3f}, ", name, (unsigned long long)h->n,
           (double)hist_quantile(h, 0.5) / 1e6, (double)hist_quantile(h, 0.99) / 1e6, (double)h->max / 1e6);
}

static inline void phases_report(void)
{
    printf("[");
    for (int i = 0; i < phases.n; i++) {
        const struct phase *phase = phases.all[i];
        const struct {
            const char *name;
            uint64_t n;
        } counts[] = {{"sent", phase->sent}, {"right", phase->right}, {"errors", phase->errors},
                      {"crossed", phase->crossed}, {"misrouted", phase->misrouted}, {"cut", phase->cut},
                      {"lost", phase->lost}, {"late", phase->late}, {"ends", phase->ends},
                      {"refused", phase->refused}, {"readonly", phase->readonly}};
        printf("%s{\"phase\": \"%s\", ", i ? ", " : "", phase->name);
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            printf("\"%s\": %llu, ", counts[c].name, (unsigned long long)counts[c].n);
        phase_put_hist("latency_ms", &phase->latency);
        phase_put_hist("failing_ms", &phase->failing);
        printf("\"statuses\": {");
        for (int s = 0, first = 1; s < 256; s++)
            if (phase->statuses[s]) {
                printf("%s\"%d\": %llu", first ? "" : ", ", s, (unsigned long long)phase->statuses[s]);
                first = 0;
            }
        printf("}}");
    }
    printf("]\n");
}
