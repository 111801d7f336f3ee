/* wake: how a worker is told to drain and to stop, and how it tells that it has (csrc/engine/engine.c, worker.c): a word
 * of commands, an eventfd that ends a sleep, and the word `told` (the
 * phase that the worker has reached; phases only grow, so that a word of them is a word of commands). Events to the main thread wake it in the same way: the
 * record is in the ring before the eventfd is written, and the eventfd is read before the ring.
 *
 * The worker's stores wait in a buffer; a system call flushes it. Checked: no command sleeps through, and who sees `told`
 * sees what the drain has done. Mutants, each of which must fail: see the names below. */
#define NONE 255
#define DRAIN 1
#define STOP 2

byte command;
bool event, told, worker_over, work = true;               /* what is in memory: work is what a drain ends */
byte told_wait = NONE, work_wait = NONE;       /* the worker's buffer */

active proctype buffer()
{
end:
    do
    :: atomic { work_wait != NONE -> work = work_wait; work_wait = NONE }
#ifdef MUTANT_TOLD /* relaxed */
    :: atomic { told_wait != NONE -> told = told_wait; told_wait = NONE }
#else
    :: atomic { told_wait != NONE && work_wait == NONE -> told = told_wait; told_wait = NONE }
#endif
    od
}

inline tell(bits)
{
#ifdef MUTANT_SWAP /* wakes first */
    event = true;
    command = command | bits
#else
    command = command | bits;
    event = true
#endif
}

active proctype engine()
{
    tell(DRAIN);
    if
    :: true ->
        told;                                   /* somebody asks until it is so */
        assert(!work)
    :: true
    fi;
    tell(STOP);
    worker_over
}


active proctype worker()
{
    byte c;
    bool draining = false;
    do
    :: true ->
        event;                                  /* sleeps until then */
#ifdef MUTANT_LATE /* the eventfd is emptied after the look */
        c = command;
        event = false;
#else
        event = false;
        c = command;
#endif
        if
        :: c & (DRAIN | STOP) && !draining ->
            draining = true;
            work_wait = false;
            told_wait = true
        :: else
        fi;
        if
        :: c & STOP -> break
        :: else
        fi;
        (told_wait == NONE && work_wait == NONE) /* the next sleep is a system call */
    od;
    worker_over = true
}
