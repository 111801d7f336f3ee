#include "table/trace.h"

#include "base/err.h"
#include "base/mem.h"
#include "table/hash.h"

#include <errno.h>
#include <sys/random.h>
#include <time.h>

enum { WAYS = 8, TRIES = 512, ID_WORDS = MF_TRACE_ID / 8, WORDS = (MF_TRACE_ID + MF_TRACE_VALUE) / 8 };

/* Every word is atomic: a reader may look while a writer stores, and throws away what it saw when `seq` has moved. */
struct entry {
    mf_atom64 until; /* monotonic ns; 0: free */
    mf_atom64 what;  /* label << 32 | length of id << 16 | length of value */
    mf_atom64 words[WORDS]; /* id, then value, zero-padded */
};

/* One sequence word guards a set: odd while a writer is inside. */
struct set {
    mf_atom64 seq;
    mf_atom64 tags[WAYS]; /* hash of id and label: which way to look at */
    struct entry entries[WAYS];
    uint32_t callers[WAYS]; /* who brought it; plain, as only who is inside looks at them */
};

struct mf_trace {
    uint64_t seed, ttl, mask;
    struct set sets[];
};

int mf_trace_new(size_t entries, uint64_t ttl_ns, struct mf_trace **out)
{
    size_t sets = 1;
    while (sets * WAYS < entries)
        sets *= 2;
    struct mf_trace *trace = mf_zalloc(sizeof *trace + sets * sizeof *trace->sets);
    if (!trace)
        return -ENOMEM;
    /* Secret, so that a stranger cannot aim ids at one set. Where the kernel gives none, an address will do. */
    if (getrandom(&trace->seed, sizeof trace->seed, GRND_NONBLOCK) != sizeof trace->seed)
        trace->seed = mf_hash_mix((uintptr_t)trace ^ MF_HASH_A, MF_HASH_B);
    trace->ttl = ttl_ns;
    trace->mask = sets - 1;
    *out = trace;
    return 0;
}

void mf_trace_free(struct mf_trace *trace)
{
    mf_free(trace);
}

/* What is looked for, in the words of an entry. */
struct wanted {
    struct set *set;
    uint64_t tag, what_mask, what;
    uint64_t words[WORDS];
    uint32_t caller; /* of a put */
};

static bool want(struct mf_trace *trace, struct mf_slice id, uint32_t label, struct mf_slice value, struct wanted *out)
{
    if (id.len < 1 || id.len > MF_TRACE_ID || value.len > MF_TRACE_VALUE)
        return false;
    memset(out->words, 0, sizeof out->words);
    memcpy(out->words, id.ptr, id.len);
    if (value.len)
        memcpy(out->words + ID_WORDS, value.ptr, value.len);
    out->what = (uint64_t)label << 32 | id.len << 16 | value.len;
    out->tag = mf_hash(id, trace->seed ^ label);
    out->set = &trace->sets[out->tag & trace->mask];
    return true;
}

enum { SAME_ID = 1, SAME_ALL = 2 };

/* Whether the entry is for the id and label, or for the value as well. Acquire, here and in every read of an entry:
 * pairs with the releases in store_entry, so that who saw a word of a writer also sees that the writer was inside. */
static int compare(struct entry *entry, const struct wanted *wanted)
{
    uint64_t what = mf_load_acquire(&entry->what);
    if (what >> 16 != wanted->what >> 16)
        return 0;
    for (int i = 0; i < ID_WORDS; i++)
        if (mf_load_acquire(&entry->words[i]) != wanted->words[i])
            return 0;
    if (what != wanted->what)
        return SAME_ID;
    for (int i = ID_WORDS; i < WORDS; i++)
        if (mf_load_acquire(&entry->words[i]) != wanted->words[i])
            return SAME_ID;
    return SAME_ALL;
}

