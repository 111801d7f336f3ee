#include "base/err.h"
#include "table/service.h"

int mf_service_new(struct mf_table *table, struct mf_slice name, enum mf_service_pattern pattern,
                   struct mf_service **out)
{
    (void)table;
    if (name.len > MF_SERVICE_NAME)
        return MF_ELIMIT;
    struct mf_service *service = mf_zalloc(sizeof *service);
    if (!service)
        return -ENOMEM;
    service->pattern = pattern;
    service->name = mf_slice_of(mf_copy(name.ptr, name.len), pattern == MF_SERVICE_ANY ? 0 : name.len);
    if (!service->name.ptr) {
        mf_free(service);
        return -ENOMEM;
    }
    *out = service;
    return 0;
}

void mf_service_drop_rules(struct mf_table *table, struct mf_service *service)
{
    for (uint32_t r = 0; r < service->n_rules; r++) {
        struct mf_rule *rule = &service->rules[r];
        for (uint32_t m = 0; m < rule->n_matches; m++)
            mf_free(rule->matches[m].conditions);
        for (uint32_t t = 0; t < rule->n_targets; t++) {
            mf_cluster_give_label(table, rule->targets[t].cluster, rule->targets[t].held);
            mf_cluster_give(table, rule->targets[t].cluster);
        }
        mf_actions_give(rule->actions);
        mf_free(rule->matches);
        mf_free(rule->targets);
    }
    mf_free(service->rules);
    service->rules = NULL;
    service->n_rules = service->rules_room = 0;
    if (service->labels)
        mf_label_give_all(table, service->labels);
    service->labels = 0;
    mf_arena_reset(&service->texts);
}

void mf_service_free(struct mf_table *table, struct mf_service *service)
{
    if (service->compiled)
        mf_compiled_retired(&service->compiled->entry); /* nobody has seen it */
    if (service->slot)
        service->slot->pins--;
    if (service->reserved)
        mf_index_unreserve(table);
    mf_service_drop_rules(table, service);
    mf_free((void *)service->name.ptr);
    mf_free(service);
}

static int copy_text(struct mf_service *service, struct mf_slice text, struct mf_slice *out)
{
    uint8_t *copy = mf_arena_alloc(&service->texts, text.len + 1);
    if (!copy)
        return -ENOMEM;
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    *out = mf_slice_of(copy, text.len);
    return 0;
}

/* Whether there may be one more after `n` of them: their numbers are 16 bits wide, the last one means none. */
static int room_for(const struct mf_service *service, uint32_t n)
{
    if (service->compiled)
        return MF_ECLOSED;
    return n < MF_NO_TARGET ? 0 : MF_ELIMIT;
}

int mf_service_rule(struct mf_service *service, uint32_t timeout_ms)
{
    int rc = room_for(service, service->n_rules);
    if (rc == 0)
        rc = mf_grow((void **)&service->rules, service->n_rules, &service->rules_room, sizeof *service->rules);
    if (rc != 0)
        return rc;
    service->rules[service->n_rules] = (struct mf_rule){.timeout_ms = timeout_ms};
    return (int)service->n_rules++;
}

int mf_service_match(struct mf_service *service, uint16_t r)
{
    if (r >= service->n_rules)
        return service->compiled ? MF_ECLOSED : MF_ELIMIT;
    struct mf_rule *rule = &service->rules[r];
    int rc = room_for(service, rule->n_matches);
    if (rc == 0)
        rc = mf_grow((void **)&rule->matches, rule->n_matches, &rule->matches_room, sizeof *rule->matches);
    if (rc != 0)
        return rc;
    rule->matches[rule->n_matches] = (struct mf_match){0};
    return (int)rule->n_matches++;
}

/* A number in digits, MF_NO_ARGUMENT at most; or MF_ELIMIT. */
static int argument_number(struct mf_slice key)
{
    int number = key.len ? 0 : MF_ELIMIT;
    for (size_t i = 0; number >= 0 && i < key.len; i++) {
        if (key.ptr[i] < '0' || key.ptr[i] > '9')
            return MF_ELIMIT;
        number = number * 10 + (key.ptr[i] - '0');
        if (number > MF_NO_ARGUMENT)
            number = MF_NO_ARGUMENT;
    }
    return number;
}

