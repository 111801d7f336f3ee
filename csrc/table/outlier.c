#include "table/outlier.h"

#include "table/writer.h"

#include <sched.h>

/* By peers' ids, which are small and dense: a peer is mostly where its id says. */
struct mf_wards {
    struct mf_epoch_entry entry;
    uint32_t mask;
    struct mf_ward *places[];
};

struct mf_outlier_kept {
    struct mf_outlier_rules rules; /* first */
    uint32_t period;               /* what was counted in an earlier one is nothing to them */
    struct mf_epoch_entry entry;
};

static uint32_t period_of(const struct mf_outlier_rules *rules)
{
    return ((const struct mf_outlier_kept *)(const void *)rules)->period;
}

/* --- writer */

struct mf_outlier_kept *mf_outlier_keep(const struct mf_outlier_rules *rules)
{
    struct mf_outlier_kept *kept = mf_zalloc(sizeof *kept);
    if (kept)
        kept->rules = *rules;
    return kept;
}

static void on_rules_retired(struct mf_epoch_entry *entry)
{
    mf_free(MF_CONTAINER(entry, struct mf_outlier_kept, entry));
}

/* What they did before they were watched anew: of those that a list in force until a moment ago has, too. */
static void forget(struct mf_wards *wards)
{
    for (uint32_t i = 0; wards && i <= wards->mask; i++) {
        struct mf_ward *ward = wards->places[i];
        if (!ward)
            continue;
        mf_store_relaxed(&ward->times, 0);
        mf_store_relaxed(&ward->until, 0);
        mf_store_relaxed(&ward->noticed, 0);
        for (int reason = 0; reason < MF_OUTLIER_REASONS; reason++)
            mf_store_relaxed(&ward->in_a_row[reason], 0);
    }
}

void mf_outlier_use(struct mf_table *table, struct mf_outlier *outlier, struct mf_outlier_kept *rules)
{
    const struct mf_outlier_rules *old = mf_load_relaxed(&outlier->rules);
    if (!old && !rules)
        return;
    if (old && rules && memcmp(old, &rules->rules, sizeof *old) == 0) {
        mf_free(rules);
        return;
    }
    /* Who is being ejected is so before this, or by what holds from here on. */
    while (atomic_exchange_explicit(&outlier->_busy, 1, memory_order_acquire))
        sched_yield();
    if (rules)
        rules->period = old ? period_of(old) : ++outlier->_periods;
    if (rules && !old)
        forget(mf_load_relaxed(&outlier->wards));
    if (!rules || !old) /* who is out comes back */
        mf_store_relaxed(&outlier->latest, 0);
    mf_store_release(&outlier->rules, rules ? &rules->rules : NULL);
    mf_store_relaxed(&outlier->panic, 0);
    mf_store_release(&outlier->_busy, 0);
    if (old)
        mf_epoch_retire(&table->epoch, &((struct mf_outlier_kept *)(uintptr_t)old)->entry, on_rules_retired);
}

static struct mf_ward *find(const struct mf_wards *wards, const struct mf_peer *peer)
{
    struct mf_ward *ward;
    if (!wards)
        return NULL;
    for (uint32_t at = peer->id & wards->mask; (ward = wards->places[at]); at = (at + 1) & wards->mask)
        if (mf_load_relaxed(&ward->peer) == peer)
            return ward;
    return NULL;
}

static void put(struct mf_wards *wards, struct mf_ward *ward)
{
    uint32_t at = mf_load_relaxed(&ward->peer)->id & wards->mask;
    while (wards->places[at])
        at = (at + 1) & wards->mask;
    wards->places[at] = ward;
}

static uint32_t n_known(const struct mf_wards *wards)
{
    uint32_t n = 0;
    for (uint32_t i = 0; wards && i <= wards->mask; i++)
        n += wards->places[i] != NULL;
    return n;
}

