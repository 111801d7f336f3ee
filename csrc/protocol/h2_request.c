#include "protocol/h2_request.h"

#include "base/err.h"
#include "base/mem.h"
#include "codec/h2_shown.h"
#include "protocol/h2_ask.h"
#include "protocol/h2_frozen.h"

#include <errno.h>
#include <stdio.h>

enum { TEXT_ROOM = 256, NAMES = MF_PLAN_LABELS * MF_LABEL_TEXT, MS = 1000000, DEADLINES = 8 };

/* Fields that come again byte for byte: what they say, and as they go on where nothing is added. */
struct known {
    struct mf_h2_view view;
    struct mf_h2_shown shown; /* in `pairs` */
    struct mf_block *frozen;  /* made when it is needed first; NULL */
    uint8_t scratch[256];
    struct mf_pair pairs[];
};

/* Borrowed from the caller's input, or from a call's frame. */
struct request {
    struct mf_request base; /* first */
    struct mf_h2_share *share;
    const struct mf_pair *fields;
    const struct mf_h2_mark *marks;
    uint32_t n;
    struct mf_block *frozen;   /* of the fields as they are, without a reference; or NULL */
    struct known *known;       /* or NULL */
    const struct mf_h2_view *view;
    struct mf_query said;
    struct mf_http_view http;
};

static struct request *request_of(struct mf_request *base)
{
    return (struct request *)(void *)base;
}

/* --- as it goes on */

static bool stamped(const struct mf_request *base, struct mf_slice name)
{
    for (uint32_t i = 0; i < base->n_stamps; i++) {
        struct mf_slice key = base->stamps[i].key;
        if (key.len != name.len)
            continue;
        size_t at = 0;
        while (at < name.len && (key.ptr[at] | (key.ptr[at] >= 'A' && key.ptr[at] <= 'Z' ? 0x20 : 0)) == name.ptr[at])
            at++;
        if (at == name.len)
            return true;
    }
    return false;
}

static struct mf_slice lower(struct mf_slice name, uint8_t *to)
{
    for (size_t i = 0; i < name.len; i++)
        to[i] = name.ptr[i] | (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? 0x20 : 0);
    return mf_slice_of(to, name.len);
}

/* What is left of its time, where it names more; else 0. */
static uint64_t time_left(const struct mf_call *call, int64_t named_ms)
{
    if (named_ms <= 0 || !call->deadline)
        return 0;
    uint64_t now = mf_local_now(call->calls->local), left = call->deadline > now ? call->deadline - now : 1;
    return left + MS <= (uint64_t)named_ms * MS ? left : 0;
}

struct texts {
    uint8_t names[NAMES], deadlines[DEADLINES][MF_H2_DEADLINE_ROOM];
};

/* Fields with stamps in place of those of their names, and less time, in the share's room. Returns how many. */
static uint32_t compose(const struct mf_h2_share *share, const struct mf_pair *fields, const struct mf_h2_mark *marks,
                        uint32_t n, const struct mf_request *base, uint64_t left, struct texts *texts)
{
    uint32_t out = 0, n_deadlines = 0;
    uint8_t *name = texts->names;
    for (uint32_t i = 0; i < n; i++) {
        if (base && base->n_stamps && stamped(base, fields[i].key))
            continue;
        share->fields[out] = fields[i];
        share->marks[out] = marks[i];
        if (left && n_deadlines < DEADLINES) {
            uint8_t *to = texts->deadlines[n_deadlines];
            size_t len = mf_h2_view_deadline_put(fields[i], marks[i], left, to);
            if (len) {
                share->fields[out].value = mf_slice_of(to, len);
                n_deadlines++;
            }
        }
        out++;
    }
    for (uint32_t i = 0; base && i < base->n_stamps; i++) {
        const struct mf_pair *stamp = &base->stamps[i];
        if (stamp->value.len == 0 || stamp->key.len > (size_t)(texts->names + NAMES - name))
            continue; /* what is stripped */
        share->fields[out] = (struct mf_pair){lower(stamp->key, name), stamp->value};
        share->marks[out] = mf_h2_mark_of(share->fields[out]);
        name += stamp->key.len;
        out++;
    }
    return out;
}

static int send_now(struct mf_request *base, struct mf_call *call, struct mf_link *link)
{
    const struct request *request = request_of(base);
    uint64_t left = time_left(call, request->view->timeout_ms);
    struct texts texts;
    if (base->n_stamps == 0 && left == 0)
        return mf_h2_ask(link, call, request->fields, request->marks, request->n, NULL);
    uint32_t n = compose(request->share, request->fields, request->marks, request->n, base, left, &texts);
    return mf_h2_ask(link, call, request->share->fields, request->share->marks, n, NULL);
}

