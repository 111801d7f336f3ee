#include "protocol/h2_change.h"

#include "base/err.h"
#include "base/mem.h"
#include "codec/h2_view.h"

#include <errno.h>

#define ORIGINAL "x-envoy-original-path" /* which applications of other meshes look for */

/* They may lie there already. */
static void move(const struct mf_h2_share *share, struct mf_h2_list *list)
{
    if (list->fields != share->fields) {
        memcpy(share->fields, list->fields, list->n * sizeof *list->fields);
        memcpy(share->marks, list->marks, list->n * sizeof *list->marks);
    }
    list->fields = share->fields;
    list->marks = share->marks;
}

static struct mf_pair *find(const struct mf_h2_share *share, uint32_t n, enum mf_h2_name name)
{
    for (uint32_t i = 0; i < n; i++)
        if (share->marks[i].name == name)
            return &share->fields[i];
    return NULL;
}

/* As many as it takes: it grows by what the configuration says, which is bounded. */
static uint8_t *room_for(struct mf_h2_share *share, size_t len)
{
    if (len > share->path_room) {
        mf_free(share->path);
        share->path = mf_alloc(len);
        share->path_room = share->path ? len : 0;
    }
    return share->path;
}

static int rewrite_path(struct mf_h2_share *share, const struct mf_change_rewrite *rewrite, struct mf_pair *path,
                        struct mf_slice *original)
{
    size_t room = path->value.len + (size_t)share->local->limits->http_head;
    uint8_t *to = room_for(share, room);
    if (!to)
        return -ENOMEM;
    long len = mf_change_path(rewrite, path->value, to, room);
    if (len <= 0)
        return (int)len;
    *original = path->value;
    path->value = mf_slice_of(to, (size_t)len);
    return 0;
}

static uint32_t put(const struct mf_h2_share *share, uint32_t n, struct mf_slice name, struct mf_slice value)
{
    struct mf_change_put one = {name, name, value, false};
    struct mf_change_list list = {.n_levels = 1, .levels = {{.n_puts = 1, .puts = &one}}};
    return mf_change_fields(&list, share->fields, share->marks, n);
}

/* The one of a request, in all places where it has it. */
static uint32_t set_authority(const struct mf_h2_share *share, struct mf_slice authority, uint32_t n)
{
    struct mf_pair *own = find(share, n, MF_H2_NAME_PSEUDO_AUTHORITY), *host = find(share, n, MF_H2_NAME_HOST);
    if (own)
        own->value = authority;
    return own && !host ? n : put(share, n, MF_SLICE("host"), authority);
}

static int judge(const struct mf_h2_share *share, uint32_t n)
{
    struct mf_h2_request request;
    struct mf_h2_view view;
    uint8_t room[MF_H2_SCRATCH];
    struct mf_h2_scratch scratch = {room, sizeof room, 0};
    for (uint32_t i = 0; i < n; i++)
        share->marks[i] = mf_h2_mark_judge(share->fields[i], share->marks[i]);
    int rc = mf_h2_fields_request(share->fields, share->marks, n, &request);
    if (rc < 0)
        return rc;
    mf_h2_view_of(share->fields, share->marks, n, &request, &scratch, &view);
    return view.lost ? MF_EH2_AUTHORITY : mf_h2_view_path_check(&view);
}

int mf_h2_change_request(struct mf_h2_share *share, const struct mf_change *change, struct mf_h2_list *list)
{
    move(share, list);
    const struct mf_change_rewrite *rewrite = &change->rewrite;
    struct mf_slice original = {0};
    struct mf_pair *path = find(share, list->n, MF_H2_NAME_PSEUDO_PATH);
    int rc = path ? rewrite_path(share, rewrite, path, &original) : 0;
    if (rc < 0)
        return rc;
    if (original.ptr)
        list->n = put(share, list->n, MF_SLICE(ORIGINAL), original);
    if (rewrite->authority.len)
        list->n = set_authority(share, rewrite->authority, list->n);
    list->n = mf_change_fields(&change->request, share->fields, share->marks, list->n);
    return judge(share, list->n);
}

void mf_h2_change_answer(const struct mf_h2_share *share, const struct mf_change_list *change, struct mf_h2_list *list)
{
    move(share, list);
    list->n = mf_change_fields(change, share->fields, share->marks, list->n);
}
