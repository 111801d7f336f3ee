/* peer: the references of a peer and the word that says where one was dropped (csrc/table/peer.c).
 *
 * The cluster of a published service holds the peer; a worker finds it by a look-up, keeps it in a pool by a reference,
 * and gives it back epochs later; the writer unpublishes, may publish anew, and frees what nobody holds. Read-modify-writes
 * alone, so no buffers. The epoch is taken as proved (publish.pml): `inside` is a reader's section, and what the writer
 * retires waits for it. Checked: nobody touches a freed peer, and it is freed in the end. */
#define ROUNDS 2

byte refs = 1;          /* the cluster's */
bool published = true, dropped, freed, inside, worker_over;

inline give()
{
    atomic {
        assert(!freed);
#ifdef MUTANT_BIT /* the word is set before the count goes down */
        if :: refs == 1 -> dropped = true :: else fi
#endif
    };
    atomic { assert(refs > 0); refs--; last = refs == 0 };
    if
    :: last ->
#ifdef MUTANT_TOUCH /* the peer is looked at after its last reference */
        assert(!freed);
#endif
#ifndef MUTANT_BIT
        dropped = true;
#endif
        skip
    :: else
    fi
}

active proctype worker()
{
    byte rounds = 0;
    bool last, found;
    do
    :: rounds < ROUNDS ->
        rounds++;
        inside = true;
        found = published;
        if
        :: found ->
#ifdef MUTANT_TAKE /* the section ends before the reference is taken */
            inside = false;
            atomic { assert(!freed); refs++ };
#else
            atomic { assert(!freed); refs++ };
            inside = false;
#endif
            give()
        :: else -> inside = false
        fi
    :: else -> break
    od;
    worker_over = true
}

active proctype writer()
{
    byte rounds = 0;
    bool last, marked, unlinked = false;
    do
    :: rounds < ROUNDS && !unlinked ->
        rounds++;
        if
        :: published ->
            published = false;
            !inside;                            /* an epoch: the compiled service is freed after it */
            give()
        :: !published ->                        /* found by its address, with a reference */
            atomic { assert(!freed); refs++ };
            published = true
        fi;
        atomic { marked = dropped; dropped = false };
#ifdef MUTANT_COUNT /* the word alone is believed */
        if :: marked -> unlinked = true :: else fi
#else
        if :: marked && refs == 0 -> unlinked = true :: else fi
#endif
    :: else -> break
    od;
    if
    :: published -> published = false; !inside; give()
    :: else
    fi;
    do
    :: unlinked -> break
    :: else ->
        atomic { marked = dropped; dropped = false };
        if
        :: marked && refs == 0 -> unlinked = true
        :: !marked && worker_over && !dropped -> break
        :: else
        fi
    od;
    !inside;                                    /* retired: one more epoch */
    atomic { assert(unlinked && refs == 0); freed = true }
}