int mf_h2_request_queued(struct mf_link *link, struct mf_call *call)
{
    struct mf_h2_frozen *frozen = mf_h2_frozen_of(call->frame);
    uint64_t left = time_left(call, frozen->timeout_ms);
    if (left == 0)
        return mf_h2_ask(link, call, frozen->fields, frozen->marks, frozen->n, frozen->noted ? &frozen->again : NULL);
    struct texts texts;
    const struct mf_h2_share *share = (const struct mf_h2_share *)(const void *)link->pool->dialer;
    uint32_t n = compose(share, frozen->fields, frozen->marks, frozen->n, NULL, left, &texts);
    return mf_h2_ask(link, call, share->fields, share->marks, n, NULL);
}

static struct mf_block *freeze_new(const struct request *request, const struct mf_request *stamps)
{
    struct texts texts;
    const struct mf_pair *fields = request->fields;
    const struct mf_h2_mark *marks = request->marks;
    uint32_t n = request->n;
    if (stamps && stamps->n_stamps) {
        n = compose(request->share, fields, marks, n, stamps, 0, &texts);
        fields = request->share->fields;
        marks = request->share->marks;
    }
    struct mf_block *block = mf_h2_freeze(request->share->local->loop, fields, marks, n);
    if (block) {
        int64_t ms = request->view->timeout_ms;
        mf_h2_frozen_of(block)->timeout_ms = ms > INT32_MAX ? INT32_MAX : ms > 0 ? (int32_t)ms : 0;
    }
    return block;
}

static struct mf_block *freeze(struct mf_request *base, struct mf_call *call, int *rc)
{
    struct request *request = request_of(base);
    struct mf_block *block = NULL;
    if (base->n_stamps) {
        block = freeze_new(request, base);
    } else if (request->frozen) {
        block = mf_block_take(request->frozen);
    } else {
        block = freeze_new(request, NULL);
        if (block && request->known) {
            mf_h2_frozen_of(block)->noted = true;
            request->known->frozen = mf_block_take(block);
        }
    }
    if (!block) {
        *rc = -ENOMEM;
        return NULL;
    }
    call->bytes_up = mf_h2_frozen_of(block)->size;
    return block;
}

static struct mf_slice alias(const struct mf_request *base)
{
    return ((const struct request *)(const void *)base)->view->alias;
}

static const struct mf_request_ops ops = {.send = send_now, .freeze = freeze, .alias = alias};

/* --- as policy sees it */

static struct known *learn(const struct mf_h2_head_in *head)
{
    if (!head->note || !head->recalled)
        return NULL;
    if (*head->note)
        return *head->note;
    struct known *known = mf_zalloc(sizeof *known + MF_H2_SHOWN_ROOM(head->n - head->request.regular) * sizeof *known->pairs);
    if (!known)
        return NULL;
    struct mf_h2_scratch scratch = {known->scratch, sizeof known->scratch, 0};
    mf_h2_view_of(head->fields, head->marks, head->n, &head->request, &scratch, &known->view);
    mf_h2_shown_of(head->fields, head->marks, head->n, &head->request, &known->view, true, known->pairs, &scratch, &known->shown);
    if (known->view.lost || known->shown.lost) {
        mf_free(known);
        return NULL;
    }
    return *head->note = known;
}

uint8_t mf_h2_request_kind(const struct mf_h2_head_in *head)
{
    struct mf_h2_view view = {0};
    uint8_t room[MF_H2_SCRATCH];
    struct mf_h2_scratch scratch = {room, sizeof room, 0};
    if (!head->over)
        mf_h2_view_of(head->fields, head->marks, head->n, &head->request, &scratch, &view);
    return view.grpc;
}

void mf_h2_request_forget(void *note)
{
    struct known *known = note;
    if (known->frozen)
        mf_h2_frozen_drop(known->frozen);
    mf_free(known);
}

static const uint8_t speaks[] = {
    [MF_H2_PLAIN] = MF_SPEAKS_HTTP, [MF_H2_GRPC] = MF_SPEAKS_GRPC, [MF_H2_TRIPLE] = MF_SPEAKS_TRIPLE};

