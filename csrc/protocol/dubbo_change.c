#include "protocol/dubbo_change.h"

#include "base/block.h"
#include "base/err.h"
#include "base/mem.h"

#include <errno.h>

enum { PAIRS = 3 * MF_CHANGE_FIELDS };

static bool drops_any(const struct mf_change_list *change)
{
    for (uint32_t l = 0; l < change->n_levels; l++)
        if (change->levels[l].n_removes)
            return true;
    return false;
}

/* Head, body and tail in one piece; `out->tail` lies in `tail`. */
static struct mf_block *put(struct mf_loop *loop, const struct mf_dubbo_changing *from, const struct mf_dubbo_stamped *body,
                            size_t *len)
{
    struct mf_dubbo_head head = *from->head;
    head.id = from->id;
    head.body_len = (uint32_t)body->len;
    *len = MF_DUBBO_HEAD_LEN + body->len;
    struct mf_block *block = mf_loop_block(loop, *len);
    if (!block)
        return NULL;
    mf_dubbo_put_head(block->data, &head);
    mf_dubbo_stamped_copy(body, block->data + MF_DUBBO_HEAD_LEN);
    return block;
}

static int stamp(const struct mf_dubbo_changing *from, const struct mf_change_list *change, struct mf_dubbo_dropped *cut,
                 uint8_t **tail, struct mf_dubbo_stamped *out)
{
    struct mf_pair pairs[PAIRS];
    uint32_t n = 0;
    for (; n < from->n_stamps && n < MF_CHANGE_FIELDS; n++)
        pairs[n] = from->stamps[n];
    n += mf_change_attachments(change, pairs + n);
    if (cut->n_over)
        memcpy(pairs + n, cut->over, cut->n_over * sizeof *pairs);
    n += cut->n_over;
    size_t room = mf_dubbo_stamp_room(pairs, n);
    *tail = mf_alloc(room);
    if (!*tail)
        return -ENOMEM;
    return mf_dubbo_stamp(from->head->serialization, cut->body, &cut->request, pairs, n, *tail, room, out);
}

struct mf_block *mf_dubbo_change(struct mf_loop *loop, const struct mf_dubbo_changing *from,
                                 const struct mf_change_list *change, size_t *len, int *rc)
{
    struct mf_pair over[MF_CHANGE_FIELDS];
    struct mf_dubbo_dropped cut = {.body = from->body, .request = *from->said, .over = over};
    struct mf_dubbo_stamped body;
    struct mf_block *block = NULL;
    uint8_t *tail = NULL;
    *rc = 0;
    if (drops_any(change)) {
        cut.to = mf_alloc(from->body.len + 1);
        *rc = cut.to ? mf_dubbo_drop(from->head->serialization, from->body, from->said, from->limits, change, &cut) : -ENOMEM;
    }
    if (*rc == 0)
        *rc = stamp(from, change, &cut, &tail, &body);
    if (*rc == 0 && !(block = put(loop, from, &body, len)))
        *rc = -ENOMEM;
    mf_free(tail);
    mf_free(cut.to);
    return block;
}