int mf_service_judge(struct mf_table *table, struct mf_service *service, enum mf_field field, struct mf_slice key,
                     enum mf_op op, struct mf_slice value)
{
    if ((unsigned)field >= MF_FIELDS || (unsigned)op > MF_OP_ABSENT)
        return MF_ELIMIT;
    int rc = op == MF_OP_REGEX ? mf_dfa_check(value) : 0;
    if (rc >= 0 && field == MF_FIELD_ARGUMENT)
        return argument_number(key);
    if (rc < 0 || field != MF_FIELD_LABEL)
        return rc;
    rc = mf_label_intern(table, key);
    uint64_t bit = rc < 0 ? 0 : UINT64_C(1) << rc;
    mf_label_give_all(table, service->labels & bit); /* one reference is enough */
    service->labels |= bit;
    return rc;
}

int mf_service_condition(struct mf_table *table, struct mf_service *service, uint16_t r, uint16_t m,
                         enum mf_field field, struct mf_slice key, enum mf_op op, struct mf_slice value)
{
    if (r >= service->n_rules || m >= service->rules[r].n_matches)
        return service->compiled ? MF_ECLOSED : MF_ELIMIT;
    struct mf_match *match = &service->rules[r].matches[m];
    struct mf_condition condition = {.field = (uint8_t)field, .op = (uint8_t)op};
    int rc = room_for(service, match->n_conditions);
    if (rc == 0)
        rc = mf_grow((void **)&match->conditions, match->n_conditions, &match->conditions_room,
                     sizeof *match->conditions);
    if (rc == 0)
        rc = copy_text(service, key, &condition.key);
    if (rc == 0)
        rc = copy_text(service, value, &condition.value);
    if (rc == 0)
        rc = mf_service_judge(table, service, field, key, op, value);
    if (rc < 0)
        return rc;
    condition.number = (uint16_t)rc;
    match->conditions[match->n_conditions] = condition;
    return (int)match->n_conditions++;
}

int mf_service_actions(struct mf_service *service, uint16_t r, struct mf_actions *actions)
{
    if (r >= service->n_rules)
        return service->compiled ? MF_ECLOSED : MF_ELIMIT;
    mf_actions_take(actions);
    mf_actions_give(service->rules[r].actions);
    service->rules[r].actions = actions;
    return 0;
}

/* What the target means in its cluster. */
static int resolve(struct mf_table *table, struct mf_target *target)
{
    switch (target->kind) {
    case MF_TARGET_ALL:
        target->group = target->cluster->all;
        return 0;
    case MF_TARGET_SUBSET:
        target->group = mf_cluster_find_subset(target->cluster, target->text);
        return 0;
    case MF_TARGET_LABEL:
    case MF_TARGET_BASELINE: {
        int label = mf_label_number(table, target->text), made = label < 0;
        if (made)
            label = mf_label_intern(table, target->text);
        if (label < 0)
            return label;
        struct mf_by_label *by = mf_cluster_by_label(table, target->cluster, (uint32_t)label);
        if (made) /* the groups have their own reference */
            mf_label_give(table, (uint32_t)label);
        if (!by)
            return -ENOMEM;
        target->label = (uint16_t)label;
        target->held = by;
        if (target->kind == MF_TARGET_LABEL)
            target->by_label = by;
        else
            target->group = by->baseline;
        return 0;
    }
    }
    return MF_ELIMIT;
}

int mf_service_target(struct mf_table *table, struct mf_service *service, uint16_t r, struct mf_cluster *cluster,
                      enum mf_target_kind kind, struct mf_slice text, uint32_t weight, enum mf_fallback_case on,
                      uint16_t fallback)
{
    if (r >= service->n_rules)
        return service->compiled ? MF_ECLOSED : MF_ELIMIT;
    if (!cluster->sealed || (unsigned)on > MF_FALLBACK_NO_LOCAL)
        return MF_ELIMIT;
    struct mf_rule *rule = &service->rules[r];
    struct mf_target target = {
        .kind = (uint8_t)kind, .on = (uint8_t)on, .fallback = fallback, .weight = weight, .cluster = cluster};
    int rc = room_for(service, rule->n_targets);
    if (rc == 0)
        rc = mf_grow((void **)&rule->targets, rule->n_targets, &rule->targets_room, sizeof *rule->targets);
    if (rc == 0)
        rc = copy_text(service, text, &target.text);
    if (rc == 0)
        rc = resolve(table, &target);
    if (rc != 0)
        return rc;
    cluster->refs++;
    rule->targets[rule->n_targets] = target;
    return (int)rule->n_targets++;
}
