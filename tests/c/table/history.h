#pragma once
/* history: what threads did, when each operation began and ended, and what came out, for tests/py/linear.py.
 *
 * An operation has ended when its stores are in memory: what is later by the clock must see them. */
#include "table/torture.h"

#include <time.h>

enum { HISTORY_THREADS = 8 };

struct history {
    struct operation {
        uint64_t begin, end;
        const char *what;
        uint64_t key, value;
        long long result;
    } *operations;
    size_t n, room;
};

static struct history histories[HISTORY_THREADS];

static uint64_t history_clock(void)
{
    struct timespec now;
    weak_flush();
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    clock_gettime(CLOCK_MONOTONIC, &now);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void history_room(struct history *history, size_t room)
{
    history->operations = calloc(room, sizeof *history->operations);
    history->room = room;
    if (!history->operations)
        abort();
}

/* Runs `call` as an operation of `history`, with what it gives as the result. */
#define RECORD(history, name, k, v, call)                                                                              \
    do {                                                                                                               \
        struct operation *it_ = &(history)->operations[(history)->n++];                                                \
        if ((history)->n > (history)->room)                                                                            \
            abort();                                                                                                   \
        *it_ = (struct operation){.what = (name), .key = (k), .value = (v), .begin = history_clock()};                 \
        it_->result = (long long)(call);                                                                               \
        it_->end = history_clock();                                                                                    \
    } while (0)

/* thread, begin, end, what, key, value, result: one line an operation. */
static int history_end(const char *object)
{
    printf("# %s\n", object);
    for (int i = 0; i < HISTORY_THREADS; i++) {
        for (size_t k = 0; k < histories[i].n; k++) {
            struct operation *it = &histories[i].operations[k];
            printf("%d %llu %llu %s %llu %llu %lld\n", i, (unsigned long long)it->begin, (unsigned long long)it->end,
                   it->what, (unsigned long long)it->key, (unsigned long long)it->value, it->result);
        }
        free(histories[i].operations);
    }
    return torture_wrong ? 1 : 0;
}
