#include "protocol/h2_request.h"

#include "base/err.h"
#include "base/mem.h"
#include "call/govern.h"
#include "codec/h2_shown.h"
#include "call/govern.h"
#include "protocol/h2_ask.h"
#include "protocol/h2_change.h"
#include "protocol/h2_frozen.h"
#include "protocol/h2_like.h"
#include "table/hash.h"

#include <errno.h>
#include <stdio.h>

enum { STAMPS = 160, STRAYS = 16, SCRATCH = 256, TEXT_ROOM = 256, NAMES = MF_PLAN_LABELS * MF_LABEL_TEXT, MS = 1000000, DEADLINES = 8 };

/* Fields that come again byte for byte, or but for some values: what they say, and as they go on with nothing added, and with
 * the stamps that were added last. */
struct known {
    struct mf_h2_view view;
    struct mf_h2_shown shown; /* in `pairs` */
    struct mf_http_view http;
    struct mf_query query, said;
    int check;                /* of the path */
    uint16_t topic;
    struct mf_block *frozen, *stamped;  /* made when they are needed first; NULL */
    uint32_t n_stamps, strays;          /* bytes of `stamps`; requests that were stamped otherwise since */
    uint16_t holes[MF_H2_HOLES];        /* where in `pairs` what changes is shown */
    uint8_t scratch[SCRATCH], stamps[STAMPS];
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
    const struct mf_h2_like *like; /* or NULL */
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

/* What is left of its time, where it names more, or where it is of gRPC and names none; else 0. */
static uint64_t time_left(const struct mf_call *call, int64_t named_ms)
{
    uint64_t until = mf_govern_until(call);
    if (!until || (named_ms <= 0 && call->kind == MF_H2_READS_HTTP))
        return 0;
    uint64_t now = mf_local_now(call->calls->local), left = until > now ? until - now : 1;
    return named_ms <= 0 || left + MS <= (uint64_t)named_ms * MS ? left : 0;
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
    bool named = left == 0, dubbo = left && mf_h2_view_dubbo(marks, n);
    for (uint32_t i = 0; i < n; i++) {
        if (base && base->n_stamps && stamped(base, fields[i].key))
            continue;
        share->fields[out] = fields[i];
        share->marks[out] = marks[i];
        named = named || marks[i].name == MF_H2_NAME_GRPC_TIMEOUT || marks[i].name == MF_H2_NAME_TRI_SERVICE_TIMEOUT;
        if (left && n_deadlines < DEADLINES) {
            uint8_t *to = texts->deadlines[n_deadlines];
            size_t len = mf_h2_view_deadline_put(fields[i], marks[i], dubbo, left, to);
            if (len) {
                share->fields[out].value = mf_slice_of(to, len);
                n_deadlines++;
            }
        }
        out++;
    }
    if (!named) {
        size_t len = mf_h2_grpc_timeout_put(texts->deadlines[0], left);
        share->fields[out] = (struct mf_pair){MF_SLICE("grpc-timeout"), mf_slice_of(texts->deadlines[0], len)};
        share->marks[out] = mf_h2_mark_of(share->fields[out]);
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

/* With stamps of `base` (NULL: none), less time, and what a rule changes. */
static int send_composed(struct mf_h2_share *share, struct mf_link *link, struct mf_call *call, struct mf_h2_list list,
                         const struct mf_request *base, uint64_t left)
{
    const struct mf_change *change = mf_govern_change(call);
    struct texts texts;
    if (left || (base && base->n_stamps)) {
        list.n = compose(share, list.fields, list.marks, list.n, base, left, &texts);
        list.fields = share->fields;
        list.marks = share->marks;
    }
    int rc = change ? mf_h2_change_request(share, change, &list) : 0;
    return rc < 0 ? rc : mf_h2_ask(link, call, list.fields, list.marks, list.n, NULL);
}

/* What a rule changes is never frozen at a note. */
static int send_frozen(struct mf_h2_share *share, struct mf_link *link, struct mf_call *call, struct mf_block *block)
{
    struct mf_h2_frozen *frozen = mf_h2_frozen_of(block), *all = frozen->of ? frozen->of : frozen;
    struct mf_h2_list list = mf_h2_frozen_list(frozen, share);
    uint64_t left = time_left(call, frozen->timeout_ms);
    if (left == 0 && all->noted)
        return mf_h2_ask(link, call, list.fields, list.marks, list.n, &all->again);
    return send_composed(share, link, call, list, NULL, left);
}

static int send_now(struct mf_request *base, struct mf_call *call, struct mf_link *link)
{
    const struct request *request = request_of(base);
    if (request->frozen && base->n_stamps == 0) /* from there each time: what was composed of it may take its place */
        return send_frozen(request->share, link, call, request->frozen);
    struct mf_h2_list list = {request->fields, request->marks, request->n};
    return send_composed(request->share, link, call, list, base, time_left(call, request->view->timeout_ms));
}

int mf_h2_request_queued(struct mf_link *link, struct mf_call *call)
{
    return send_frozen((struct mf_h2_share *)(void *)link->pool->dialer, link, call, call->frame);
}

/* --- kept, to be sent later, or again */

static struct mf_block *freeze_new(const struct request *request, const struct mf_pair *fields,
                                   const struct mf_h2_mark *marks, uint32_t n)
{
    struct texts texts;
    if (request->base.n_stamps) {
        n = compose(request->share, fields, marks, n, &request->base, 0, &texts);
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

/* Names and values of all stamps, told apart; 0: too long. */
static size_t stamps_text(const struct mf_request *base, uint8_t to[STAMPS])
{
    size_t len = 0;
    for (uint32_t i = 0; i < base->n_stamps; i++) {
        struct mf_slice parts[] = {base->stamps[i].key, base->stamps[i].value};
        for (int k = 0; k < 2; k++) {
            if (parts[k].len > UINT8_MAX || STAMPS - len <= parts[k].len)
                return 0;
            to[len++] = (uint8_t)parts[k].len;
            if (parts[k].len)
                memcpy(to + len, parts[k].ptr, parts[k].len);
            len += parts[k].len;
        }
    }
    return len;
}

/* Where such fields are kept with just these stamps; NULL: they are not. */
static struct mf_block **place(struct known *known, const struct mf_request *base)
{
    uint8_t text[STAMPS];
    size_t len = 0;
    if (base->n_stamps == 0)
        return &known->frozen;
    if ((len = stamps_text(base, text)) == 0)
        return NULL;
    if (known->stamped && known->n_stamps == len && memcmp(known->stamps, text, len) == 0)
        return &known->stamped;
    if (known->stamped && ++known->strays % STRAYS) /* by turns neither would be worth it */
        return NULL;
    if (known->stamped)
        mf_h2_frozen_drop(known->stamped);
    known->stamped = NULL;
    known->n_stamps = (uint32_t)len;
    memcpy(known->stamps, text, len);
    return &known->stamped;
}

/* Where fields that change are among those that go on: all but those that a stamp takes the place of. */
static void set_holes(const struct request *request, struct mf_h2_frozen *frozen)
{
    const struct mf_h2_like *like = request->like;
    for (uint32_t i = 0, at = 0; i < like->n_holes; i++) {
        const struct mf_h2_mark mark = like->head.marks[like->holes[i]];
        if (stamped(&request->base, like->head.fields[like->holes[i]].key))
            continue;
        while (frozen->marks[at].name != mark.name)
            at++;
        frozen->marks[at].flags |= MF_H2_MARK_PLAIN; /* also where it is encoded anew */
        frozen->again.holes[frozen->again.n_holes++].field = at;
    }
}

/* One that has just these in the holes of `all`. */
static struct mf_block *fill_holes(const struct request *request, struct mf_block *all)
{
    const struct mf_h2_like *like = request->like;
    struct mf_pair holes[MF_H2_HOLES];
    uint32_t n = 0;
    for (uint32_t i = 0; i < like->n_holes; i++)
        if (!stamped(&request->base, like->head.fields[like->holes[i]].key))
            holes[n++] = request->fields[like->holes[i]];
    return n ? mf_h2_freeze_like(request->share->local->loop, all, holes) : mf_block_take(all);
}

/* As it was before, or made now and kept; NULL: it is to be made for this request alone. */
static struct mf_block *freeze_known(struct request *request)
{
    struct mf_block **at = request->known ? place(request->known, &request->base) : NULL;
    if (!at)
        return NULL;
    const struct mf_h2_like *like = request->like;
    if (!*at) {
        *at = like ? freeze_new(request, like->head.fields, like->head.marks, like->head.n)
                   : freeze_new(request, request->fields, request->marks, request->n);
        if (!*at)
            return NULL;
        mf_h2_frozen_of(*at)->noted = true;
        if (like)
            set_holes(request, mf_h2_frozen_of(*at));
    }
    return like ? fill_holes(request, *at) : mf_block_take(*at);
}

static struct mf_block *freeze(struct mf_request *base, struct mf_call *call, int *rc)
{
    struct request *request = request_of(base);
    struct mf_block *block = NULL;
    if (request->frozen && !base->n_stamps)
        block = mf_block_take(request->frozen);
    if (!block)
        block = freeze_known(request);
    if (!block)
        block = freeze_new(request, request->fields, request->marks, request->n);
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

static int change(struct mf_request *base, const struct mf_change *change);

static const struct mf_request_ops ops = {.send = send_now, .freeze = freeze, .alias = alias, .change = change};

/* --- as a rule changes it: kept as it came, and changed each time that it is sent, as another rule may hold by then */

static struct mf_h2_list fields_of(const struct request *request)
{
    if (request->frozen) /* the share's room may have been used since */
        return mf_h2_frozen_list(mf_h2_frozen_of(request->frozen), request->share);
    return (struct mf_h2_list){request->fields, request->marks, request->n};
}

static int send_changed(struct mf_request *base, struct mf_call *call, struct mf_link *link)
{
    struct request *request = request_of(base);
    return send_composed(request->share, link, call, fields_of(request), base, time_left(call, request->view->timeout_ms));
}

/* At no note, where what was encoded of it last would be put again. */
static struct mf_block *freeze_changed(struct mf_request *base, struct mf_call *call, int *rc)
{
    struct request *request = request_of(base);
    struct mf_h2_list list = fields_of(request);
    struct mf_block *block = freeze_new(request, list.fields, list.marks, list.n);
    *rc = -ENOMEM;
    if (block)
        call->bytes_up = mf_h2_frozen_of(block)->size;
    return block;
}

static const struct mf_request_ops changing_ops = {
    .send = send_changed, .freeze = freeze_changed, .alias = alias, .change = change};

static int change(struct mf_request *base, const struct mf_change *change)
{
    struct request *request = request_of(base);
    struct mf_h2_list list = fields_of(request);
    base->ops = &changing_ops;
    return change->rewrite.path == MF_CHANGE_PATH_NONE ? 0 : mf_h2_change_request(request->share, change, &list);
}

/* --- as policy sees it */

static void view(const struct mf_h2_head_in *head, struct mf_h2_view *view, struct mf_h2_shown *shown, struct mf_pair *pairs,
                 struct mf_h2_scratch *scratch)
{
    mf_h2_view_of(head->fields, head->marks, head->n, &head->request, scratch, view);
    mf_h2_shown_of(head->fields, head->marks, head->n, &head->request, view, true, pairs, scratch, shown);
}

static const uint8_t speaks[] = {
    [MF_H2_PLAIN] = MF_SPEAKS_HTTP, [MF_H2_GRPC] = MF_SPEAKS_GRPC, [MF_H2_TRIPLE] = MF_SPEAKS_TRIPLE};

/* Two that differ in their headers; each by its own stores, as reading what was just written takes longer. */
static void ask_for(const struct mf_h2_view *view, const struct mf_h2_shown *shown, struct mf_http_view *http,
                    struct mf_query *query, struct mf_query *said)
{
    *http = (struct mf_http_view){view->http_method, view->scheme, view->authority, view->path, view->query};
    *query = (struct mf_query){
        .service = view->service,
        .method = view->method,
        .headers = shown->headers,
        .n_headers = shown->n_headers,
        .name_lengths = shown->name_lengths,
        .speaks = speaks[view->flavour],
        .fold_names = true,
        .http = http,
    };
    *said = (struct mf_query){
        .service = view->service,
        .method = view->method,
        .headers = shown->labels,
        .n_headers = shown->n_labels,
        .name_lengths = shown->name_lengths,
        .speaks = speaks[view->flavour],
        .fold_names = true,
        .http = http,
    };
}

/* Method of gRPC or resource of HTTP: content for it may not be read. */
static uint16_t topic_of(const struct mf_h2_share *share, const struct mf_h2_view *view)
{
    return (uint16_t)mf_hash(view->path, share->secret);
}

/* What comes again; NULL: it is too much. */
static struct known *know(const struct mf_h2_share *share, const struct mf_h2_head_in *head)
{
    struct mf_h2_view viewed;
    struct mf_h2_shown shown;
    uint8_t room[SCRATCH];
    view(head, &viewed, &shown, share->shown, &(struct mf_h2_scratch){room, sizeof room, 0});
    if (viewed.lost || shown.lost)
        return NULL;
    size_t n = (size_t)(shown.headers + shown.n_headers - share->shown);
    struct known *known = mf_zalloc(sizeof *known + (n + 1) * sizeof *known->pairs);
    if (!known)
        return NULL;
    view(head, &known->view, &known->shown, known->pairs, &(struct mf_h2_scratch){known->scratch, SCRATCH, 0});
    ask_for(&known->view, &known->shown, &known->http, &known->query, &known->said);
    known->check = mf_h2_view_path_check(&known->view);
    known->topic = topic_of(share, &known->view);
    return known;
}

/* Where its pairs show what changes: each has a name of its own. */
static void find_holes(struct known *known, const struct mf_h2_like *like)
{
    for (uint32_t i = 0; i < like->n_holes; i++) {
        const struct mf_pair *field = &like->head.fields[like->holes[i]];
        while (known->pairs[known->holes[i]].key.ptr != field->key.ptr)
            known->holes[i]++;
    }
}

static struct known *learn(const struct mf_h2_share *share, const struct mf_h2_head_in *head)
{
    const struct mf_h2_like *like = head->like;
    if (!head->note || !(head->recalled || like))
        return NULL;
    struct known *known = *head->note;
    if (!known) {
        *head->note = known = know(share, like ? &like->head : head);
        if (known && like)
            find_holes(known, like);
    }
    for (uint32_t i = 0; known && like && i < like->n_holes; i++) {
        struct mf_slice value = head->fields[like->holes[i]].value;
        known->pairs[known->holes[i]].value = value.ptr ? value : MF_SLICE("");
    }
    return known;
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
    if (known->stamped)
        mf_h2_frozen_drop(known->stamped);
    mf_free(known);
}

/* `shown`: where it is not known. */
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
    base->flows = base->keeps = true;
    base->readable = base->stampable = true;
    base->timeout_ms = view->timeout_ms;
    struct mf_query *said = request->known ? &request->known->said : &request->said;
    if (request->known)
        base->query = request->known->query;
    else
        ask_for(view, shown, &request->http, &base->query, said);
    base->query.now = said->now = mf_local_now(local);
    base->said = said;
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
    struct mf_h2_view viewed;
    struct mf_h2_shown shown;
    uint8_t room[MF_H2_SCRATCH];
    struct mf_h2_scratch scratch = {room, sizeof room, 0};
    request.share = source->share;
    request.fields = head->fields;
    request.marks = head->marks;
    request.n = head->n;
    request.known = head->over ? NULL : learn(source->share, head);
    request.like = head->like;
    request.frozen = NULL;
    request.view = request.known ? &request.known->view : &viewed;
    request.base.length = (uint32_t)head->block.len;
    if (head->over) {
        viewed = (struct mf_h2_view){.timeout_ms = -1};
        shown = (struct mf_h2_shown){0};
    } else if (!request.known) {
        view(head, &viewed, &shown, source->share->shown, &scratch);
    }
    if (request.view->bad_timeout)
        MF_COUNT(source->share->local, bad_deadlines);
    call->kind = request.view->grpc;
    call->ops = source->ops[call->kind != MF_H2_READS_HTTP];
    call->topic = request.known ? request.known->topic : topic_of(source->share, request.view);
    show(&request, source, &shown);
    if (head->over) {
        refuse(&request, call, MF_OUTCOME_TOO_LONG,
               "meshfast: the request has more header fields than limits.h2HeaderList, h2Fields or h2Growth allow");
        return;
    }
    int rc = request.known ? request.known->check : viewed.lost ? MF_EH2_AUTHORITY : mf_h2_view_path_check(&viewed);
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
    struct mf_h2_list list = mf_h2_frozen_list(mf_h2_frozen_of(frame), source->share);
    struct request request;
    struct mf_h2_view viewed;
    struct mf_h2_head_in head = {.fields = list.fields, .marks = list.marks, .n = list.n};
    uint8_t room[MF_H2_SCRATCH];
    struct mf_h2_scratch scratch = {room, sizeof room, 0};
    struct mf_h2_shown shown;
    (void)mf_h2_fields_request(list.fields, list.marks, list.n, &head.request); /* it was, before */
    view(&head, &viewed, &shown, source->share->shown, &scratch);
    request.share = source->share;
    request.fields = list.fields;
    request.marks = list.marks;
    request.n = list.n;
    request.known = NULL;
    request.like = NULL;
    request.frozen = frame;
    request.view = &viewed;
    request.base.length = call->bytes_up;
    show(&request, source, &shown);
    request.base.n_refused = !back && waited;
    if (request.base.n_refused)
        request.base.refused[0] = MF_CONTAINER(waited, struct mf_lane, queue)->pool->peer;
    mf_dispatch_again(call, &request.base, back ? waited : NULL);
    mf_block_give(frame);
}
