/* trace: one set of the trace-id memory (csrc/table/trace.c): a sequence word, odd while a writer is inside, and an entry
 * of two words; two writers, one reader. A put that finds another value known leaves the words as they are.
 *
 * Stores wait in each writer's buffer as in publish.pml. The sequence word is won by compare-and-swap with acquire alone,
 * so its new value may reach readers later than that: `won` is what the next writer's compare-and-swap sees, `seq` what
 * readers see. Checked: a reader that believes what it read has read the words of one put, and none older than before.
 * Mutants, each of which must fail: see the names below. */
#define PUTS 2 /* of each writer */
#define FINDS 2
#define TRIES 2
#define NONE 255

byte won, seq, left, right; /* what is in memory */
byte odd_wait[2] = NONE, even_wait[2] = NONE, left_wait[2] = NONE, right_wait[2] = NONE;

#ifdef MUTANT_WORDS /* the words are stored relaxed */
#define AFTER_ODD true
#else
#define AFTER_ODD odd_wait[w] == NONE
#endif
#ifdef MUTANT_LEAVE /* the last store of the sequence word is relaxed */
#define AFTER_ALL odd_wait[w] == NONE
#else
#define AFTER_ALL odd_wait[w] == NONE && left_wait[w] == NONE && right_wait[w] == NONE
#endif

proctype buffer(byte w)
{
end:
    do
    :: atomic { odd_wait[w] != NONE -> seq = odd_wait[w]; odd_wait[w] = NONE }
    :: atomic { left_wait[w] != NONE && AFTER_ODD -> left = left_wait[w]; left_wait[w] = NONE }
    :: atomic { right_wait[w] != NONE && AFTER_ODD -> right = right_wait[w]; right_wait[w] = NONE }
    :: atomic { even_wait[w] != NONE && AFTER_ALL -> seq = even_wait[w]; won = seq; even_wait[w] = NONE }
    od
}

proctype writer(byte w)
{
    byte puts = 0, s;
    do
    :: puts < PUTS ->
        puts++;
#ifdef MUTANT_ENTER /* looks and stores, in two steps */
        (won % 2 == 0);
        s = won;
        atomic { won = s + 1; odd_wait[w] = s + 1 };
#else
        atomic { won % 2 == 0 -> s = won; won = s + 1;
#ifndef MUTANT_ODD /* readers are not told */
            odd_wait[w] = s + 1;
#endif
        };
#endif
        /* The value is the number of the put: s / 2 + 1, the same in both words; one's own when there are two at once. */
        if
        :: atomic { left_wait[w] == NONE -> left_wait[w] = s + 2 + w };
            atomic { right_wait[w] == NONE -> right_wait[w] = s + 2 + w }
        :: s > 0 -> skip /* known */
        fi;
        atomic { even_wait[w] == NONE -> even_wait[w] = s + 2 }
    :: else -> break
    od
}

proctype reader()
{
    byte finds = 0, tries, s, a, b, last = 0;
    do
    :: finds < FINDS ->
        finds++;
        tries = 0;
        do
        :: tries < TRIES ->
            tries++;
#ifdef MUTANT_BEGIN /* the sequence word is read relaxed: a word may be read before it */
            a = left;
            s = seq;
#else
            s = seq;
            a = left;
#endif
            if
            :: s % 2 == 1 -> goto again
            :: else
            fi;
#ifdef MUTANT_READ /* the words are read relaxed: one may be read after the check */
            if :: seq != s -> goto again :: else fi;
            b = right;
#else
            b = right;
#ifndef MUTANT_CHECK /* believed as it is */
            if :: seq != s -> goto again :: else fi;
#endif
#endif
            atomic {
                assert(a == b);
                assert(a / 2 >= last);
                last = a / 2
            };
            break;
again:
            skip
        :: else -> break
        od
    :: else -> break
    od
}

init { atomic { run buffer(0); run buffer(1); run writer(0); run writer(1); run reader() } }