static void store_entry(struct set *set, int way, const struct wanted *wanted, uint64_t until)
{
    struct entry *entry = &set->entries[way];
    /* Releases: each comes after the odd `seq`; a reader that acquires one of them finds `seq` moved. */
    for (int i = 0; i < WORDS; i++)
        mf_store_release(&entry->words[i], wanted->words[i]);
    mf_store_release(&entry->what, wanted->what);
    mf_store_release(&entry->until, until);
    mf_store_release(&set->tags[way], wanted->tag);
    set->callers[way] = wanted->caller;
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Makes `seq` odd, or gives up: the other writer may not be running. */
static bool enter(struct set *set, uint64_t *seq)
{
    for (int i = 0; i < TRIES; i++) {
        *seq = mf_load_relaxed(&set->seq);
        /* Acquire pairs with the release in leave: the entries are the last writer's. */
        if (!(*seq & 1) && atomic_compare_exchange_weak_explicit(&set->seq, seq, *seq + 1, memory_order_acquire,
                                                                 memory_order_relaxed))
            return true;
        relax();
    }
    return false;
}

static void leave(struct set *set, uint64_t seq)
{
    /* Pairs with the acquires in enter and find: who sees the new even number sees the whole entry. */
    mf_store_release(&set->seq, seq + 2);
}

/* How many ways are the caller's, who brings one more of `newcomer`; twice, and the odd one decides between equals. */
static int weight_of(const struct set *set, uint32_t caller, uint32_t newcomer)
{
    int n = 0;
    for (int way = 0; way < WAYS; way++)
        n += set->callers[way] == caller;
    return caller == newcomer ? 2 * (n + 1) + 1 : 2 * n;
}

/* The way to use for something new: a free or old one, else of those whose caller has most the one that would end
 * first. Who has none there takes one from whoever has most; where nobody has two, the oldest of all. */
static int victim(struct set *set, uint32_t caller, uint64_t now, bool *alive)
{
    int best = 0, most = 0;
    uint64_t least = UINT64_MAX;
    for (int way = 0; way < WAYS; way++) {
        uint64_t until = mf_load_relaxed(&set->entries[way].until); /* nobody else is inside */
        if (until < least) {
            least = until;
            best = way;
        }
    }
    *alive = least > now;
    for (int way = 0; *alive && way < WAYS; way++) {
        uint64_t until = mf_load_relaxed(&set->entries[way].until);
        int weight = weight_of(set, set->callers[way], caller);
        if (weight > most || (weight == most && until < least)) {
            most = weight;
            least = until;
            best = way;
        }
    }
    return best;
}

int mf_trace_put(struct mf_trace *trace, const struct mf_trace_entry *given, uint64_t now, bool *evicted)
{
    struct wanted wanted;
    uint64_t seq;
    *evicted = false;
    if (given->value.len < 1 || !want(trace, given->id, given->label, given->value, &wanted))
        return MF_ELIMIT;
    wanted.caller = given->caller;
    struct set *set = wanted.set;
    if (!enter(set, &seq))
        return -EAGAIN;
    for (int way = 0; way < WAYS; way++) {
        struct entry *entry = &set->entries[way];
        if (mf_load_relaxed(&set->tags[way]) != wanted.tag || mf_load_relaxed(&entry->until) == 0)
            continue;
        int same = compare(entry, &wanted);
        bool alive = mf_load_relaxed(&entry->until) > now;
        if (same == SAME_ALL) {
            if (!alive)
                set->callers[way] = given->caller;
            /* Only the time moves on. */
            mf_store_release(&entry->until, now + trace->ttl);
            leave(set, seq);
            return alive ? MF_TRACE_REFRESHED : MF_TRACE_STORED;
        }
        if (same == SAME_ID) {
            if (!alive || given->replace)
                store_entry(set, way, &wanted, now + trace->ttl);
            leave(set, seq);
            return alive ? MF_TRACE_CONFLICT : MF_TRACE_STORED;
        }
    }
    store_entry(set, victim(set, given->caller, now, evicted), &wanted, now + trace->ttl);
    leave(set, seq);
    return MF_TRACE_STORED;
}

/* The length of the value, 0 for none, copied out of a set that may be changing. */
static int look(struct set *set, const struct wanted *wanted, uint64_t now, uint64_t value[WORDS - ID_WORDS])
{
    for (int way = 0; way < WAYS; way++) {
        struct entry *entry = &set->entries[way];
        if (mf_load_acquire(&set->tags[way]) != wanted->tag || !compare(entry, wanted))
            continue;
        if (mf_load_acquire(&entry->until) <= now)
            return 0;
        for (int i = ID_WORDS; i < WORDS; i++)
            value[i - ID_WORDS] = mf_load_acquire(&entry->words[i]);
        return (int)(mf_load_acquire(&entry->what) & 0xffff);
    }
    return 0;
}

int mf_trace_find(struct mf_trace *trace, struct mf_slice id, uint32_t label, uint64_t now,
                  uint8_t out[MF_TRACE_VALUE])
{
    struct wanted wanted;
    uint64_t value[WORDS - ID_WORDS];
    if (!want(trace, id, label, mf_slice_of(NULL, 0), &wanted))
        return 0;
    for (int i = 0; i < TRIES; i++) {
        /* Pairs with the release in leave. */
        uint64_t seq = mf_load_acquire(&wanted.set->seq);
        if (seq & 1) {
            relax();
            continue;
        }
        int len = look(wanted.set, &wanted, now, value);
        /* Relaxed, yet after the loads before it, which all acquire: if one of them saw a later writer, so does this. */
        if (mf_load_relaxed(&wanted.set->seq) != seq)
            continue;
        if (len)
            memcpy(out, value, (size_t)len);
        return len;
    }
    return 0; /* a writer stopped inside, or writers without end: as if it were not known */
}
