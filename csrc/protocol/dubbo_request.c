#include "protocol/dubbo_request.h"

#include "base/err.h"
#include "base/mem.h"
#include "call/govern.h"
#include "codec/dubbo_argument.h"
#include "protocol/dubbo_change.h"
#include "protocol/dubbo_frame.h"

#include <errno.h>
#include <stdio.h>

enum { ASKED = 4, ARGUMENT_ROOM = 1024 }; /* arguments that are kept; bytes of one that has to be made a text */
enum { TAIL_ROOM = 16384, TEXT_ROOM = 256 }; /* the tail: MF_LABELS_SAID empty stamps, or fewer that have a value */
_Static_assert(MF_LABELS_SAID * (MF_LABEL_TEXT * 3 / 2 + 20) + 6 <= TAIL_ROOM, "mf_dubbo_stamp_room of those");

/* An argument that somebody asked for. */
struct asked {
    uint32_t index;
    bool found;
    struct mf_slice text; /* in the body, or in `room` */
    uint8_t room[ARGUMENT_ROOM];
};

/* Borrowed from the caller's input, or from a queued call's frame. */
struct request {
    struct mf_request base; /* first */
    struct mf_dubbo_share *share;
    const struct mf_dubbo_head *head;
    struct mf_slice body;
    struct mf_block *frame;  /* a queued call's, with its reference; NULL when it came in just now */
    const struct mf_dubbo_request *said;
    struct mf_dubbo_request own; /* room for `said` where it is not remembered */
    uint8_t known;               /* which of these are set, as bits */
    struct asked asked[ASKED];   /* by their number, as far as that goes */
};

static struct request *request_of(struct mf_request *base)
{
    return (struct request *)(void *)base;
}

/* --- writing */

/* What is sent: the head with our id, the body, and what is added to it. */
struct outgoing {
    struct mf_dubbo_head head;
    struct mf_slice plain;         /* the body as it came, where `stamped` is not set */
    bool is_stamped;
    struct mf_dubbo_stamped stamped;
    uint8_t tail[TAIL_ROOM];
};

static int compose(const struct request *request, uint64_t id, struct outgoing *out)
{
    out->plain = request->body;
    out->is_stamped = false;
    size_t len = out->plain.len;
    if (request->base.n_stamps) {
        int rc = mf_dubbo_stamp(request->head->serialization, request->body, request->said, request->base.stamps,
                                request->base.n_stamps, out->tail, sizeof out->tail, &out->stamped);
        if (rc < 0 && rc != MF_EDUBBO_STAMP) /* nowhere to put a label: it goes as it came */
            return rc;
        out->is_stamped = rc == 0;
        if (rc == 0)
            len = out->stamped.len;
    }
    out->head = *request->head;
    out->head.id = id;
    out->head.body_len = (uint32_t)len;
    return 0;
}

static size_t length(const struct outgoing *out)
{
    return MF_DUBBO_HEAD_LEN + (size_t)out->head.body_len;
}

static void copy_to(const struct outgoing *out, uint8_t *to)
{
    mf_dubbo_put_head(to, &out->head);
    to += MF_DUBBO_HEAD_LEN;
    if (out->is_stamped)
        mf_dubbo_stamped_copy(&out->stamped, to);
    else if (out->plain.len)
        memcpy(to, out->plain.ptr, out->plain.len);
}

static void count_sent(struct mf_dubbo_share *share, const struct mf_call *call)
{
    mf_count(&share->serializations[call->kind].bytes_up, call->bytes_up);
}

/* The same bytes where the block has them. */
static struct mf_slice moved(struct mf_slice piece, const uint8_t *from, const uint8_t *to)
{
    return mf_slice_of(piece.len ? to + (piece.ptr - from) : NULL, piece.len);
}

static int write_held(struct mf_conn *up, const struct request *request, const struct outgoing *out)
{
    const uint8_t *from = request->body.ptr, *at = from;
    struct mf_block *block =
        request->frame ? mf_block_take(request->frame) : mf_sock_hold(&request->base.from->sock, request->body, &at);
    if (!block)
        return -ENOMEM;
    struct mf_slice pieces[] = {moved(out->plain, from, at), {0}, {0}, {0}, {0}};
    if (out->is_stamped) {
        const struct mf_dubbo_stamped *body = &out->stamped;
        pieces[0] = moved(body->front, from, at);
        pieces[1] = body->length;
        pieces[2] = moved(body->old, from, at);
        pieces[3] = body->added;
        pieces[4] = moved(body->behind, from, at);
    }
    uint8_t head[MF_DUBBO_HEAD_LEN];
    mf_dubbo_put_head(head, &out->head);
    int rc = mf_dubbo_frame_held(up, head, block, pieces, sizeof pieces / sizeof *pieces);
    mf_block_give(block);
    return rc;
}

