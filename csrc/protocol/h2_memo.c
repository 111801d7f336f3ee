#include "protocol/h2_memo.h"

#include "base/mem.h"
#include "table/hash.h"

struct mf_h2_memo *mf_h2_memo_find(const struct mf_h2_memos *memos, struct mf_slice block, uint64_t generation,
                                   bool trailers)
{
    for (int i = 0; i < MF_H2_MEMOS; i++) {
        struct mf_h2_memo *memo = memos->of[i];
        if (memo && memo->head.generation == generation && memo->trailers == trailers &&
            mf_slice_eq(memo->head.block, block))
            return memo;
    }
    return NULL;
}

bool mf_h2_memo_worth(struct mf_h2_memos *memos, struct mf_slice block, uint64_t generation)
{
    uint64_t hash = mf_hash(block, generation) | 1;
    for (int i = 0; i < MF_H2_MEMOS; i++)
        if (memos->missed[i] == hash) /* another one with the same hash is kept in vain, and that is all */
            return true;
    memos->missed[memos->next++ % MF_H2_MEMOS] = hash;
    return false;
}

static bool within(struct mf_slice part, struct mf_slice whole)
{
    return part.len && part.ptr >= whole.ptr && part.ptr < whole.ptr + whole.len;
}

/* Where a text is once the block has moved; those of the scratch are copied behind it. */
static struct mf_slice move(struct mf_slice text, const struct mf_h2_head_in *head, struct mf_slice scratch,
                            uint8_t *block, uint8_t **end)
{
    if (within(text, head->block))
        return mf_slice_of(block + (text.ptr - head->block.ptr), text.len);
    if (!within(text, scratch))
        return text;
    memcpy(*end, text.ptr, text.len);
    *end += text.len;
    return mf_slice_of(*end - text.len, text.len);
}

static void let_go(struct mf_h2_conn *h2, struct mf_h2_memo *memo)
{
    if (memo && memo->note && h2->ops->on_forget)
        h2->ops->on_forget(h2, memo->note);
    mf_free(memo);
}

/* One that the table has outlived, or the next in turn. */
static struct mf_h2_memo **place(struct mf_h2_memos *memos, uint64_t generation)
{
    for (int i = 0; i < MF_H2_MEMOS; i++)
        if (!memos->of[i] || memos->of[i]->head.generation != generation)
            return &memos->of[i];
    return &memos->of[memos->next++ % MF_H2_MEMOS];
}

struct mf_h2_memo *mf_h2_memo_keep(struct mf_h2_conn *h2, struct mf_h2_memos *memos, const struct mf_h2_head_in *head,
                                   struct mf_slice scratch)
{
    size_t bytes = head->block.len, n = head->n;
    for (uint32_t i = 0; i < n; i++)
        bytes += (within(head->fields[i].key, scratch) ? head->fields[i].key.len : 0) +
                 (within(head->fields[i].value, scratch) ? head->fields[i].value.len : 0);
    if (n > MF_H2_MEMO_FIELDS || bytes > MF_H2_MEMO_BYTES)
        return NULL;
    struct mf_h2_memo *memo = mf_alloc(sizeof *memo + n * (sizeof(struct mf_pair) + sizeof(struct mf_h2_mark)) + bytes);
    if (!memo)
        return NULL;
    struct mf_pair *fields = (struct mf_pair *)(void *)(memo + 1);
    struct mf_h2_mark *marks = (struct mf_h2_mark *)(void *)(fields + n);
    uint8_t *block = (uint8_t *)(marks + n), *end = block + head->block.len;
    *memo = (struct mf_h2_memo){.trailers = head->kind == MF_H2_TRAILERS, .head = *head};
    if (head->block.len)
        memcpy(block, head->block.ptr, head->block.len);
    for (uint32_t i = 0; i < n; i++) {
        marks[i] = head->marks[i];
        fields[i].key = move(head->fields[i].key, head, scratch, block, &end);
        fields[i].value = move(head->fields[i].value, head, scratch, block, &end);
    }
    memo->head.fields = fields;
    memo->head.marks = marks;
    memo->head.block = mf_slice_of(block, head->block.len);
    memo->head.recalled = true;
    memo->head.note = &memo->note;
    if (head->kind == MF_H2_REQUEST && mf_h2_fields_request(fields, marks, head->n, &memo->head.request) < 0) {
        mf_free(memo); /* never: it was well-formed where it lay before */
        return NULL;
    }
    struct mf_h2_memo **at = place(memos, head->generation);
    let_go(h2, *at);
    *at = memo;
    return memo;
}

void mf_h2_memo_drop(struct mf_h2_conn *h2, struct mf_h2_memos *memos)
{
    for (int i = 0; i < MF_H2_MEMOS; i++)
        let_go(h2, memos->of[i]);
    *memos = (struct mf_h2_memos){0};
}
