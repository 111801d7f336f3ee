#include "protocol/h2_like.h"

#include "base/mem.h"
#include "table/hash.h"

enum { FIELDS = 64, BYTES = 4096, BAD = MF_H2_MARK_BAD_NAME | MF_H2_MARK_BAD_VALUE };

static bool same_name(const struct mf_h2_head_in *a, const struct mf_h2_head_in *b, uint32_t i)
{
    return a->marks[i].name == b->marks[i].name &&
           (a->marks[i].name != MF_H2_NAME_OTHER || mf_slice_eq(a->fields[i].key, b->fields[i].key));
}

static bool is_like(const struct mf_h2_head_in *kept, const struct mf_h2_head_in *head)
{
    if (kept->n != head->n)
        return false;
    for (uint32_t i = 0; i < head->n; i++) {
        bool hole = mf_h2_name_traces(head->marks[i].name);
        if (!same_name(kept, head, i) || ((kept->marks[i].flags ^ head->marks[i].flags) & MF_H2_MARK_NEVER))
            return false;
        if (hole ? head->marks[i].flags & BAD : !mf_slice_eq(kept->fields[i].value, head->fields[i].value))
            return false;
    }
    return true;
}

struct mf_h2_like *mf_h2_like_find(const struct mf_h2_likes *likes, const struct mf_h2_head_in *head)
{
    for (int i = 0; i < MF_H2_LIKES && likes->of[i]; i++)
        if (is_like(&likes->of[i]->head, head))
            return likes->of[i];
    return NULL;
}

/* Which fields may have other values; false: none, or too many, or one that repeats. */
static bool holes_of(const struct mf_h2_head_in *head, uint32_t *n, uint16_t holes[MF_H2_HOLES])
{
    uint64_t seen = 0;
    *n = 0;
    for (uint32_t i = 0; i < head->n; i++) {
        if (!mf_h2_name_traces(head->marks[i].name))
            continue;
        uint64_t bit = UINT64_C(1) << (head->marks[i].name - MF_H2_NAME_TRACEPARENT);
        if (*n == MF_H2_HOLES || (seen & bit))
            return false;
        seen |= bit;
        holes[(*n)++] = (uint16_t)i;
    }
    return *n > 0;
}

static bool is_worth(struct mf_h2_likes *likes, const struct mf_h2_head_in *head)
{
    uint64_t hash = head->n;
    for (uint32_t i = 0; i < head->n; i++) {
        bool hole = mf_h2_name_traces(head->marks[i].name);
        hash = mf_hash(hole ? head->fields[i].key : head->fields[i].value, hash + head->marks[i].name);
    }
    hash |= 1;
    for (int i = 0; i < MF_H2_LIKES; i++)
        if (likes->missed[i] == hash) /* another one with the same hash is kept in vain, and that is all */
            return true;
    likes->missed[likes->next++ % MF_H2_LIKES] = hash;
    return false;
}

static struct mf_slice put(uint8_t **to, struct mf_slice text)
{
    uint8_t *at = *to;
    if (text.len)
        memcpy(at, text.ptr, text.len);
    *to += text.len;
    return mf_slice_of(at, text.len);
}

static struct mf_h2_like *copy(const struct mf_h2_head_in *head)
{
    size_t n = head->n, bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += head->fields[i].key.len + head->fields[i].value.len;
    if (n > FIELDS || bytes > BYTES)
        return NULL;
    struct mf_h2_like *like = mf_alloc(sizeof *like + n * (sizeof(struct mf_pair) + sizeof(struct mf_h2_mark)) + bytes);
    if (!like)
        return NULL;
    struct mf_pair *fields = (struct mf_pair *)(void *)(like + 1);
    struct mf_h2_mark *marks = (struct mf_h2_mark *)(void *)(fields + n);
    uint8_t *to = (uint8_t *)(marks + n);
    *like = (struct mf_h2_like){.head = {.kind = MF_H2_REQUEST, .n = head->n, .fields = fields, .marks = marks}};
    for (size_t i = 0; i < n; i++) {
        marks[i] = head->marks[i];
        fields[i] = (struct mf_pair){put(&to, head->fields[i].key), put(&to, head->fields[i].value)};
    }
    if (mf_h2_fields_request(fields, marks, head->n, &like->head.request) == 0)
        return like;
    mf_free(like); /* never: it was well-formed where it lay before */
    return NULL;
}

static void let_go(struct mf_h2_conn *h2, struct mf_h2_like *like)
{
    if (like && like->note && h2->ops->on_forget)
        h2->ops->on_forget(h2, like->note);
    mf_free(like);
}

void mf_h2_like_keep(struct mf_h2_conn *h2, struct mf_h2_likes *likes, const struct mf_h2_head_in *head)
{
    uint32_t n, at = 0;
    uint16_t holes[MF_H2_HOLES];
    if (!holes_of(head, &n, holes) || !is_worth(likes, head))
        return;
    struct mf_h2_like *like = copy(head);
    if (!like)
        return;
    like->n_holes = n;
    memcpy(like->holes, holes, sizeof holes);
    while (at < MF_H2_LIKES && likes->of[at])
        at++;
    at = at < MF_H2_LIKES ? at : likes->next++ % MF_H2_LIKES;
    let_go(h2, likes->of[at]);
    likes->of[at] = like;
}

void mf_h2_like_drop(struct mf_h2_conn *h2, struct mf_h2_likes *likes)
{
    for (int i = 0; i < MF_H2_LIKES; i++)
        let_go(h2, likes->of[i]);
    *likes = (struct mf_h2_likes){0};
}