static struct mf_wards *new_wards(uint32_t n)
{
    uint32_t places = 4;
    while (places < 2 * n)
        places *= 2;
    struct mf_wards *wards = mf_zalloc(sizeof *wards + places * sizeof *wards->places);
    if (wards)
        wards->mask = places - 1;
    return wards;
}

static void on_wards_retired(struct mf_epoch_entry *entry)
{
    mf_free(MF_CONTAINER(entry, struct mf_wards, entry));
}

static void on_ward_retired(struct mf_epoch_entry *entry)
{
    mf_slab_free(MF_CONTAINER(entry, struct mf_ward, entry));
}

static void undo(struct mf_wards *wards, struct mf_peer *const *peers, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        find(wards, peers[i])->refs--;
    for (uint32_t i = 0; i <= wards->mask; i++)
        if (wards->places[i] && wards->places[i]->refs == 0)
            mf_slab_free(wards->places[i]);
    mf_free(wards);
}

int mf_outlier_enlist(struct mf_table *table, struct mf_outlier *outlier, struct mf_peer *const *peers, uint32_t n)
{
    struct mf_wards *old = mf_load_relaxed(&outlier->wards), *wards = new_wards(n_known(old) + n);
    if (!wards)
        return -ENOMEM;
    for (uint32_t i = 0; old && i <= old->mask; i++)
        if (old->places[i] && old->places[i]->refs > 0)
            put(wards, old->places[i]);
    for (uint32_t i = 0; i < n; i++) {
        struct mf_ward *ward = find(wards, peers[i]);
        if (!ward) {
            ward = mf_table_zalloc(table, table->peers.n, sizeof *ward);
            if (!ward) {
                undo(wards, peers, i);
                return -ENOMEM;
            }
            mf_store_relaxed(&ward->peer, peers[i]);
            put(wards, ward);
        }
        ward->refs++;
    }
    mf_store_release(&outlier->wards, wards);
    mf_store_relaxed(&outlier->panic, 0);
    if (!old)
        return 0;
    for (uint32_t i = 0; i <= old->mask; i++)
        if (old->places[i] && old->places[i]->refs == 0)
            mf_epoch_retire(&table->epoch, &old->places[i]->entry, on_ward_retired);
    mf_epoch_retire(&table->epoch, &old->entry, on_wards_retired);
    return 0;
}

void mf_outlier_dismiss(struct mf_outlier *outlier, struct mf_peer *const *peers, uint32_t n)
{
    const struct mf_wards *wards = mf_load_relaxed(&outlier->wards);
    for (uint32_t i = 0; i < n; i++) {
        struct mf_ward *ward = find(wards, peers[i]);
        if (ward && --ward->refs == 0)
            mf_store_relaxed(&ward->peer, NULL); /* another peer may get its memory; freed by the next list */
    }
}

void mf_outlier_dispose(struct mf_outlier *outlier)
{
    struct mf_wards *wards = mf_load_relaxed(&outlier->wards);
    for (uint32_t i = 0; wards && i <= wards->mask; i++)
        if (wards->places[i])
            mf_slab_free(wards->places[i]);
    mf_free(wards);
    mf_free((void *)(uintptr_t)mf_load_relaxed(&outlier->rules));
    mf_store_relaxed(&outlier->wards, NULL);
    mf_store_relaxed(&outlier->rules, NULL);
}

void mf_outlier_each(const struct mf_outlier *outlier, void (*fn)(void *arg, const struct mf_ward *ward), void *arg)
{
    const struct mf_wards *wards = mf_load_relaxed(&outlier->wards);
    for (uint32_t i = 0; wards && i <= wards->mask; i++)
        if (wards->places[i] && mf_load_relaxed(&wards->places[i]->peer))
            fn(arg, wards->places[i]);
}

void mf_ward_tell(const struct mf_ward *ward, struct mf_ward_told *out)
{
    out->peer = mf_load_relaxed(&ward->peer);
    out->until = mf_load_relaxed(&ward->until);
    out->ejections = mf_load_relaxed(&ward->ejections);
    for (int i = 0; i < MF_OUTLIER_REASONS; i++)
        out->in_a_row[i] = mf_load_relaxed(&ward->in_a_row[i]);
}

