/* ring: one pushes, one pops (csrc/base/ring.c); a full ring refuses.
 *
 * A record is two words. Stores wait in buffers as in publish.pml. Checked: every record arrives once, whole, in order,
 * or was refused while the ring was full. Mutants, each of which must fail: see the names below. */
#define CAPACITY 2
#define RECORDS 6
#define NONE 255

byte left[CAPACITY], right[CAPACITY], tail, head;       /* what is in memory */
byte left_wait = NONE, left_at, right_wait = NONE, right_at, tail_wait = NONE, head_wait = NONE;
byte refused, popped;
bool over;

active proctype buffers()
{
end:
    do
    :: atomic { left_wait != NONE -> left[left_at] = left_wait; left_wait = NONE }
    :: atomic { right_wait != NONE -> right[right_at] = right_wait; right_wait = NONE }
#ifdef MUTANT_TAIL /* relaxed */
    :: atomic { tail_wait != NONE -> tail = tail_wait; tail_wait = NONE }
#else
    :: atomic { tail_wait != NONE && left_wait == NONE && right_wait == NONE -> tail = tail_wait; tail_wait = NONE }
#endif
    :: atomic { head_wait != NONE -> head = head_wait; head_wait = NONE }
    od
}

active proctype pusher()
{
    byte number = 1, my_tail = 0, seen = 0;
    do
    :: number <= RECORDS ->
#ifdef MUTANT_FULL /* one too many */
        if
        :: my_tail - seen > CAPACITY ->
#else
        if
        :: my_tail - seen >= CAPACITY ->
#endif
            atomic {
#ifndef MUTANT_STALE /* never looks again */
                seen = head;
#endif
                if
                :: my_tail - seen >= CAPACITY ->
                    assert(my_tail - head >= CAPACITY);
                    refused++;
                    number++;
                    goto next
                :: else
                fi
            }
        :: else
        fi;
#ifdef MUTANT_EARLY /* the new tail is stored before the record */
        atomic { tail_wait == NONE -> tail_wait = my_tail + 1 };
        (tail_wait == NONE);
#endif
        atomic { left_wait == NONE -> left_wait = number; left_at = my_tail % CAPACITY };
        atomic { right_wait == NONE -> right_wait = number; right_at = my_tail % CAPACITY };
#ifndef MUTANT_EARLY
        atomic { tail_wait == NONE -> tail_wait = my_tail + 1 };
#endif
        my_tail++;
        number++;
next:
        skip
    :: else -> break
    od;
    (tail_wait == NONE && left_wait == NONE && right_wait == NONE);
    over = true
}

active proctype popper()
{
    byte my_head = 0, a, b, last = 0, t;
    bool was_over;
    do
    :: true ->
        was_over = over;
#ifdef MUTANT_ACQUIRE /* the tail is read relaxed: the record may be read before it */
        a = left[my_head % CAPACITY];
        t = tail;
#else
        t = tail;
        a = left[my_head % CAPACITY];
#endif
        if
        :: my_head == t ->
            if :: was_over -> break :: else fi
        :: else ->
#ifdef MUTANT_HEAD /* relaxed: it may be stored before the record is copied out */
            atomic { head_wait == NONE -> head_wait = my_head + 1 };
#endif
            b = right[my_head % CAPACITY];
#ifndef MUTANT_HEAD
            atomic { head_wait == NONE -> head_wait = my_head + 1 };
#endif
            atomic {
                assert(a == b && a > last);
                last = a;
                my_head++;
                popped++
            }
        fi
    od;
    assert(popped + refused == RECORDS)
}
