/* epoch: publish, retire, reclaim of csrc/table/epoch.c with a reader that quiesces, goes offline and comes back.
 *
 * Stores wait in buffers, as on real machines: a thread's own are flushed by its read-modify-writes and, one by one, at
 * any moment else. A relaxed store may pass an earlier one to another word. Checked: what a reader holds is not freed.
 * MUTANT_ONLINE: online is a plain store. MUTANT_RETIRE: the store of `now` in retire is relaxed. MUTANT_STAMP: freed
 * when the stamp itself has been seen. MUTANT_PLAIN: the writer reads `seen` by a plain load. Each must fail. */
#define OBJECTS 4
#define TURNS 4
#define NONE 255

byte slot = 0, now = 1, seen = 0;             /* what is in memory */
byte slot_wait = NONE, now_wait = NONE;       /* the writer's buffer */
byte seen_wait = NONE;                        /* the reader's; a second store waits for the first */
bool freed[OBJECTS];

inline flush_writer()
{
    atomic {
        if :: slot_wait != NONE -> slot = slot_wait; slot_wait = NONE :: else fi;
        if :: now_wait != NONE -> now = now_wait; now_wait = NONE :: else fi
    }
}

inline store_seen(value)
{
    atomic { seen_wait == NONE -> seen_wait = value }
}

active proctype buffers()
{
end:
    do
    :: atomic { slot_wait != NONE -> slot = slot_wait; slot_wait = NONE }
#ifdef MUTANT_RETIRE
    :: atomic { now_wait != NONE -> now = now_wait; now_wait = NONE }
#else
    :: atomic { now_wait != NONE && slot_wait == NONE -> now = now_wait; now_wait = NONE }
#endif
    :: atomic { seen_wait != NONE -> seen = seen_wait; seen_wait = NONE }
    od
}

active proctype writer()
{
    byte made = 1, my_now = 1, s, i;
    byte stamp[OBJECTS];
    do
    :: made < OBJECTS ->
        atomic { slot_wait == NONE -> slot_wait = made }       /* publish */
        stamp[made - 1] = my_now;                              /* retire the one before */
        my_now++;
        atomic { now_wait == NONE -> now_wait = my_now }
        made++;
        if
        :: true ->                                             /* reclaim */
#ifdef MUTANT_PLAIN
            s = seen;
#else
            atomic { flush_writer(); s = seen }
#endif
            i = 0;
            do
            :: i + 1 < made && !freed[i] ->
#ifdef MUTANT_STAMP
                if :: s == 0 || stamp[i] <= s -> freed[i] = true :: else -> break fi;
#else
                if :: s == 0 || stamp[i] < s -> freed[i] = true :: else -> break fi;
#endif
                i++
            :: i + 1 < made && freed[i] -> i++
            :: i + 1 >= made -> break
            od
        :: true -> skip
        fi
    :: made == OBJECTS -> break
    od
}

active proctype reader()
{
    byte turns = 0, e, held;
    bool online = false;
    do
    :: turns < TURNS ->
        turns++;
        e = now;
        if
        :: !online ->
            online = true;
#ifdef MUTANT_ONLINE
            store_seen(e)
#else
            atomic { if :: seen_wait != NONE -> seen_wait = NONE :: else fi; seen = e }
#endif
        :: online -> store_seen(e)                             /* quiesce */
        fi;
        held = slot;                                           /* look up */
        assert(!freed[held]);                                  /* use it */
        assert(!freed[held]);
        if
        :: true -> store_seen(0); online = false               /* offline */
        :: true -> skip
        fi
    :: turns == TURNS -> break
    od
}
