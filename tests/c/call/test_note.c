/* note: a record of each call that is sampled, once; what finds no room is dropped and counted; counts by method. */
#include "call/note.h"

#include "bare.h"

static struct {
    struct mf_loop *loop;
    struct bare bare;
    struct mf_notes notes;
} w;

static void open_world(uint32_t sample, uint64_t records, uint64_t methods)
{
    const char *why;
    CHECK_INT(mf_loop_new(&(struct mf_loop_options){.backend = MF_LOOP_EPOLL}, &w.loop, &why), 0);
    open_bare(&w.bare, w.loop, 16);
    w.bare.limits.access_records = records;
    w.bare.limits.max_methods = methods;
    CHECK_INT(mf_notes_init(&w.notes, &w.bare.local, sample), 0);
}

static void close_world(void)
{
    mf_notes_dispose(&w.notes);
    close_bare(&w.bare);
    mf_loop_free(w.loop);
}

static struct mf_query asks(const char *service, const char *method)
{
    return (struct mf_query){.service = mf_slice_str(service), .method = mf_slice_str(method)};
}

static void test_records(void)
{
    open_world(MF_NOTE_ALL_CALLS, 4, 0);
    struct mf_query query = asks("com.x.Cart", "add");
    struct mf_addr peer;
    CHECK_INT(mf_addr_parse(MF_SLICE("10.0.0.1:20880"), &peer), 0);
    struct mf_note_end end = {.outcome = MF_OUTCOME_REMOTE_ERROR, .status = 9, .two_way = true, .answered = true,
                              .took = 5, .bytes_up = 6, .bytes_down = 7, .peer = &peer, .subset = MF_SLICE("dev1")};
    struct mf_note *first = mf_note_begin(&w.notes, 1, &query, &query, 42, -1);
    mf_note_end(&w.notes, first, &end);
    char name[200];
    memset(name, 'n', sizeof name);
    query.service = query.method = end.subset = mf_slice_of(name, sizeof name);
    end.two_way = false;
    end.peer = NULL;
    CHECK(mf_note_begin(&w.notes, 0, &query, &query, 43, -1) == first); /* used again */
    mf_note_end(&w.notes, first, &end);

    struct mf_record record;
    CHECK_INT(mf_ring_pop(&w.notes.ring, &record), 1);
    CHECK_STR(mf_slice_of(record.service, record.service_len), "com.x.Cart");
    CHECK_STR(mf_slice_of(record.method, record.method_len), "add");
    CHECK_STR(mf_slice_of(record.subset, record.subset_len), "dev1");
    CHECK(record.direction == 1 && record.outcome == MF_OUTCOME_REMOTE_ERROR && record.status == 9);
    CHECK(record.request_id == 42 && record.took == 5 && record.bytes_up == 6 && record.bytes_down == 7);
    CHECK(mf_addr_eq(&record.peer, &peer) && record.caller.len == 0 && record.labels_len == 0);
    CHECK_INT(mf_ring_pop(&w.notes.ring, &record), 1);
    CHECK(record.service_len == MF_RECORD_SERVICE && record.method_len == MF_RECORD_METHOD);
    CHECK(record.subset_len == MF_RECORD_SUBSET && record.peer.len == 0 && record.status == MF_STAT_LOST);

    end.two_way = true;
    end.status = MF_STAT_HTTP + 3;
    for (int i = 0; i < 2; i++) { /* with its status told, and used again without */
        w.notes.of_slots[5] = mf_note_begin(&w.notes, 0, &query, &query, 7, -1);
        if (i == 0)
            w.notes.of_slots[5]->record.http = 429;
        mf_note_end(&w.notes, w.notes.of_slots[5], &end);
        CHECK_INT(mf_ring_pop(&w.notes.ring, &record), 1);
        CHECK(record.status == MF_STAT_HTTP + 3 && record.http == (i == 0 ? 429 : 0) && record.rule == -1 && record.request_id == 7);
    }

    for (int i = 0; i < 10; i++)
        mf_note_end(&w.notes, mf_note_begin(&w.notes, 0, &query, &query, 0, -1), &end);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.limit_access_records), 6);
    int n = 0;
    while (mf_ring_pop(&w.notes.ring, &record))
        n++;
    CHECK_INT(n, 4);
    close_world();
}

static void test_sampled(void)
{
    open_world(MF_NOTE_ALL_CALLS / 4, 16, 0);
    struct mf_query query = asks("s", "m");
    int n = 0;
    for (int i = 0; i < 10000; i++)
        n += mf_note_begin(&w.notes, 0, &query, &query, 0, -1) != NULL;
    CHECK(n > 2200 && n < 2800);
    CHECK(w.notes.ring._tail == 0); /* calls in flight have said nothing */
    close_world();
}

static void test_methods(void)
{
    open_world(0, 16, 1);
    struct mf_query add = asks("s", "add"), other = asks("s", "other");
    struct mf_note_end ok = {.outcome = MF_OUTCOME_OK, .two_way = true, .answered = true, .took = 60000, .bytes_up = 3};
    struct mf_note_end late = {.outcome = MF_OUTCOME_TIMEOUT, .status = 3, .two_way = true, .took = 1};
    mf_note_end(&w.notes, mf_note_begin(&w.notes, 0, &add, &add, 0, -1), &ok);
    mf_note_end(&w.notes, mf_note_begin(&w.notes, 0, &add, &add, 0, -1), &late);
    struct mf_note_end asked = {.status = MF_STAT_GRPC + 14, .outcome = MF_OUTCOME_NO_PEER, .two_way = true, .took = 1};
    mf_note_end(&w.notes, mf_note_begin(&w.notes, 0, &add, &add, 0, -1), &asked);
    mf_note_end(&w.notes, mf_note_begin(&w.notes, 0, &other, &other, 0, -1), &ok);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.limit_max_methods), 1);
    uint32_t at = 0;
    const struct mf_tallied *one = mf_tally_next(&w.notes.methods, &at);
    CHECK_STR(mf_tallied_second(one), "add");
    CHECK(one->counts.begun == 3 && one->counts.status[MF_STAT_GRPC + 14] == 1 &&
          one->counts.status[0] == 1 && one->counts.status[3] == 1);
    CHECK(one->counts.outcome[MF_OUTCOME_TIMEOUT] == 1 && one->counts.latency[1] == 1 && one->counts.bytes_up == 3);
    one = mf_tally_next(&w.notes.methods, &at);
    CHECK(one->other && one->counts.begun == 1);
    close_world();
}

int main(void)
{
    test_records();
    test_sampled();
    test_methods();
    return test_end("note");
}