static int send_now(struct mf_request *base, struct mf_call *call, struct mf_link *link)
{
    struct request *request = request_of(base);
    struct mf_conn *up = link->conn;
    struct outgoing out;
    int rc = compose(request, call->id, &out);
    if (rc < 0)
        return rc;
    call->bytes_up = (uint32_t)length(&out);
    if (out.head.body_len < MF_DUBBO_HOLD_FROM) {
        uint8_t *to = mf_sock_reserve(&up->sock, length(&out));
        if (!to)
            return -ENOMEM;
        copy_to(&out, to);
        mf_sock_commit(&up->sock, length(&out));
    } else {
        rc = write_held(up, request, &out);
        if (rc < 0)
            return rc;
    }
    count_sent(request->share, call);
    return 0;
}

/* A long frame that begins its block is kept where it lies, under our id. NULL: it is to be copied. */
static struct mf_block *keep_in_place(const struct request *request, struct mf_call *call)
{
    const uint8_t *at;
    size_t len = MF_DUBBO_HEAD_LEN + request->body.len;
    if (request->body.len < MF_DUBBO_HOLD_FROM || !request->base.from || request->base.n_stamps ||
        call->calls != request->base.inlet->calls) /* a copy has a place of its own */
        return NULL;
    struct mf_block *block =
        mf_sock_hold(&request->base.from->sock, mf_slice_of(request->body.ptr - MF_DUBBO_HEAD_LEN, len), &at);
    if (!block || at != block->data) {
        mf_block_give(block);
        return NULL;
    }
    struct mf_dubbo_head head = *request->head;
    head.id = call->id;
    mf_dubbo_put_head(block->data, &head);
    call->bytes_up = (uint32_t)len;
    return block;
}

static struct mf_block *freeze(struct mf_request *base, struct mf_call *call, int *rc)
{
    struct mf_block *there = request_of(base)->frame ? NULL : keep_in_place(request_of(base), call);
    if (there)
        return there;
    /* It was frozen before, and nothing has changed; a copy may have the same id in its own world. */
    if (request_of(base)->frame && base->n_stamps == 0 && request_of(base)->head->id == call->id) {
        call->bytes_up = MF_DUBBO_HEAD_LEN + (uint32_t)request_of(base)->body.len;
        return mf_block_take(request_of(base)->frame);
    }
    struct outgoing out;
    *rc = compose(request_of(base), call->id, &out);
    if (*rc < 0)
        return NULL;
    call->bytes_up = (uint32_t)length(&out);
    struct mf_block *frame = mf_loop_block(request_of(base)->share->local->loop, length(&out));
    if (frame)
        copy_to(&out, frame->data);
    else
        *rc = -ENOMEM;
    return frame;
}

/* --- as a rule changes it: kept as it came, and changed each time that it is sent, as another rule may hold by then */

static int put_changed(struct mf_dubbo_share *share, struct mf_link *link, struct mf_call *call,
                       const struct mf_dubbo_changing *from, const struct mf_change *change, size_t *len)
{
    int rc;
    struct mf_block *block = mf_dubbo_change(share->local->loop, from, &change->request, len, &rc);
    if (!block)
        return rc;
    rc = mf_sock_write_block(&link->conn->sock, block, mf_slice_of(block->data, *len));
    mf_block_give(block);
    if (rc == 0)
        mf_count(&share->serializations[call->kind].bytes_up, *len);
    return rc;
}

static int send_changed(struct mf_request *base, struct mf_call *call, struct mf_link *link)
{
    struct request *request = request_of(base);
    const struct mf_change *change = mf_govern_change(call);
    if (!change)
        return send_now(base, call, link);
    struct mf_dubbo_changing from = {
        .head = request->head,
        .id = call->id,
        .body = request->body,
        .said = request->said,
        .limits = &request->share->limits,
        .stamps = base->stamps,
        .n_stamps = base->n_stamps,
    };
    size_t len;
    int rc = put_changed(request->share, link, call, &from, change, &len);
    if (rc == 0)
        call->bytes_up = (uint32_t)len;
    return rc;
}