/* --- any thread */

static bool may_eject(const struct mf_outlier *outlier, const struct mf_outlier_rules *rules, uint64_t now)
{
    const struct mf_wards *wards = mf_load_acquire(&outlier->wards);
    uint64_t n = 0, out = 0;
    for (uint32_t i = 0; i <= wards->mask; i++) {
        const struct mf_ward *ward = wards->places[i];
        if (ward && mf_load_relaxed(&ward->peer)) {
            n++;
            out += mf_load_relaxed(&ward->until) > now;
        }
    }
    return 100 * (out + 1) <= rules->max_percent * n;
}

/* How often it was ejected, this time too; each interval that it stayed forgives one. */
static uint64_t times_out(const struct mf_ward *ward, const struct mf_outlier_rules *rules, uint64_t now)
{
    uint64_t until = mf_load_relaxed(&ward->until), times = mf_load_relaxed(&ward->times);
    uint64_t stayed = until ? now / rules->interval - until / rules->interval : 0;
    times -= stayed < times ? stayed : times;
    return times + (times * rules->base < rules->longest + rules->base);
}

static struct mf_outlier_word eject(struct mf_outlier *outlier, struct mf_ward *ward, const struct mf_outlier_rules *rules,
                                    enum mf_outlier_reason reason, uint32_t most, uint64_t now)
{
    struct mf_outlier_word word = {MF_OUTLIER_NOTHING, reason, 0};
    if (atomic_exchange_explicit(&outlier->_busy, 1, memory_order_acquire)) {
        /* Another worker ejects somebody: the next error tries again. */
        atomic_fetch_add_explicit(&ward->in_a_row[reason], most - 1, memory_order_relaxed);
        return word;
    }
    const struct mf_outlier_rules *live = mf_load_relaxed(&outlier->rules);
    if (!live || period_of(live) != period_of(rules)) {
        /* nobody is, by those any more */
    } else if (mf_load_relaxed(&ward->until) > now) {
        /* by another worker, meanwhile */
    } else if (!may_eject(outlier, rules, now)) {
        word.news = MF_OUTLIER_OVERFLOW;
        mf_count(&outlier->overflows, 1);
    } else {
        uint64_t times = times_out(ward, rules, now), away = times * rules->base;
        uint64_t back = now + (away < rules->longest ? away : rules->longest);
        back = (back + rules->interval - 1) / rules->interval * rules->interval;
        word = (struct mf_outlier_word){MF_OUTLIER_EJECTED, reason, back};
        mf_store_relaxed(&ward->times, (uint32_t)times);
        mf_store_relaxed(&ward->until, back);
        mf_store_relaxed(&outlier->panic, 0);
        mf_count(&ward->ejections, 1);
        mf_count(&outlier->ejections[reason], 1);
        if (back > mf_load_relaxed(&outlier->latest))
            mf_store_relaxed(&outlier->latest, back);
        const struct mf_peer *peer = mf_load_relaxed(&ward->peer);
        if (peer)
            mf_peer_changed((struct mf_peer *)(uintptr_t)peer);
    }
    mf_store_release(&outlier->_busy, 0);
    return word;
}

static struct mf_outlier_word add(struct mf_outlier *outlier, struct mf_ward *ward, const struct mf_outlier_rules *rules,
                                  enum mf_outlier_reason reason, uint64_t now)
{
    const uint32_t most[] = {rules->errors, rules->gateway, rules->local};
    uint32_t n = 1 + atomic_fetch_add_explicit(&ward->in_a_row[reason], 1, memory_order_relaxed);
    if (most[reason] == 0 || n < most[reason])
        return (struct mf_outlier_word){0};
    mf_store_relaxed(&ward->in_a_row[reason], 0);
    return eject(outlier, ward, rules, reason, most[reason], now);
}

