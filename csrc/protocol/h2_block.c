#include "protocol/h2_block.h"

#include <errno.h>

/* --- its pieces */

/* The frames of a block follow each other (RFC 9113 6.10), so what has come is left where it is until the last is there:
 * nobody keeps a half. Returns the bytes taken, MF_EMORE, or 0 after a failure. */
static long join(struct mf_h2_conn *h2, const struct mf_h2_head *head, struct mf_slice rest, struct mf_slice first,
                 struct mf_slice *block)
{
    const struct mf_limits *limits = h2->conn.local->limits;
    size_t at = MF_H2_HEAD_LEN + head->len, len = first.len;
    *block = first;
    if (len > limits->h2_block) {
        MF_H2_CORE_CALM(h2, limit_h2_block);
        return 0;
    }
    bool ended = head->flags & MF_H2_END_HEADERS;
    for (uint64_t n = 1; !ended; n++) {
        struct mf_h2_head next;
        int rc = mf_h2_frame_head(mf_slice_of(rest.ptr + at, rest.len - at), (uint32_t)limits->h2_frame, &next);
        if (rc == MF_EMORE)
            return MF_EMORE;
        if (rc > 0 && (next.type != MF_H2_CONTINUATION || next.stream != head->stream))
            rc = MF_EH2_ORDER;
        if (rc < 0) {
            mf_h2_core_fail(h2, mf_h2_frame_code(rc), rc);
            return 0;
        }
        if (n > limits->h2_continuations) {
            MF_H2_CORE_CALM(h2, limit_h2_continuations);
            return 0;
        }
        if (len + next.len > limits->h2_block) {
            MF_H2_CORE_CALM(h2, limit_h2_block);
            return 0;
        }
        at += MF_H2_HEAD_LEN;
        if (rest.len - at < next.len)
            return MF_EMORE;
        if (n == 1 && len)
            memcpy(h2->share->joined, first.ptr, len);
        if (next.len)
            memcpy(h2->share->joined + len, rest.ptr + at, next.len);
        len += next.len;
        at += next.len;
        ended = next.flags & MF_H2_END_HEADERS;
        *block = mf_slice_of(h2->share->joined, len);
    }
    return (long)at;
}

/* --- what it says */

/* More than its bytes and all that the table may hold account for: it names the same long entries again and again, each of which
 * would go on as it is. */
static bool grows(const struct mf_h2_conn *h2, struct mf_slice block, const struct mf_hpack_list *list)
{
    uint64_t size = list->size_all - list->n_all * MF_HPACK_OVERHEAD;
    return size > MF_HPACK_TABLE + h2->conn.local->limits->h2_growth * block.len;
}

/* Decoded into `in`, or recalled where it is to be read as it was then. NULL after a failure. */
static struct mf_h2_head_in *decode(struct mf_h2_conn *h2, struct mf_slice block, bool trailers, struct mf_h2_head_in *in)
{
    int rc = mf_h2_core_tables(h2);
    if (rc < 0) {
        mf_h2_core_fail(h2, MF_H2_INTERNAL_ERROR, rc);
        return NULL;
    }
    struct mf_h2_tables *tables = h2->_tables;
    uint64_t generation = tables->decoder.table.generation;
    struct mf_h2_memo *memo = mf_h2_memo_find(&tables->memos, block, generation, trailers);
    if (memo)
        return &memo->head;
    struct mf_hpack_list list = {0};
    rc = mf_hpack_decode(&tables->decoder, block, &h2->share->room, &list);
    if (rc < 0) {
        mf_h2_core_fail(h2, mf_h2_frame_code(rc), rc);
        return NULL;
    }
    if (list.over & MF_HPACK_OVER_FIELDS)
        MF_COUNT(h2->conn.local, limit_h2_fields);
    else if (list.over)
        MF_COUNT(h2->conn.local, limit_h2_header_list);
    bool over = list.over;
    if (!over && grows(h2, block, &list)) {
        MF_COUNT(h2->conn.local, limit_h2_growth);
        over = true;
    }
    h2->share->scratch_used = list.scratch_used;
    *in = (struct mf_h2_head_in){
        .over = over,
        .n = list.n,
        .fields = h2->share->room.fields,
        .marks = h2->share->room.marks,
        .block = block,
        .generation = generation,
    };
    return in;
}

/* It was well-formed, and may come again. */
static void keep(struct mf_h2_conn *h2, struct mf_h2_head_in *in)
{
    struct mf_h2_tables *tables = h2->_tables;
    if (in->recalled || in->over || tables->decoder.table.generation != in->generation ||
        !mf_h2_memo_worth(&tables->memos, in->block, in->generation))
        return;
    struct mf_slice scratch = mf_slice_of(h2->share->room.scratch, h2->share->scratch_used);
    struct mf_h2_memo *memo = mf_h2_memo_keep(h2, &tables->memos, in, scratch);
    if (memo)
        in->note = memo->head.note;
}

