#pragma once
/* h2_asker: a role that asks and notes what came back, by stream. */
#include "protocol/h2_conn.h"

#include <string.h>

enum { ASKED = 4096 };

struct asked {
    struct mf_h2_stream *stream; /* NULL once it has ended */
    char kinds[8];               /* of blocks that came: i, r, t */
    uint32_t n_kinds, status;
    size_t got, sent, held;
    uint32_t sum;                /* of the bytes that came, by place */
    bool ended, over;            /* the answer's end; the stream's */
    struct mf_h2_end end;
};

struct asking {
    struct mf_h2_conn h2; /* first */
};

static struct {
    struct asked of[ASKED]; /* by stream: id / 2 */
    bool keep;              /* what comes is not credited */
    uint32_t ready, rooms, goaways, pongs, lost, ends;
    int lost_rc;
} asker;

static struct asked *asked_of(const struct mf_h2_stream *stream)
{
    return &asker.of[stream->id / 2 % ASKED];
}

static void ask_head(struct mf_h2_stream *stream, const struct mf_h2_head_in *head)
{
    struct asked *asked = asked_of(stream);
    if (asked->n_kinds + 1 < sizeof asked->kinds)
        asked->kinds[asked->n_kinds++] = "?irt"[head->kind];
    if (head->kind == MF_H2_RESPONSE)
        asked->status = head->response.status;
    asked->ended |= head->ended;
}

static void ask_data(struct mf_h2_stream *stream, struct mf_slice data, bool ended)
{
    struct asked *asked = asked_of(stream);
    for (size_t i = 0; i < data.len; i++)
        asked->sum += data.ptr[i] * (uint32_t)(asked->got + i + 1);
    asked->got += data.len;
    asked->ended |= ended;
    asked->held += data.len;
    if (asker.keep)
        return;
    size_t held = asked->held;
    asked->held = 0;
    mf_h2_stream_credit(stream, held, SIZE_MAX);
}

static void ask_sent(struct mf_h2_stream *stream, size_t len)
{
    asked_of(stream)->sent += len;
}

static void ask_end(struct mf_h2_stream *stream, const struct mf_h2_end *end)
{
    struct asked *asked = asked_of(stream);
    asked->over = true;
    asked->end = *end;
    asked->stream = NULL;
    asker.ends++;
}

static void ask_ready(struct mf_h2_conn *h2)
{
    (void)h2;
    asker.ready++;
}

static void ask_room(struct mf_h2_conn *h2)
{
    (void)h2;
    asker.rooms++;
}

static void ask_goaway(struct mf_h2_conn *h2, const struct mf_h2_goaway *goaway)
{
    (void)h2;
    (void)goaway;
    asker.goaways++;
}

static void ask_pong(struct mf_h2_conn *h2)
{
    (void)h2;
    asker.pongs++;
}

static void ask_lost(struct mf_h2_conn *h2, int rc)
{
    (void)h2;
    asker.lost++;
    asker.lost_rc = rc;
}

static const struct mf_h2_ops ask_ops = {
    .stream_size = sizeof(struct mf_h2_stream),
    .stream_zeroed = sizeof(struct mf_h2_stream),
    .on_head = ask_head,
    .on_data = ask_data,
    .on_sent = ask_sent,
    .on_end = ask_end,
    .on_ready = ask_ready,
    .on_room = ask_room,
    .on_goaway = ask_goaway,
    .on_pong = ask_pong,
    .on_lost = ask_lost,
};

/* A request; NULL when there is no room. */
static struct asked *ask(struct mf_h2_conn *h2, const char *method, const char *path, bool end)
{
    struct mf_pair fields[] = {
        {mf_slice_str(":method"), mf_slice_str(method)},
        {mf_slice_str(":scheme"), mf_slice_str("http")},
        {mf_slice_str(":path"), mf_slice_str(path)},
        {mf_slice_str(":authority"), mf_slice_str("a")},
        {mf_slice_str("te"), mf_slice_str("trailers")},
    };
    int rc;
    struct mf_h2_stream *stream = mf_h2_stream_open(h2, fields, NULL, 5, end, NULL, &rc);
    if (!stream)
        return NULL;
    struct asked *asked = asked_of(stream);
    memset(asked, 0, sizeof *asked);
    asked->stream = stream;
    return asked;
}
