#include "call/note.h"

#include "base/mem.h"
#include "loop/sock.h"

#include <errno.h>

int mf_notes_init(struct mf_notes *notes, struct mf_local *local, uint32_t sample)
{
    const struct mf_limits *limits = local->limits;
    *notes = (struct mf_notes){.local = local, .sample = sample, .by_method = limits->max_methods > 0};
    notes->of_slots = mf_zalloc(limits->max_calls * sizeof *notes->of_slots);
    int rc = notes->of_slots ? 0 : -ENOMEM;
    if (rc == 0 && notes->by_method)
        rc = mf_tally_init(&notes->methods, limits->max_methods, limits->max_service_methods, local->random);
    if (rc == 0 && sample)
        rc = mf_ring_init(&notes->ring, sizeof(struct mf_record), limits->access_records);
    return rc;
}

void mf_notes_dispose(struct mf_notes *notes)
{
    for (struct mf_note *note = notes->_made, *next; note; note = next) {
        next = note->_made;
        mf_free(note);
    }
    notes->_made = notes->_free = NULL;
    mf_free(notes->of_slots);
    notes->of_slots = NULL;
    mf_tally_dispose(&notes->methods);
    mf_ring_dispose(&notes->ring);
}

static struct mf_note *take(struct mf_notes *notes)
{
    struct mf_note *note = notes->_free;
    if (note) {
        notes->_free = note->_free;
        return note;
    }
    note = mf_alloc(sizeof *note);
    if (!note)
        return NULL;
    note->_made = notes->_made;
    notes->_made = note;
    return note;
}

static uint8_t cut(char *to, size_t room, struct mf_slice text)
{
    size_t len = text.len < room ? text.len : room;
    if (len)
        memcpy(to, text.ptr, len);
    return (uint8_t)len;
}

/* Those that fit, whole. */
static uint16_t put_labels(struct mf_local *local, const struct mf_query *query, uint8_t *to)
{
    const struct mf_labels *plan = mf_table_labels(local->table);
    if (plan->n_names == 0)
        return 0;
    mf_label_find(plan, local->trace, query, &local->labels);
    size_t at = 0;
    for (uint32_t i = 0; i < plan->n_labels; i++) {
        struct mf_slice texts[] = {plan->labels[i].name, local->labels.value[plan->labels[i].index]};
        if (texts[1].len == 0 || texts[0].len > UINT8_MAX || texts[1].len > UINT8_MAX ||
            at + texts[0].len + texts[1].len + 2 > MF_RECORD_LABELS)
            continue;
        for (int j = 0; j < 2; j++) {
            to[at++] = (uint8_t)texts[j].len;
            memcpy(to + at, texts[j].ptr, texts[j].len);
            at += texts[j].len;
        }
    }
    return (uint16_t)at;
}

static void begin_record(struct mf_notes *notes, struct mf_record *record, uint8_t direction, const struct mf_query *query,
                         const struct mf_query *labelled, uint64_t request_id, int caller_fd)
{
    record->direction = direction;
    record->request_id = request_id;
    record->code = record->http = 0;
    record->rule = -1;
    record->fallbacks = 0;
    record->peer.len = 0;
    if (caller_fd < 0 || mf_sock_peer(caller_fd, &record->caller) < 0)
        record->caller.len = 0;
    record->service_len = cut(record->service, sizeof record->service, query->service);
    record->method_len = cut(record->method, sizeof record->method, query->method);
    record->labels_len = put_labels(notes->local, labelled, record->labels);
}

struct mf_note *mf_note_begin(struct mf_notes *notes, uint8_t direction, const struct mf_query *query,
                              const struct mf_query *labelled, uint64_t request_id, int caller_fd)
{
    struct mf_local *local = notes->local;
    bool logged = notes->sample && mf_local_random(local) % MF_NOTE_ALL_CALLS < notes->sample;
    if (!logged && !notes->by_method)
        return NULL;
    struct mf_note *note = take(notes);
    if (!note) {
        if (logged)
            MF_COUNT(local, limit_access_records);
        return NULL;
    }
    enum mf_tally_place whose = MF_TALLY_OWN;
    note->method = notes->by_method ? mf_tally_find(&notes->methods, direction, query->service, query->method, &whose) : NULL;
    if (whose == MF_TALLY_REST)
        MF_COUNT(local, limit_max_service_methods);
    else if (whose == MF_TALLY_OTHERS)
        MF_COUNT(local, limit_max_methods);
    note->up = note->down = 0;
    note->logged = logged;
    if (logged)
        begin_record(notes, &note->record, direction, query, labelled, request_id, caller_fd);
    return note;
}

static void count(struct mf_stat_shard *counts, const struct mf_note_end *end)
{
    mf_count(&counts->begun, 1);
    mf_count(&counts->done, 1);
    mf_count(&counts->bytes_up, end->bytes_up);
    mf_count(&counts->bytes_down, end->bytes_down);
    mf_count(&counts->status[end->status], 1);
    if (end->outcome != MF_OUTCOME_OK)
        mf_count(&counts->outcome[end->outcome], 1);
    if (!end->two_way)
        mf_count(&counts->one_way, 1);
    if (!end->answered)
        return;
    mf_count(&counts->latency[mf_stat_bucket(end->took)], 1);
    mf_count(&counts->latency_sum_ns, end->took);
}

static void log_it(struct mf_notes *notes, struct mf_record *record, const struct mf_note_end *end)
{
    record->ended = mf_local_now(notes->local);
    record->took = end->took;
    record->bytes_up = end->bytes_up;
    record->bytes_down = end->bytes_down;
    record->outcome = end->outcome;
    record->tries = end->tries;
    record->status = end->two_way ? end->status : MF_STAT_LOST;
    record->subset_len = cut(record->subset, sizeof record->subset, end->subset);
    if (end->peer)
        record->peer = *end->peer;
    else
        record->peer.len = 0;
    if (mf_ring_push(&notes->ring, record) < 0)
        MF_COUNT(notes->local, limit_access_records); /* the engine's thread is far behind */
}

void mf_note_end(struct mf_notes *notes, struct mf_note *note, const struct mf_note_end *end)
{
    if (note->method)
        count(note->method, end);
    if (note->logged)
        log_it(notes, &note->record, end);
    note->_free = notes->_free;
    notes->_free = note;
}