static void show(struct request *request, struct mf_h2_source *source, const struct mf_h2_shown *shown)
{
    struct mf_request *base = &request->base;
    const struct mf_h2_view *view = request->view;
    struct mf_local *local = request->share->local;
    base->ops = &ops;
    base->inlet = source->inlet;
    base->dialer = &request->share->dialer;
    base->from = source->conn;
    base->own = &source->own;
    base->flows = true;
    base->readable = base->stampable = true;
    base->timeout_ms = view->timeout_ms;
    base->query = (struct mf_query){
        .service = view->service,
        .method = view->method,
        .headers = shown->headers,
        .n_headers = shown->n_headers,
        .name_lengths = shown->name_lengths,
        .speaks = speaks[view->flavour],
        .fold_names = true,
        .now = mf_local_now(local),
        .http = &request->http,
    };
    request->http = (struct mf_http_view){view->http_method, view->scheme, view->authority, view->path, view->query};
    request->said = base->query;
    request->said.headers = shown->labels;
    request->said.n_headers = shown->n_labels;
    base->said = &request->said;
}

static void refuse(struct request *request, struct mf_call *call, enum mf_outcome outcome, const char *text)
{
    struct mf_fault fault = {outcome, text};
    MF_COUNT(request->share->local, bad_frames);
    mf_dispatch_refuse(call, &request->base, &fault);
}

void mf_h2_request_in(struct mf_h2_source *source, struct mf_call *call, const struct mf_h2_head_in *head)
{
    struct request request;
    struct mf_h2_view view = {.timeout_ms = -1};
    uint8_t room[MF_H2_SCRATCH];
    struct mf_h2_scratch scratch = {room, sizeof room, 0};
    request.share = source->share;
    request.fields = head->fields;
    request.marks = head->marks;
    request.n = head->n;
    request.known = head->over ? NULL : learn(head);
    request.frozen = request.known ? request.known->frozen : NULL;
    request.view = request.known ? &request.known->view : &view;
    request.base.length = (uint32_t)head->block.len;
    struct mf_h2_shown shown = {0};
    if (!request.known && !head->over) {
        mf_h2_view_of(head->fields, head->marks, head->n, &head->request, &scratch, &view);
        mf_h2_shown_of(head->fields, head->marks, head->n, &head->request, &view, true, source->share->shown, &scratch, &shown);
    }
    call->kind = request.view->grpc;
    call->ops = source->ops[call->kind != MF_H2_READS_HTTP];
    show(&request, source, request.known ? &request.known->shown : &shown);
    if (head->over) {
        refuse(&request, call, MF_OUTCOME_TOO_LONG,
               "meshfast: the request has more header fields than limits.h2HeaderList or limits.h2Fields allow");
        return;
    }
    int rc = request.view->lost ? MF_EH2_AUTHORITY : mf_h2_view_path_check(request.view);
    if (rc < 0) {
        char text[TEXT_ROOM];
        snprintf(text, sizeof text, "meshfast: bad request: %s", mf_err_text(rc));
        refuse(&request, call, rc == MF_EH2_PATH_SERVICE ? MF_OUTCOME_NO_ROUTE : MF_OUTCOME_BAD_REQUEST, text);
        return;
    }
    if (request.view->timeout_ms == 0) {
        struct mf_fault fault = {MF_OUTCOME_TIMEOUT, "meshfast: the deadline had passed when the request came"};
        mf_dispatch_refuse(call, &request.base, &fault);
        return;
    }
    mf_dispatch(call, &request.base);
}

void mf_h2_request_again(struct mf_h2_source *source, struct mf_call *call, struct mf_queue *waited, bool back)
{
    struct mf_block *frame = call->frame;
    call->frame = NULL;
    struct mf_h2_frozen *frozen = mf_h2_frozen_of(frame);
    struct request request;
    struct mf_h2_view view;
    struct mf_h2_request parsed;
    uint8_t room[MF_H2_SCRATCH];
    struct mf_h2_scratch scratch = {room, sizeof room, 0};
    (void)mf_h2_fields_request(frozen->fields, frozen->marks, frozen->n, &parsed); /* it was, before */
    mf_h2_view_of(frozen->fields, frozen->marks, frozen->n, &parsed, &scratch, &view);
    struct mf_h2_shown shown;
    mf_h2_shown_of(frozen->fields, frozen->marks, frozen->n, &parsed, &view, true, source->share->shown, &scratch, &shown);
    request.share = source->share;
    request.fields = frozen->fields;
    request.marks = frozen->marks;
    request.n = frozen->n;
    request.known = NULL;
    request.frozen = frame;
    request.view = &view;
    request.base.length = call->bytes_up;
    show(&request, source, &shown);
    request.base.refused = back || !waited ? NULL : MF_CONTAINER(waited, struct mf_lane, queue)->pool->peer;
    mf_dispatch_again(call, &request.base, back ? waited : NULL);
    mf_block_give(frame);
}