/* A frame that was kept: it is read again, in room of its own, as that of the share may be in use. */
static int send_kept_changed(struct mf_dubbo_share *share, struct mf_link *link, struct mf_call *call,
                             const struct mf_change *change)
{
    struct mf_dubbo_head head;
    struct mf_dubbo_request said;
    struct mf_dubbo_room room = share->room;
    const char *why;
    size_t n = (room.max_attachments + MF_DUBBO_LEADING) * sizeof *room.attachments, len;
    mf_dubbo_parse_head(mf_slice_of(call->frame->data, call->bytes_up), UINT32_MAX >> 1, &head);
    struct mf_slice body = mf_slice_of(call->frame->data + MF_DUBBO_HEAD_LEN, head.body_len);
    room.attachments = mf_alloc(n + room.text_len);
    if (!room.attachments)
        return -ENOMEM;
    room.text = (uint8_t *)room.attachments + n;
    struct mf_dubbo_changing from = {.head = &head, .id = head.id, .body = body, .said = &said, .limits = &share->limits};
    int rc = mf_dubbo_parse_request(head.serialization, body, &share->limits, &room, &said, &why);
    if (rc == 0)
        rc = put_changed(share, link, call, &from, change, &len);
    mf_free(room.attachments);
    return rc;
}

int mf_dubbo_request_queued(struct mf_link *link, struct mf_call *call)
{
    struct mf_dubbo_share *share = (struct mf_dubbo_share *)(void *)link->pool->dialer;
    const struct mf_change *change = mf_govern_change(call);
    if (change)
        return send_kept_changed(share, link, call, change);
    int rc = mf_sock_write_block(&link->conn->sock, call->frame, mf_slice_of(call->frame->data, call->bytes_up));
    if (rc == 0)
        count_sent(share, call);
    return rc;
}

/* Java's callers name their interface where the path is another: two providers of it in one application, a context path. */
static struct mf_slice alias(const struct mf_request *base)
{
    for (uint32_t i = base->query.n_headers; base->readable && i-- > 0;)
        if (mf_slice_eq(base->query.headers[i].key, MF_SLICE("interface")))
            return base->query.headers[i].value;
    return mf_slice_of(NULL, 0);
}

/* Passed over to once: it may lie far behind, and each of many rules may ask for it. */
static void find_argument(struct request *request, struct asked *asked)
{
    int rc = request->base.readable
                 ? mf_dubbo_argument(request->head->serialization, request->body, request->said, asked->index,
                                     &request->share->limits, asked->room, sizeof asked->room, &asked->text)
                 : 0;
    asked->found = rc == 1;
    if (rc == MF_ELIMIT)
        MF_COUNT(request->share->local, limit_max_text);
}

static bool argument(struct mf_request *base, uint32_t index, struct mf_slice *out)
{
    struct request *request = request_of(base);
    uint32_t place = index % ASKED;
    struct asked *asked = &request->asked[place];
    if (!(request->known >> place & 1) || asked->index != index) {
        request->known |= (uint8_t)(1 << place);
        asked->index = index;
        asked->text = mf_slice_of(NULL, 0);
        find_argument(request, asked);
    }
    *out = asked->text;
    return asked->found;
}

static int change(struct mf_request *base, const struct mf_change *change);

static const struct mf_request_ops ops = {.send = send_now, .freeze = freeze, .alias = alias, .argument = argument, .change = change};
static const struct mf_request_ops changing_ops = {
    .send = send_changed, .freeze = freeze, .alias = alias, .argument = argument, .change = change};

static int change(struct mf_request *base, const struct mf_change *change)
{
    bool asks = change->request.n_levels > 0;
    if (!asks || !base->stampable) /* its path is no path: nothing of it is rewritten */
        return asks ? MF_ECHANGE : 0;
    base->ops = &changing_ops;
    return 0;
}

/* --- reading */

static void count_limit(struct mf_local *local, int rc)
{
    MF_COUNT(local, bad_frames);
    if (rc == MF_EHESSIAN_DEPTH)
        MF_COUNT(local, limit_max_depth);
    else if (rc == MF_EHESSIAN_SIZE)
        MF_COUNT(local, limit_max_classes);
    else if (rc == MF_ELIMIT)
        MF_COUNT(local, limit_max_attachments);
}

