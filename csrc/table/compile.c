#include "base/err.h"
#include "base/list.h"
#include "table/service.h"

static int check_rule(struct mf_rule *rule)
{
    for (uint32_t t = 0; t < rule->n_targets; t++) {
        uint32_t at = t;
        while (at != MF_NO_TARGET && rule->targets[at].seen == 0) {
            rule->targets[at].seen = 1;
            at = rule->targets[at].fallback;
            if (at != MF_NO_TARGET && at >= rule->n_targets)
                return MF_ELIMIT;
        }
        if (at != MF_NO_TARGET && rule->targets[at].seen == 1)
            return MF_ELIMIT; /* back on our own way */
        for (at = t; at != MF_NO_TARGET && rule->targets[at].seen == 1; at = rule->targets[at].fallback)
            rule->targets[at].seen = 2;
    }
    return 0;
}

int mf_compile_check(struct mf_service *service)
{
    for (uint32_t r = 0; r < service->n_rules; r++)
        for (uint32_t t = 0; t < service->rules[r].n_targets; t++)
            service->rules[r].targets[t].seen = 0; /* what an earlier, refused try left */
    for (uint32_t r = 0; r < service->n_rules; r++) {
        int rc = check_rule(&service->rules[r]);
        if (rc != 0)
            return rc;
    }
    return 0;
}

_Static_assert(offsetof(struct mf_compiled, name) % 8 == 0, "the rules lie behind the name, aligned");

static size_t rounded(size_t size)
{
    return (size + 7) & ~(size_t)7;
}

static uint32_t n_stats(const struct mf_target *target)
{
    return target->by_label ? target->by_label->n_groups : 0;
}

static size_t size_of(const struct mf_service *service)
{
    size_t size = offsetof(struct mf_compiled, name) + rounded(service->name.len) + service->n_rules * sizeof(struct mf_crule);
    for (uint32_t r = 0; r < service->n_rules; r++) {
        const struct mf_rule *rule = &service->rules[r];
        size += rule->n_targets * sizeof(struct mf_ctarget);
        for (uint32_t t = 0; t < rule->n_targets; t++)
            size += n_stats(&rule->targets[t]) * sizeof(struct mf_stat *);
    }
    return size;
}

static size_t size_of_rest(const struct mf_service *service)
{
    size_t size = 0;
    for (uint32_t r = 0; r < service->n_rules; r++) {
        const struct mf_rule *rule = &service->rules[r];
        size += sizeof(struct mf_crule_cold) + rule->n_matches * sizeof(struct mf_cmatch) +
                rule->n_targets * (sizeof(uint64_t) + sizeof(struct mf_ctarget_cold));
        for (uint32_t t = 0; t < rule->n_targets; t++)
            size += rounded(rule->targets[t].text.len);
        for (uint32_t m = 0; m < rule->n_matches; m++) {
            const struct mf_match *match = &rule->matches[m];
            size += match->n_conditions * sizeof(struct mf_ccondition);
            for (uint32_t c = 0; c < match->n_conditions; c++)
                size += rounded(match->conditions[c].key.len) + rounded(match->conditions[c].value.len);
        }
    }
    return size;
}

static void *carve(uint8_t **at, size_t size)
{
    void *piece = *at;
    *at += rounded(size);
    return piece;
}

static struct mf_slice carve_text(uint8_t **at, struct mf_slice text)
{
    void *piece = carve(at, text.len);
    if (text.len)
        memcpy(piece, text.ptr, text.len);
    return mf_slice_of(piece, text.len);
}

static void lay_out_cold(uint8_t **at, struct mf_crule_cold *cold, const struct mf_rule *rule)
{
    cold->upto = carve(at, rule->n_targets * sizeof *cold->upto);
    cold->matches = carve(at, rule->n_matches * sizeof *cold->matches);
    cold->targets = carve(at, rule->n_targets * sizeof *cold->targets);
    for (uint32_t t = 0; t < rule->n_targets; t++)
        cold->targets[t].text = carve_text(at, rule->targets[t].text);
    for (uint32_t m = 0; m < rule->n_matches; m++) {
        const struct mf_match *match = &rule->matches[m];
        struct mf_cmatch *match_to = &cold->matches[m];
        match_to->conditions = carve(at, match->n_conditions * sizeof *match_to->conditions);
        for (uint32_t c = 0; c < match->n_conditions; c++) {
            match_to->conditions[c].key = carve_text(at, match->conditions[c].key);
            match_to->conditions[c].value = carve_text(at, match->conditions[c].value);
        }
    }
}

