#include "protocol/http1_change.h"

#include "base/mem.h"
#include "codec/change.h"
#include "codec/h2_view.h"

#include <errno.h>
#include <stdio.h>

enum { MORE = MF_CHANGE_FIELDS + 4, PATH_MORE = 16384, LINE = 64 };

#define ORIGINAL "x-envoy-original-path" /* as h2_change.c has it */

/* Fields under their names in lower case, and room for those of a rule. */
struct list {
    struct mf_pair *fields;
    struct mf_h2_mark *marks;
    uint8_t *names;
    uint32_t n;
};

static int open_list(struct list *list, uint32_t n, size_t names)
{
    list->fields = mf_alloc((n + MORE) * (sizeof *list->fields + sizeof *list->marks) + names + 1);
    if (!list->fields)
        return -ENOMEM;
    list->marks = (struct mf_h2_mark *)(void *)(list->fields + n + MORE);
    list->names = (uint8_t *)(list->marks + n + MORE);
    list->n = 0;
    return 0;
}

static void add(struct list *list, struct mf_slice name, struct mf_slice value)
{
    list->fields[list->n] = (struct mf_pair){name, value};
    list->marks[list->n] = mf_h2_mark_of(list->fields[list->n]);
    list->n++;
}

static struct mf_slice lower(struct list *list, struct mf_slice name)
{
    uint8_t *to = list->names;
    for (size_t i = 0; i < name.len; i++)
        to[i] = name.ptr[i] | (name.ptr[i] >= 'A' && name.ptr[i] <= 'Z' ? 0x20 : 0);
    list->names += name.len;
    return mf_slice_of(to, name.len);
}

struct out {
    uint8_t *to;
    size_t len;
};

static void put(struct out *out, struct mf_slice text)
{
    if (out->to && text.len)
        memcpy(out->to + out->len, text.ptr, text.len);
    out->len += text.len;
}

static void put_lines(struct out *out, const struct list *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        put(out, list->fields[i].key);
        put(out, MF_SLICE(": "));
        put(out, list->fields[i].value);
        put(out, MF_SLICE("\r\n"));
    }
    put(out, MF_SLICE("\r\n"));
}

static bool same(struct mf_slice text, const char *other)
{
    size_t len = strlen(other), i = 0;
    while (i < len && i < text.len && (text.ptr[i] | 0x20) == other[i])
        i++;
    return i == len && text.len == len;
}

/* --- requests */

/* Those of the head but for what it says of its connection. */
static int take_fields(const struct mf_http1_head *head, struct list *list, struct mf_slice authority)
{
    struct mf_pair *came = mf_alloc((head->n_fields + 1) * sizeof *came);
    if (!came)
        return -ENOMEM;
    int rc = 0;
    mf_http1_head_fields(head, came);
    for (uint32_t i = 0; i < head->n_fields && rc == 0; i++) {
        struct mf_slice name = lower(list, came[i].key);
        if (mf_slice_eq(name, MF_SLICE("connection")))
            rc = same(came[i].value, "close") || same(came[i].value, "keep-alive") ? 0 : MF_ECHANGE;
        else if (mf_slice_eq(name, MF_SLICE("upgrade")))
            rc = MF_ECHANGE;
        else if (mf_slice_eq(name, MF_SLICE("host")) && authority.len)
            add(list, name, authority);
        else if (!mf_slice_eq(name, MF_SLICE("keep-alive")))
            add(list, name, came[i].value);
    }
    mf_free(came);
    return rc;
}

/* The target's path and query in `room`, and as the rule rewrites them behind that. */
static int take_path(const struct mf_http1_head *head, const struct mf_change_rewrite *rewrite, uint8_t *room, size_t len,
                     struct mf_slice *path, struct mf_slice *original)
{
    struct out out = {room, 0};
    put(&out, head->path);
    if (head->query.ptr) {
        put(&out, MF_SLICE("?"));
        put(&out, head->query);
    }
    *path = mf_slice_of(room, out.len);
    *original = mf_slice_of(NULL, 0);
    long made = mf_change_path(rewrite, *path, room + out.len, len - out.len);
    if (made <= 0)
        return (int)made;
    *original = *path;
    *path = mf_slice_of(room + out.len, (size_t)made);
    const uint8_t *query = memchr(path->ptr, '?', path->len);
    struct mf_h2_view view = {.http_method = head->method,
                              .path = mf_slice_of(path->ptr, query ? (size_t)(query - path->ptr) : path->len)};
    return mf_h2_view_path_check(&view);
}

