/* publish: a service is built, published, replaced or removed, retired, freed, and its memory used again, while two
 * readers look up, stay for a while, go offline and come back (csrc/table/table.c, index.c, epoch.c).
 *
 * Stores wait in buffers: a release store leaves after all before it, a relaxed one may pass them; a read-modify-write
 * flushes. A load with acquire keeps its place. Checked: what a reader holds is whole, stays as it is, is not freed, and
 * no version is followed by an older one. Mutants, each of which must fail: see the names below. */
#define CELLS 3
#define WRITES 3
#define READERS 2
#define NONE 255
#define NOTHING 254 /* NULL in the slot */

byte slot = NOTHING, now = 1, seen[READERS], body[CELLS]; /* what is in memory */
byte slot_wait = NONE, now_wait = NONE, body_wait = NONE, body_cell; /* the writer's buffer */
byte seen_wait[READERS] = NONE;
bool slot_relaxed, freed[CELLS] = true;

inline flush_writer()
{
    atomic {
        if :: body_wait != NONE -> body[body_cell] = body_wait; body_wait = NONE :: else fi;
        if :: slot_wait != NONE -> slot = slot_wait; slot_wait = NONE :: else fi;
        if :: now_wait != NONE -> now = now_wait; now_wait = NONE :: else fi
    }
}

active proctype buffers()
{
end:
    do
    :: atomic { body_wait != NONE -> body[body_cell] = body_wait; body_wait = NONE }
    :: atomic { slot_wait != NONE && (slot_relaxed || body_wait == NONE) -> slot = slot_wait; slot_wait = NONE }
#ifdef MUTANT_RETIRE /* the store of `now` is relaxed */
    :: atomic { now_wait != NONE -> now = now_wait; now_wait = NONE }
#else
    :: atomic { now_wait != NONE && slot_wait == NONE && body_wait == NONE -> now = now_wait; now_wait = NONE }
#endif
    :: atomic { seen_wait[0] != NONE -> seen[0] = seen_wait[0]; seen_wait[0] = NONE }
    :: atomic { seen_wait[1] != NONE -> seen[1] = seen_wait[1]; seen_wait[1] = NONE }
    od
}

inline store_slot(value, relaxed)
{
    atomic { slot_wait == NONE -> slot_wait = value; slot_relaxed = relaxed }
}

active proctype writer()
{
    byte writes = 0, my_now = 1, live = NOTHING, cell, oldest, i;
    byte stamp[CELLS];
    bool retired[CELLS];
    do
    :: writes < WRITES ->
        writes++;
        cell = NOTHING;
        i = 0;
        do
        :: i < CELLS && freed[i] && cell == NOTHING -> cell = i
        :: i < CELLS && !(freed[i] && cell == NOTHING) -> i++
        :: i == CELLS -> break
        od;
        if
        :: cell != NOTHING ->                                    /* build and publish */
            atomic { body_wait == NONE -> body_wait = writes; body_cell = cell; freed[cell] = false }
#ifdef MUTANT_PUBLISH /* relaxed */
            store_slot(cell, true)
#else
            store_slot(cell, false)
#endif
        :: live != NOTHING -> cell = NOTHING; store_slot(NOTHING, true) /* remove: relaxed */
        :: cell == NOTHING && live == NOTHING -> goto reclaim
        fi;
        if
        :: live != NOTHING ->                                    /* retire the one before */
            stamp[live] = my_now;
            retired[live] = true;
            my_now++;
            atomic { now_wait == NONE -> now_wait = my_now }
        :: else
        fi;
        live = cell;
reclaim:
        oldest = my_now;
#ifndef MUTANT_NOWAIT /* freed at once */
        i = 0;
        do
        :: i < READERS ->
#ifdef MUTANT_PLAIN /* `seen` is read by a plain load */
            atomic { if :: seen[i] != 0 && seen[i] < oldest -> oldest = seen[i] :: else fi };
#else
            atomic { flush_writer(); if :: seen[i] != 0 && seen[i] < oldest -> oldest = seen[i] :: else fi };
#endif
            i++
        :: else -> break
        od;
#endif
        i = 0;
        do
        :: i < CELLS ->
            if
#ifdef MUTANT_STAMP /* freed when the stamp itself has been seen */
            :: retired[i] && stamp[i] <= oldest ->
#else
            :: retired[i] && stamp[i] < oldest ->
#endif
                atomic { freed[i] = true; retired[i] = false }
            :: else
            fi;
            i++
        :: else -> break
        od
    :: else -> break
    od
}

inline store_seen(value)
{
    atomic { seen_wait[me] == NONE -> seen_wait[me] = value }
}

inline announce() /* online, or quiesce */
{
    e = now;
    if
    :: !online ->
        online = true;
#ifdef MUTANT_ONLINE /* a plain store */
        store_seen(e)
#else
        atomic { seen_wait[me] = NONE; seen[me] = e }
#endif
    :: online -> store_seen(e)
    fi
}

proctype reader(byte me, most)
{
    byte turns = 0, e, held, version, newest = 0;
    bool online = false;
    do
    :: turns < most ->
        turns++;
#ifdef MUTANT_QUIESCE /* `now` is read relaxed: the look-up may come before it */
        held = slot;
        announce();
#else
        announce();
        held = slot;
#endif
        if
        :: held != NOTHING ->
            atomic {
                version = body[held];
                assert(!freed[held]);
                assert(version > 0 && version >= newest);
                newest = version
            }
#ifdef MUTANT_OFFLINE /* its store is relaxed: it may come before the last use */
            store_seen(0);
            online = false;
#endif
            assert(!freed[held] && body[held] == version)
        :: else
        fi;
        if
        :: online -> store_seen(0); online = false               /* offline */
        :: true
        fi
    :: else -> break
    od
}

init { atomic { run reader(0, 2); run reader(1, 1) } }