/* What the fields say; the same each time that they come. */
static int parse(struct mf_h2_conn *h2, struct mf_h2_head_in *in, enum mf_h2_kind kind)
{
    if (in->recalled)
        return 0;
    uint32_t at;
    int rc;
    in->kind = (uint8_t)kind;
    struct mf_h2_like *like = kind == MF_H2_REQUEST ? mf_h2_like_find(&h2->_tables->likes, in) : NULL;
    if (like) {
        in->request = like->head.request;
        in->like = like;
        in->note = &like->note;
        return 0;
    }
    if (kind == MF_H2_REQUEST)
        rc = mf_h2_fields_request(in->fields, in->marks, in->n, &in->request);
    else if (kind == MF_H2_TRAILERS)
        rc = mf_h2_fields_trailers(in->fields, in->marks, in->n, &at);
    else
        rc = mf_h2_fields_response(in->fields, in->marks, in->n, &in->response);
    if (rc < 0)
        return rc;
    if (kind == MF_H2_RESPONSE && in->response.status < 200)
        in->kind = MF_H2_INTERIM;
    keep(h2, in);
    if (kind == MF_H2_REQUEST && !in->note)
        mf_h2_like_keep(h2, &h2->_tables->likes, in);
    return 0;
}

static int read_response(struct mf_h2_stream *stream, struct mf_h2_head_in *in)
{
    int rc = in->over ? MF_ELIMIT : parse(stream->conn, in, MF_H2_RESPONSE);
    if (rc < 0)
        return rc;
    if (in->kind == MF_H2_INTERIM)
        return in->ended ? MF_EH2_ORDER : 0;
    stream->head_in = true;
    stream->_length = mf_h2_fields_expect(&in->response, stream->_no_content ? MF_SLICE("HEAD") : MF_SLICE("GET"));
    return mf_h2_fields_content(stream->_length, 0, in->ended);
}

static int read_trailers(struct mf_h2_stream *stream, struct mf_h2_head_in *in)
{
    if (in->over)
        return MF_ELIMIT;
    int rc = in->ended ? parse(stream->conn, in, MF_H2_TRAILERS) : MF_EH2_ORDER;
    return rc == 0 ? mf_h2_fields_content(stream->_length, stream->_got, true) : rc;
}

static void tell(struct mf_h2_stream *stream, const struct mf_h2_head_in *in)
{
    struct mf_h2_conn *h2 = stream->conn;
    h2->_now = stream;
    if (in->ended)
        mf_h2_core_step(stream, MF_H2_IN_END);
    h2->ops->on_head(stream, in);
    if (h2->_now && stream->state == MF_H2_ENDED)
        mf_h2_core_finish(stream, &(struct mf_h2_end){.why = MF_H2_WHOLE});
    h2->_now = NULL;
}

/* Another block of a stream that is there. */
static void more(struct mf_h2_stream *stream, struct mf_h2_head_in *in)
{
    int rc = stream->head_in ? read_trailers(stream, in) : read_response(stream, in);
    if (rc < 0)
        mf_h2_core_refuse(stream, rc == MF_ELIMIT ? MF_H2_ENHANCE_YOUR_CALM : MF_H2_PROTOCOL_ERROR, rc);
    else
        tell(stream, in);
}

static void opened(struct mf_h2_conn *h2, uint32_t id)
{
    uint32_t step = h2->last_in ? (id - h2->last_in) / 2 : 64;
    h2->_used = (step < 64 ? h2->_used << step : 0) | 1;
    h2->last_in = id;
    MF_COUNT(h2->conn.local, h2_streams_in);
}

/* A new stream that does not come to be. */
static void turn_away(struct mf_h2_conn *h2, uint32_t id, const struct mf_h2_head_in *in, enum mf_h2_code code)
{
    if (!in->ended)
        mf_h2_core_remember(h2, id);
    /* Before it knows how many there may be, asking for more is no fault of the peer. */
    if (code == MF_H2_REFUSED_STREAM && !h2->_acked)
        mf_h2_core_rst(h2, id, code);
    else
        mf_h2_core_refuse_id(h2, id, code);
}