/* Reads it, and shows it as policy sees it. 0 (see base.readable), or an error: `*why` says what is wrong with the
 * bytes. */
static int read_request(struct request *request, struct mf_recent *recent, const char **why)
{
    struct mf_request *base = &request->base;
    int rc = mf_dubbo_read(request->share, recent, request->head->serialization, request->body, &request->own,
                           &request->said, why);
    base->readable = rc == 0;
    request->known = 0;
    base->said = &base->query;
    base->flows = base->keeps = false;
    if (rc == MF_EDUBBO_OPAQUE)
        rc = 0;
    const struct mf_dubbo_request *said = request->said;
    base->query.service = said->service;
    base->query.method = said->method;
    base->query.headers = said->attachments;
    base->query.n_headers = said->n_attachments;
    base->query.name_lengths = said->key_lengths;
    base->query.speaks = MF_SPEAKS_DUBBO; /* and the next three in one store */
    base->query.fold_names = false; /* Java's map tells them apart */
    base->query.at_dubbo = false;
    base->query.past_levels = 0;
    base->query.http = NULL;
    base->query.now = mf_local_now(request->share->local);
    base->timeout_ms = said->timeout_ms;
    base->stampable = base->readable && said->complete;
    return rc;
}

static const char no_callbacks[] = "meshfast: callback arguments (" MF_DUBBO_CALLBACK "*) do not pass a shared connection; "
                                   "give the listener `protocol: tcp` or let the consumer dial the provider directly";

static void refuse(struct request *request, struct mf_call *call, int rc, const char *why)
{
    struct mf_local *local = request->share->local;
    char text[TEXT_ROOM];
    struct mf_fault fault = {MF_OUTCOME_BAD_REQUEST, rc == MF_EDUBBO_CALLBACK ? no_callbacks : text};
    if (rc == MF_EDUBBO_CALLBACK)
        MF_COUNT(local, calls_callback);
    else
        count_limit(local, rc);
    snprintf(text, sizeof text, "meshfast: bad request: %s", why);
    mf_dispatch_refuse(call, &request->base, &fault);
}

/* It has that key, or what it has is not all known. */
static bool may_say_closing(const struct request *request)
{
    const struct mf_dubbo_request *said = request->said;
    if (said->plain) /* all of it is known */
        return said->says_closing;
    return said->says_closing || said->text_lost || !request->base.readable || !said->complete;
}

void mf_dubbo_request_in(struct mf_dubbo_source *source, struct mf_call *call, const struct mf_dubbo_head *head,
                         struct mf_slice body)
{
    struct request request; /* set field by field: most of it is room that is rarely used */
    request.base.ops = &ops;
    request.base.inlet = source->inlet;
    request.base.dialer = &source->share->dialer;
    request.base.from = source->conn;
    request.base.own = &source->own;
    request.share = source->share;
    request.base.length = MF_DUBBO_HEAD_LEN + (uint32_t)body.len;
    request.head = head;
    request.body = body;
    request.frame = NULL;
    const char *why;
    int rc = read_request(&request, &source->recent, &why);
    if (rc < 0) {
        refuse(&request, call, rc, why);
        return;
    }
    call->marked = may_say_closing(&request);
    mf_dispatch(call, &request.base);
}

/* The frame is the request, stamped already: it is read again because the first reading's slices are gone. */
void mf_dubbo_request_again(struct mf_dubbo_share *share, struct mf_call *call, struct mf_queue *back)
{
    struct mf_block *frame = call->frame;
    call->frame = NULL;
    struct request request;
    struct mf_dubbo_head head;
    struct mf_recent none = {0};
    mf_dubbo_parse_head(mf_slice_of(frame->data, call->bytes_up), UINT32_MAX >> 1, &head);
    request.base.ops = &ops;
    request.base.inlet = call->inlet;
    request.base.dialer = &share->dialer;
    request.base.from = NULL;
    request.base.n_refused = 0;
    request.base.own = NULL;
    request.base.length = call->bytes_up;
    request.share = share;
    request.head = &head;
    request.body = mf_slice_of(frame->data + MF_DUBBO_HEAD_LEN, head.body_len);
    request.frame = frame;
    const char *why;
    int rc = read_request(&request, &none, &why);
    if (rc < 0)
        mf_dispatch_fail(call, MF_ELIMIT, why);
    else
        mf_dispatch_again(call, &request.base, back);
    mf_block_give(frame);
}