static void put_head(struct out *out, const struct mf_http1_head *head, struct mf_slice path, struct mf_slice authority,
                     const struct list *list)
{
    put(out, head->method);
    put(out, MF_SLICE(" "));
    if (head->scheme.len) {
        put(out, head->scheme);
        put(out, MF_SLICE("://"));
        put(out, authority.len ? authority : head->authority);
    }
    put(out, path);
    put(out, head->minor ? MF_SLICE(" HTTP/1.1\r\n") : MF_SLICE(" HTTP/1.0\r\n"));
    put_lines(out, list);
}

static int compose(const struct mf_http1_head *head, const struct mf_change *change, uint8_t *room, size_t room_len,
                   struct list *list, uint8_t **to, size_t *len)
{
    struct mf_slice path, original, authority = change->rewrite.authority;
    int rc = take_fields(head, list, authority);
    if (rc == 0)
        rc = take_path(head, &change->rewrite, room, room_len, &path, &original);
    if (rc < 0)
        return rc;
    struct mf_change_put came = {MF_SLICE(ORIGINAL), MF_SLICE(ORIGINAL), original, false};
    struct mf_change_list own = {.n_levels = original.ptr != NULL, .levels = {{.n_puts = 1, .puts = &came}}};
    list->n = mf_change_fields(&own, list->fields, list->marks, list->n);
    list->n = mf_change_fields(&change->request, list->fields, list->marks, list->n);
    add(list, MF_SLICE("connection"), MF_SLICE("close"));
    struct out out = {NULL, 0};
    put_head(&out, head, path, authority, list);
    out.to = mf_alloc(out.len);
    *len = out.len;
    if (!out.to)
        return -ENOMEM;
    out.len = 0;
    put_head(&out, head, path, authority, list);
    *to = out.to;
    return 0;
}

int mf_http1_change_head(const struct mf_http1_head *head, const struct mf_change *change, uint8_t **to, size_t *len)
{
    struct list list = {0};
    size_t room_len = 2 * (head->path.len + head->query.len + 1) + PATH_MORE;
    uint8_t *room = mf_alloc(room_len);
    int rc = room ? open_list(&list, head->n_fields, head->fields.len) : -ENOMEM;
    if (rc == 0)
        rc = compose(head, change, room, room_len, &list, to, len);
    mf_free(list.fields);
    mf_free(room);
    return rc;
}

/* --- answers */

int mf_http1_change_reply(const struct mf_reply *reply, bool bare, uint8_t **to, size_t *len)
{
    struct list list;
    char line[LINE], length[24];
    unsigned status = reply->statuses.http;
    bool empty = status == 204 || status == 304;
    if (open_list(&list, 0, 0) < 0)
        return -ENOMEM;
    snprintf(line, sizeof line, "HTTP/1.1 %u \r\n", status);
    snprintf(length, sizeof length, "%zu", reply->body.len);
    if (reply->location.len)
        add(&list, MF_SLICE("location"), reply->location);
    if (!empty)
        add(&list, MF_SLICE("content-length"), mf_slice_str(length));
    if (!empty && reply->body.len)
        add(&list, MF_SLICE("content-type"), MF_SLICE("text/plain"));
    if (reply->change)
        list.n = mf_change_fields(reply->change, list.fields, list.marks, list.n);
    add(&list, MF_SLICE("connection"), MF_SLICE("close"));
    struct out out = {NULL, 0};
    for (int pass = 0; pass < 2; pass++) {
        out.len = 0;
        put(&out, mf_slice_str(line));
        put_lines(&out, &list);
        if (!empty && !bare)
            put(&out, reply->body);
        if (!out.to && !(out.to = mf_alloc(out.len)))
            break;
    }
    mf_free(list.fields);
    *to = out.to;
    *len = out.len;
    return out.to ? 0 : -ENOMEM;
}