static void begin(struct mf_h2_conn *h2, uint32_t id, struct mf_h2_head_in *in, int rc)
{
    opened(h2, id);
    if (h2->n_streams >= h2->conn.local->limits->h2_streams) {
        MF_COUNT(h2->conn.local, limit_h2_streams);
        turn_away(h2, id, in, MF_H2_REFUSED_STREAM);
        return;
    }
    in->kind = MF_H2_REQUEST;
    if (rc == 0 && !in->over)
        rc = parse(h2, in, MF_H2_REQUEST);
    if (rc == 0 && !in->over)
        rc = mf_h2_fields_content(in->request.content_length, 0, in->ended);
    if (rc < 0 || in->request.connect) { /* there is nothing here that a tunnel could be made of */
        turn_away(h2, id, in, rc < 0 ? MF_H2_PROTOCOL_ERROR : MF_H2_CONNECT_ERROR);
        return;
    }
    struct mf_h2_stream *stream = mf_h2_core_add(h2, id);
    if (!stream) {
        MF_COUNT(h2->conn.local, out_of_memory);
        turn_away(h2, id, in, MF_H2_REFUSED_STREAM);
        return;
    }
    mf_h2_core_step(stream, MF_H2_IN_HEADERS);
    stream->head_in = true;
    stream->_length = in->over ? MF_H2_NO_LENGTH : in->request.content_length;
    tell(stream, in);
}

/* --- frames */

/* A stream that a frame names, NULL where it is not alive; and its state. */
struct named {
    struct mf_h2_stream *stream;
    enum mf_h2_state state;
};

static void headers(struct mf_h2_conn *h2, uint32_t id, struct named named, struct mf_h2_head_in *in, int rc)
{
    struct mf_h2_stream *stream = named.stream;
    enum mf_h2_state state = named.state;
    struct mf_h2_step step = mf_h2_state_step(state, MF_H2_IN_HEADERS);
    if (step.verdict == MF_H2_PASS)
        return;
    if (step.verdict != MF_H2_TAKE) {
        if (stream)
            mf_h2_core_refuse(stream, MF_H2_STREAM_CLOSED, MF_EH2_CLOSED);
        else
            mf_h2_core_refuse_id(h2, id, MF_H2_STREAM_CLOSED);
    } else if (state == MF_H2_IDLE) {
        begin(h2, id, in, rc);
    } else if (rc < 0) {
        mf_h2_core_refuse(stream, MF_H2_PROTOCOL_ERROR, rc);
    } else {
        more(stream, in);
    }
}

/* What ends the connection although the block would be right. */
static int forbidden(const struct mf_h2_conn *h2, uint32_t id, struct named named)
{
    if (named.state == MF_H2_IDLE && (!h2->server || !(id & 1)))
        return MF_EH2_ORDER;
    if (named.state != MF_H2_ENDED || named.stream || !h2->server)
        return 0;
    uint32_t back = (h2->last_in - id) / 2; /* streams that were passed over were never opened (5.1.1) */
    return back < 64 && !(h2->_used >> back & 1) ? MF_EH2_ORDER : MF_EH2_CLOSED;
}

/* `promised` is refused. Before the peer knows that, it is no error (RFC 9113 6.5.2). */
static int promise(const struct mf_h2_conn *h2, enum mf_h2_state state, uint32_t promised)
{
    if (h2->server || h2->_acked || promised <= h2->last_in || (promised & 1) || state == MF_H2_IDLE ||
        state == MF_H2_ENDED)
        return MF_EH2_ORDER;
    return 0;
}

long mf_h2_block_in(struct mf_h2_conn *h2, const struct mf_h2_head *head, struct mf_slice rest)
{
    struct mf_slice payload = mf_slice_of(rest.ptr + MF_H2_HEAD_LEN, head->len), fragment;
    struct mf_h2_headers parsed;
    struct mf_h2_push push = {.promised = 0};
    struct named named;
    int rc, of_stream = 0;
    named.state = mf_h2_core_state(h2, head->stream, &named.stream);
    if (head->type == MF_H2_HEADERS) {
        rc = mf_h2_frame_headers(head, payload, &parsed);
        fragment = parsed.block;
        if (mf_h2_frame_of_stream(rc)) {
            of_stream = rc;
            rc = 0;
        }
        if (rc == 0)
            rc = forbidden(h2, head->stream, named);
    } else {
        rc = mf_h2_frame_push(head, payload, &push);
        fragment = push.block;
        if (rc == 0)
            rc = promise(h2, named.state, push.promised);
    }
    if (rc < 0) {
        mf_h2_core_fail(h2, mf_h2_frame_code(rc), rc);
        return 0;
    }
    struct mf_slice block;
    struct mf_h2_head_in decoded, *in = NULL;
    mf_h2_core_fetch(h2, head->stream);
    long took = join(h2, head, rest, fragment, &block);
    if (took > 0)
        in = decode(h2, block, named.stream && named.stream->head_in, &decoded);
    if (!in)
        return took < 0 ? took : 0;
    if (head->type == MF_H2_PUSH_PROMISE) {
        h2->last_in = push.promised;
        mf_h2_core_rst(h2, push.promised, MF_H2_REFUSED_STREAM);
        return took;
    }
    in->ended = head->flags & MF_H2_END_STREAM;
    headers(h2, head->stream, named, in, of_stream);
    return took;
}