static void clear(struct mf_ward *ward, enum mf_outlier_reason reason)
{
    if (mf_load_relaxed(&ward->in_a_row[reason]))
        mf_store_relaxed(&ward->in_a_row[reason], 0);
}

/* Its first answer since: one worker sees that. */
static bool comes_back(struct mf_ward *ward, uint64_t until)
{
    uint64_t noticed = mf_load_relaxed(&ward->noticed);
    if (noticed == until ||
        !atomic_compare_exchange_strong_explicit(&ward->noticed, &noticed, until, memory_order_relaxed, memory_order_relaxed))
        return false;
    for (int i = 0; i < MF_OUTLIER_REASONS; i++)
        clear(ward, i);
    return true;
}

static struct mf_outlier_word count(struct mf_outlier *outlier, struct mf_ward *ward, const struct mf_outlier_rules *rules,
                                    uint32_t code, bool local, uint64_t now)
{
    if (rules->split && local)
        return add(outlier, ward, rules, MF_OUTLIER_LOCAL, now);
    clear(ward, MF_OUTLIER_LOCAL); /* not split: what was counted while it was is over */
    if (rules->own_codes && !local) {
        uint32_t bit = code - MF_OUTLIER_LEAST_CODE;
        bool is_error = bit < MF_OUTLIER_CODES && (rules->codes[bit / 64] >> (bit % 64) & 1);
        code = !is_error ? 200 : code < 500 ? 500 : code;
    }
    if (code < 500) {
        clear(ward, MF_OUTLIER_ERRORS);
        clear(ward, MF_OUTLIER_GATEWAY);
        return (struct mf_outlier_word){0};
    }
    struct mf_outlier_word word = {0};
    if (code >= 502 && code <= 504)
        word = add(outlier, ward, rules, MF_OUTLIER_GATEWAY, now);
    else
        clear(ward, MF_OUTLIER_GATEWAY);
    struct mf_outlier_word other = add(outlier, ward, rules, MF_OUTLIER_ERRORS, now);
    return word.news != MF_OUTLIER_EJECTED && other.news ? other : word;
}

struct mf_outlier_word mf_outlier_count(struct mf_outlier *outlier, const struct mf_peer *peer, uint32_t code, bool local,
                                        uint64_t now)
{
    struct mf_outlier_word word = {0};
    const struct mf_outlier_rules *rules = mf_load_acquire(&outlier->rules);
    struct mf_ward *ward = rules && code ? find(mf_load_acquire(&outlier->wards), peer) : NULL;
    if (!ward)
        return word;
    uint64_t until = mf_load_relaxed(&ward->until);
    if (until > now)
        return word;
    bool back = until && comes_back(ward, until);
    word = count(outlier, ward, rules, code, local, now);
    if (back && !word.news)
        word.news = MF_OUTLIER_BACK;
    return word;
}

uint64_t mf_outlier_until(const struct mf_outlier *outlier, const struct mf_peer *peer, uint64_t now)
{
    if (!mf_outlier_any(outlier, now) || !mf_load_relaxed(&outlier->rules))
        return 0;
    const struct mf_ward *ward = find(mf_load_acquire(&outlier->wards), peer);
    uint64_t until = ward ? mf_load_relaxed(&ward->until) : 0;
    return until > now ? until : 0;
}

bool mf_outlier_out(const struct mf_outlier *outlier, const struct mf_peer *peer, uint64_t now)
{
    return mf_outlier_until(outlier, peer, now) > 0;
}

uint32_t mf_outlier_n_out(const struct mf_outlier *outlier, struct mf_peer *const *peers, uint32_t n, uint64_t now)
{
    uint32_t out = 0;
    for (uint32_t i = 0; i < n; i++)
        out += mf_outlier_out(outlier, peers[i], now);
    return out;
}

bool mf_outlier_panics(const struct mf_outlier *outlier, uint32_t healthy, uint32_t n)
{
    const struct mf_outlier_rules *rules = mf_load_acquire(&outlier->rules);
    return rules && (uint64_t)healthy * 100 < (uint64_t)rules->least_percent * n;
}