/* Head, name, rules, targets and their stats first: what every lookup reads lies together. */
static void lay_out(struct mf_compiled *out, const struct mf_service *service)
{
    uint8_t *at = (uint8_t *)out->name;
    out->name_len = (uint32_t)carve_text(&at, service->name).len;
    struct mf_crule *rules = carve(&at, service->n_rules * sizeof *rules);
    for (uint32_t r = 0; r < service->n_rules; r++) {
        const struct mf_rule *rule = &service->rules[r];
        struct mf_ctarget *targets = carve(&at, rule->n_targets * sizeof *targets);
        rules[r].targets = (uint32_t)((uint8_t *)targets - (uint8_t *)&rules[r]);
        rules[r].n_matches = (uint16_t)rule->n_matches;
        rules[r].n_targets = (uint16_t)rule->n_targets;
        for (uint32_t t = 0; t < rule->n_targets; t++)
            if (rule->targets[t].by_label)
                targets[t].stats = carve(&at, n_stats(&rule->targets[t]) * sizeof(struct mf_stat *));
    }
    at = out->rest;
    for (uint32_t r = 0; r < service->n_rules; r++) {
        rules[r].cold = (uint32_t)(at - out->rest);
        lay_out_cold(&at, carve(&at, sizeof(struct mf_crule_cold)), &service->rules[r]);
    }
}

static void fill_rule(struct mf_compiled *out, struct mf_crule *to, const struct mf_rule *rule)
{
    struct mf_crule_cold *cold = mf_crule_cold(out, to);
    struct mf_ctarget *targets = mf_crule_targets(to);
    uint64_t total = 0;
    to->timeout_ms = rule->timeout_ms;
    cold->actions = rule->actions;
    if (rule->actions)
        mf_actions_take(rule->actions);
    for (uint32_t m = 0; m < rule->n_matches; m++) {
        cold->matches[m].n_conditions = (uint16_t)rule->matches[m].n_conditions;
        for (uint32_t c = 0; c < rule->matches[m].n_conditions; c++) {
            cold->matches[m].conditions[c].field = rule->matches[m].conditions[c].field;
            cold->matches[m].conditions[c].op = rule->matches[m].conditions[c].op;
            cold->matches[m].conditions[c].number = rule->matches[m].conditions[c].number;
        }
    }
    for (uint32_t t = 0; t < rule->n_targets; t++) {
        const struct mf_target *from = &rule->targets[t];
        struct mf_ctarget *target = &targets[t];
        cold->upto[t] = total += from->weight;
        target->kind = from->kind;
        target->on = from->on;
        target->fallback = from->fallback;
        target->label = (uint8_t)from->label;
        if (from->by_label) {
            target->by_label = from->by_label;
            target->bits = (uint8_t)__builtin_popcount(from->by_label->mask);
        } else {
            target->group = from->group;
        }
        cold->targets[t].cluster = from->cluster;
        from->cluster->refs++;
        cold->targets[t].held = from->held;
        if (from->held)
            from->held->refs++;
    }
    if (rule->n_targets)
        targets[0].alone = cold->upto[0] != total ? MF_NOT_ALONE : rule->actions ? MF_ALONE_ACTS : MF_ALONE;
}

/* The name as statistics and explain have it, with a pattern's star; in a piece that the caller frees. */
static char *shown_name(const struct mf_compiled *compiled)
{
    char *name = mf_alloc(compiled->name_len + 1);
    if (!name)
        return NULL;
    bool before = compiled->starred == MF_STARRED_BEFORE;
    name[before ? 0 : compiled->name_len] = '*';
    memcpy(name + before, compiled->name, compiled->name_len);
    return name;
}

/* What `old` counts by for the same label values in the same place, or NULL. */
static struct mf_stat *const *stats_of(const struct mf_compiled *old, uint32_t r, uint32_t t,
                                       const struct mf_by_label *by_label)
{
    if (!old || r >= old->n_rules || t >= mf_compiled_rules(old)[r].n_targets)
        return NULL;
    const struct mf_ctarget *target = &mf_crule_targets(&mf_compiled_rules(old)[r])[t];
    return target->kind == MF_TARGET_LABEL && target->by_label == by_label ? target->stats : NULL;
}

