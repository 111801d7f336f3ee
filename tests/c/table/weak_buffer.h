#pragma once
/* weak_buffer: the stores that wait and the delays of the `weak` build (weak.h). Included once a program, by torture.h. */
#include <sched.h>
#include <stdbool.h>
#include <time.h>

enum { WAITING = 8, SELDOM = 2048 };

struct waiting {
    volatile void *at;
    uint64_t value;
    unsigned size;
    bool release; /* leaves after all before it */
};

static _Thread_local struct waiting waiting[WAITING];
static _Thread_local unsigned n_waiting;
static _Thread_local uint64_t weak_random = 1;

static void weak_seed(uint64_t seed)
{
    weak_random = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static uint64_t weak_dice(void) /* xorshift */
{
    weak_random ^= weak_random << 13;
    weak_random ^= weak_random >> 7;
    return weak_random ^= weak_random << 17;
}

static void reach_memory(unsigned i)
{
    struct waiting it = waiting[i];
    n_waiting--;
    for (; i < n_waiting; i++)
        waiting[i] = waiting[i + 1];
    switch (it.size) { /* release, so that the compiler keeps the plain stores before it */
    case 1:
        __atomic_store_n((volatile uint8_t *)it.at, (uint8_t)it.value, __ATOMIC_RELEASE);
        break;
    case 4:
        __atomic_store_n((volatile uint32_t *)it.at, (uint32_t)it.value, __ATOMIC_RELEASE);
        break;
    default:
        __atomic_store_n((volatile uint64_t *)it.at, it.value, __ATOMIC_RELEASE);
    }
}

static bool may_leave(unsigned i)
{
    for (unsigned j = 0; j < i; j++)
        if (waiting[i].release || waiting[j].at == waiting[i].at)
            return false;
    return true;
}

static void weak_flush(void)
{
    while (n_waiting)
        reach_memory(0);
}

static void weak_delay(void)
{
    static _Thread_local unsigned patience, mood; /* stores stay for few accesses at times, for hundreds at others */
    uint64_t dice = weak_dice();
    if (mood-- == 0) {
        mood = 500;
        patience = (unsigned)(dice >> 60) & 1 ? 255 : 7;
    }
    if (n_waiting && (dice & patience) == 0) {
        unsigned i = (unsigned)(dice >> 8) % n_waiting;
        reach_memory(may_leave(i) ? i : 0);
    }
    dice >>= 16;
    if (dice % SELDOM == 0)
        nanosleep(&(struct timespec){.tv_nsec = (long)(dice >> 40) % 50000}, NULL);
    else if (dice % 64 == 0)
        sched_yield();
}

static bool is_release(int order)
{
    return order == memory_order_release || order == memory_order_acq_rel || order == memory_order_seq_cst;
}

uint64_t weak_load(const volatile void *at, unsigned size)
{
    uint64_t value = 0;
    weak_delay();
    for (unsigned i = n_waiting; i-- > 0;)
        if (waiting[i].at == at)
            return waiting[i].value; /* our own store */
    switch (size) {
    case 1:
        value = __atomic_load_n((const volatile uint8_t *)at, __ATOMIC_ACQUIRE);
        break;
    case 4:
        value = __atomic_load_n((const volatile uint32_t *)at, __ATOMIC_ACQUIRE);
        break;
    default:
        value = __atomic_load_n((const volatile uint64_t *)at, __ATOMIC_ACQUIRE);
    }
    weak_delay();
    return value;
}

void weak_store(volatile void *at, unsigned size, uint64_t value, int order)
{
    weak_delay();
    if (n_waiting == WAITING)
        reach_memory(0);
    waiting[n_waiting++] = (struct waiting){at, value, size, is_release(order)};
    if (order == memory_order_seq_cst)
        weak_flush();
    weak_delay();
}

void weak_before(volatile void *at, int order)
{
    weak_delay();
    if (is_release(order)) {
        weak_flush();
        return;
    }
    /* Relaxed or acquire: the others may go on waiting; those to the same word may not. */
    for (unsigned i = 0; i < n_waiting;) {
        if (waiting[i].at != at) {
            i++;
            continue;
        }
        while (!may_leave(i)) {
            reach_memory(0);
            i--;
        }
        reach_memory(i);
    }
}

void weak_after(void)
{
    weak_delay();
}
