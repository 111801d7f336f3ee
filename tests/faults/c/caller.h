#pragma once
/* caller: what both callers are told, by options and by commands, and their loop, whatever they speak. */
#include "phases.h"

#include <getopt.h>

enum { CONNS_MAX = 1024, INFLIGHT_MAX = 8192, ALSO_MAX = 4 << 20 };

#define MS UINT64_C(1000000)
#define ERROR_REST (10 * MS)
#define DIAL_REST (50 * MS)

/* Of a call's place: of those that are kept going, and those of `also`. */
enum state { FREE, RESTING, SENT, LOST };

struct caller_ops {
    void (*expect)(const char *name);
    void (*half)(uint32_t conn);
    void (*also)(uint32_t conn);
    void (*rest)(uint32_t conn, uint32_t slot, uint64_t until); /* where it is free */
    void (*event)(void *conn, uint32_t events, uint64_t now);
    void (*tend)(uint32_t conn, uint64_t now);                  /* dials where it is not there, begins calls, sends */
};

static struct {
    const struct caller_ops *ops;
    const char *connect;
    uint32_t connections, inflight, also_calls;
    uint64_t rest, pace, deadline;
    bool named;
    int epoll;
    uint32_t busy; /* calls in flight */
    bool paused, pause_told, over;
    struct commands commands;
} caller = {.connections = 8, .inflight = 50, .deadline = 10000 * MS};

static inline uint32_t n_slots(void)
{
    return caller.inflight + caller.also_calls;
}

/* With --pace: not all in one moment, again and again. */
static inline void caller_spread(uint64_t now)
{
    uint64_t n = (uint64_t)caller.connections * caller.inflight;
    for (uint64_t i = 0; i < n && caller.pace; i++)
        caller.ops->rest((uint32_t)(i / caller.inflight), (uint32_t)(i % caller.inflight), now + caller.pace * i / n);
}

static inline void caller_obey(char *line)
{
    char *verb = strtok(line, " "), *word = strtok(NULL, " ");
    if (verb && !strcmp(verb, "phase") && word) {
        phase_begin(word);
        reply("ok");
    } else if (verb && !strcmp(verb, "expect") && word && strlen(word) < NAME_ROOM) {
        caller.ops->expect(word);
        reply("ok");
    } else if (verb && !strcmp(verb, "pause")) {
        caller.paused = true;
        caller.pause_told = false;
    } else if (verb && !strcmp(verb, "resume")) {
        caller.paused = false;
        caller_spread(now_ns());
        reply("ok");
    } else if (verb && (!strcmp(verb, "half") || !strcmp(verb, "also"))) {
        for (uint32_t i = 0; i < caller.connections; i++)
            (verb[0] == 'h' ? caller.ops->half : caller.ops->also)(i);
        reply("ok");
    } else if (verb && !strcmp(verb, "count")) {
        phase_count(word ? phases.all[0] : phases.now);
    } else if (verb && !strcmp(verb, "quit")) {
        caller.over = caller.paused = caller.pause_told = true;
    } else {
        die(EXIT_USAGE, "'%s' is not a command", verb ? verb : "");
    }
}

/* Options that both have; their program reads the others. */
#define CALLER_OPTIONS                                                                                                 \
    {"connect", 1, NULL, 'C'}, {"connections", 1, NULL, 'c'}, {"inflight", 1, NULL, 'i'}, {"rest", 1, NULL, 'r'},      \
        {"deadline", 1, NULL, 'd'}, {"named", 0, NULL, 'N'}, {"also-calls", 1, NULL, 'K'}, {"pace", 1, NULL, 'e'}
static inline bool caller_option(int c, const char *text)
{
    switch (c) {
    case 'C': caller.connect = text; break;
    case 'c': caller.connections = (uint32_t)number(text, 1, CONNS_MAX); break;
    case 'i': caller.inflight = (uint32_t)number(text, 1, INFLIGHT_MAX); break;
    case 'r': caller.rest = number(text, 0, 10000000) * 1000; break;
    case 'd': caller.deadline = number(text, 1, 3600000) * MS; break;
    case 'N': caller.named = true; break;
    case 'K': caller.also_calls = (uint32_t)number(text, 1, INFLIGHT_MAX); break;
    case 'e': caller.pace = number(text, 1, 10000) * MS; break;
    default: return false;
    }
    return true;
}

/* Before there are connections: it is paused until `resume`. */
static inline void caller_begin(const struct caller_ops *ops)
{
    caller.ops = ops;
    caller.epoll = epoll_create1(EPOLL_CLOEXEC);
    net_nonblocking(STDIN_FILENO);
    net_watch(caller.epoll, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN, &caller);
    if (caller.also_calls)
        phase_begin("also");
    phase_begin("start");
    caller.paused = caller.pause_told = true;
}

/* Until it is told to end and nothing is in flight. */
static inline void caller_run(void)
{
    while (!(caller.over && !caller.busy)) {
        struct epoll_event events[256];
        int n = epoll_wait(caller.epoll, events, 256, 1);
        uint64_t now = now_ns();
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr != &caller)
                caller.ops->event(events[i].data.ptr, events[i].events, now);
            else if (!commands_read(&caller.commands, caller_obey))
                exit(EXIT_FAILED); /* who would read the counts is gone */
        }
        for (uint32_t i = 0; i < caller.connections; i++)
            caller.ops->tend(i, now);
        if (caller.paused && !caller.pause_told && !caller.busy) {
            caller.pause_told = true;
            reply("ok");
        }
    }
    phases_report();
}
