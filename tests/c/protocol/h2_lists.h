#pragma once
/* h2_lists: a caller that says lists of fields, each known by its number, and a role that holds what is read against them, and
 * keeps the number at the note. */
#include "protocol/h2_asker.h"
#include "protocol/h2_core.h"
#include "protocol/h2_say.h"

enum { LISTS = 8, FIELDS = 12 };

static struct mf_pair lists[LISTS][FIELDS];
static uint32_t n_fields[LISTS];
static struct mf_hpack_encoder encoder;
static uint8_t memory[65536];
static int expected; /* which list comes next */
static uint64_t heads, recalled, likes, noted, forgotten;

static void add(int list, const char *name, const char *value)
{
    lists[list][n_fields[list]++] = (struct mf_pair){mf_slice_str(name), mf_slice_str(value)};
}

static void on_head(struct mf_h2_stream *stream, const struct mf_h2_head_in *head)
{
    heads++;
    recalled += head->recalled;
    likes += head->like != NULL;
    CHECK_INT(head->kind, MF_H2_REQUEST);
    CHECK_INT(head->n, n_fields[expected]);
    for (uint32_t i = 0; i < head->n && i < n_fields[expected]; i++) {
        CHECK(mf_slice_eq(head->fields[i].key, lists[expected][i].key));
        CHECK(mf_slice_eq(head->fields[i].value, lists[expected][i].value));
        struct mf_h2_mark mark = mf_h2_mark_judge(head->fields[i], (struct mf_h2_mark){head->marks[i].name, 0});
        CHECK_INT(mark.name, mf_h2_name_of(head->fields[i].key));
    }
    CHECK(mf_slice_eq(head->request.path, lists[expected][2].value));
    CHECK(mf_slice_eq(head->request.method, lists[expected][0].value));
    CHECK(head->request.trailers && head->ended);
    if (head->note) {
        int *note = *head->note;
        if (note)
            CHECK_INT(*note, expected);
        else
            noted++;
        if (!note) {
            *head->note = note = malloc(sizeof *note);
            *note = expected;
        }
    }
    struct mf_pair status = {MF_SLICE(":status"), MF_SLICE("204")};
    mf_h2_stream_head(stream, &status, NULL, 1, true, NULL);
}

static void on_data(struct mf_h2_stream *stream, struct mf_slice data, bool ended)
{
    (void)stream;
    (void)data;
    (void)ended;
}

static void on_sent(struct mf_h2_stream *stream, size_t len)
{
    (void)stream;
    (void)len;
}

static void on_end(struct mf_h2_stream *stream, const struct mf_h2_end *end)
{
    (void)stream;
    (void)end;
}

static void on_forget(struct mf_h2_conn *h2, void *note)
{
    (void)h2;
    free(note);
    forgotten++;
}

static const struct mf_h2_ops ops = {
    .stream_size = sizeof(struct mf_h2_stream),
    .stream_zeroed = sizeof(struct mf_h2_stream),
    .on_head = on_head,
    .on_data = on_data,
    .on_sent = on_sent,
    .on_end = on_end,
    .on_forget = on_forget,
};

static void begin(struct mf_conn *conn, struct mf_h2_share *of)
{
    mf_h2_conn_begin((struct mf_h2_conn *)(void *)conn, &ops, of, true);
}

static void say_list(struct wire *wire, uint32_t id, int list, uint8_t flags)
{
    static uint8_t block[8192];
    struct mf_h2_mark mark = {.flags = flags};
    size_t len = mf_hpack_put_begin(&encoder, block);
    expected = list;
    for (uint32_t i = 0; i < n_fields[list]; i++) {
        mark.name = (uint8_t)mf_h2_name_of(lists[list][i].key);
        len += mf_hpack_put(&encoder, block + len, lists[list][i], mark);
    }
    say_frame(wire, MF_H2_HEADERS, MF_H2_END_HEADERS | MF_H2_END_STREAM, id, block, len);
    fake_turn(0);
}