static int fill_target_stats(struct mf_compiled *out, struct mf_slice service, struct mf_ctarget *target,
                             const struct mf_ctarget_cold *cold, struct mf_stat *const *known)
{
    struct mf_slice host = mf_slice_str(cold->cluster->host);
    if (target->kind != MF_TARGET_LABEL) {
        target->stat = mf_stat_intern(out->table, service, host, target->group ? mf_group_name(target->group) : cold->text);
        return target->stat ? 0 : -ENOMEM;
    }
    for (uint32_t i = 0; i < target->by_label->n_groups; i++) {
        target->stats[i] = known ? mf_stat_take(known[i])
                                 : mf_stat_intern(out->table, service, host, mf_group_name(target->by_label->groups[i]));
        if (!target->stats[i])
            return -ENOMEM;
    }
    return 0;
}

/* `old`: the service that this one will replace, or NULL. With thousands of label values, finding their stats again is
 * most of what a publish costs. */
static int fill_stats(struct mf_compiled *out, const struct mf_compiled *old)
{
    struct mf_slice none = mf_slice_of("", 0);
    char *shown = shown_name(out);
    if (!shown)
        return -ENOMEM;
    struct mf_slice service = mf_slice_of(shown, out->name_len + (out->starred != 0));
    out->stat = mf_stat_intern(out->table, service, none, none);
    int rc = out->stat ? 0 : -ENOMEM;
    for (uint32_t r = 0; r < out->n_rules; r++) {
        const struct mf_crule *rule = &mf_compiled_rules(out)[r];
        for (uint32_t t = 0; rc == 0 && t < rule->n_targets; t++) {
            struct mf_ctarget *target = &mf_crule_targets(rule)[t];
            rc = fill_target_stats(out, service, target, &mf_crule_cold(out, rule)->targets[t],
                                   stats_of(old, r, t, target->by_label));
        }
    }
    mf_free(shown);
    return rc;
}

/* Also of one that ran out of memory half way: stats are then missing. */
static void release_target(struct mf_ctarget *target)
{
    if (target->kind != MF_TARGET_LABEL) {
        if (target->stat)
            mf_stat_give(target->stat);
        return;
    }
    for (uint32_t i = 0; i < target->by_label->n_groups && target->stats[i]; i++)
        mf_stat_give(target->stats[i]);
}

static void release(struct mf_compiled *compiled)
{
    for (uint32_t r = 0; r < compiled->n_rules; r++) {
        const struct mf_crule *rule = &mf_compiled_rules(compiled)[r];
        for (uint32_t t = 0; t < rule->n_targets; t++) {
            struct mf_ctarget_cold *cold = &mf_crule_cold(compiled, rule)->targets[t];
            release_target(&mf_crule_targets(rule)[t]);
            mf_cluster_give_label(compiled->table, cold->cluster, cold->held);
            mf_cluster_give(compiled->table, cold->cluster);
        }
        mf_actions_give(mf_crule_cold(compiled, rule)->actions);
    }
    if (compiled->stat)
        mf_stat_give(compiled->stat);
    if (compiled->labels)
        mf_label_give_all(compiled->table, compiled->labels);
    mf_free(compiled->rest);
    mf_slab_free(compiled);
}

void mf_compiled_retired(struct mf_epoch_entry *entry)
{
    release(MF_CONTAINER(entry, struct mf_compiled, entry));
}

struct mf_compiled *mf_compile(struct mf_table *table, const struct mf_service *service, const struct mf_compiled *old)
{
    size_t size = size_of(service), rest = size_of_rest(service);
    if (size > UINT32_MAX || rest > UINT32_MAX) /* offsets in them have 32 bits */
        return NULL;
    struct mf_compiled *out = mf_table_zalloc(table, table->n_services, size);
    if (!out)
        return NULL;
    out->rest = mf_alloc(rest + 1); /* all of it is filled below */
    if (!out->rest) {
        mf_slab_free(out);
        return NULL;
    }
    out->table = table;
    out->n_rules = (uint16_t)service->n_rules;
    out->starred = service->pattern == MF_SERVICE_SUFFIX ? MF_STARRED_BEFORE : service->pattern != MF_SERVICE_EXACT;
    out->labels = service->labels;
    if (out->labels)
        mf_label_take_all(table, out->labels);
    lay_out(out, service);
    for (uint32_t r = 0; r < service->n_rules; r++)
        fill_rule(out, &mf_compiled_rules(out)[r], &service->rules[r]);
    if (fill_stats(out, old) != 0) {
        release(out);
        return NULL;
    }
    return out;
}
