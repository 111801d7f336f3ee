#include "codec/replace.h"

#include "base/err.h"
#include "base/out.h"

enum { HEAD = 4, STEP = 8, SLOTS = MF_REPLACE_GROUPS * 2, NOWHERE = 0xffff, GROUP = 0x80 };

struct step {
    uint8_t op, low, high;
    uint16_t next, other;
};

/* A blob may come from anywhere in memory. */
static uint16_t get(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, 2);
    return v;
}

static struct step step_at(struct mf_slice blob, uint32_t i)
{
    const uint8_t *p = blob.ptr + HEAD + i * STEP;
    return (struct step){p[0], p[1], p[2], get(p + 4), get(p + 6)};
}

int mf_replace_check(struct mf_slice blob)
{
    if (blob.len < HEAD + STEP)
        return MF_ELIMIT;
    size_t n = get(blob.ptr), template = get(blob.ptr + 2);
    if (n == 0 || n > MF_REPLACE_STEPS || blob.len != HEAD + n * STEP + template)
        return MF_ELIMIT;
    for (uint32_t i = 0; i < n; i++) {
        struct step step = step_at(blob, i);
        if (step.op > MF_REPLACE_MATCH || (step.op != MF_REPLACE_MATCH && step.next >= n))
            return MF_ELIMIT;
        if ((step.op == MF_REPLACE_SPLIT && step.other >= n) || (step.op == MF_REPLACE_SAVE && step.low >= SLOTS))
            return MF_ELIMIT;
    }
    for (const uint8_t *p = blob.ptr + HEAD + n * STEP; p < blob.ptr + blob.len; p++)
        if (*p >= GROUP + MF_REPLACE_GROUPS)
            return MF_ELIMIT;
    return 0;
}

/* One way through the expression that is still open, and where its groups lie. */
struct way {
    uint16_t step, slots[SLOTS];
};

struct ways {
    uint32_t n;
    struct way of[MF_REPLACE_STEPS];
};

struct search {
    struct mf_slice blob, text;
    uint32_t work;
    uint16_t slots[SLOTS];            /* of the way that is being followed */
    uint32_t seen[MF_REPLACE_STEPS];  /* at which place, + 1: each step is worth one way there */
    struct ways now, next;
};

/* Follows what takes no byte, the preferred way first. As deep as there are steps. */
static void follow(struct search *search, struct ways *to, uint32_t i, size_t at)
{
    search->work++;
    if (search->seen[i] == at + 1)
        return;
    search->seen[i] = (uint32_t)at + 1;
    struct step step = step_at(search->blob, i);
    uint16_t kept;
    switch (step.op) {
    case MF_REPLACE_SPLIT:
        follow(search, to, step.next, at);
        follow(search, to, step.other, at);
        return;
    case MF_REPLACE_SAVE:
        kept = search->slots[step.low];
        search->slots[step.low] = (uint16_t)at;
        follow(search, to, step.next, at);
        search->slots[step.low] = kept;
        return;
    case MF_REPLACE_START:
        if (at == 0)
            follow(search, to, step.next, at);
        return;
    case MF_REPLACE_END:
        if (at == search->text.len)
            follow(search, to, step.next, at);
        return;
    default:
        to->of[to->n].step = (uint16_t)i;
        memcpy(to->of[to->n++].slots, search->slots, sizeof search->slots);
    }
}

/* The first match from `at` on: true, and its slots. */
static bool find(struct search *search, size_t at, uint16_t found[SLOTS])
{
    bool any = false;
    struct ways *now = &search->now, *next = &search->next;
    now->n = 0;
    memset(search->seen, 0, sizeof search->seen);
    for (;; at++) {
        if (!any) { /* one that begins here is worth less than all that began before */
            memset(search->slots, 0xff, sizeof search->slots);
            follow(search, now, 0, at);
        }
        next->n = 0;
        for (uint32_t i = 0; i < now->n && search->work <= MF_REPLACE_WORK; i++) {
            struct step step = step_at(search->blob, now->of[i].step);
            search->work++;
            if (step.op == MF_REPLACE_MATCH) {
                memcpy(found, now->of[i].slots, sizeof now->of[i].slots);
                any = true;
                break; /* what is behind is worth less */
            }
            uint8_t byte = at < search->text.len ? search->text.ptr[at] : 0;
            if (at == search->text.len || byte < step.low || byte > step.high)
                continue;
            memcpy(search->slots, now->of[i].slots, sizeof search->slots);
            follow(search, next, step.next, at + 1);
        }
        struct ways *swap = now;
        now = next;
        next = swap;
        if (at == search->text.len || (any && now->n == 0) || search->work > MF_REPLACE_WORK)
            return any;
    }
}

static struct mf_slice part(struct mf_slice text, size_t from, size_t to)
{
    return mf_slice_of(text.ptr + from, to - from);
}

static void put_template(struct mf_out *out, const struct search *search, const uint16_t found[SLOTS])
{
    const uint8_t *end = search->blob.ptr + search->blob.len;
    for (const uint8_t *p = end - get(search->blob.ptr + 2); p < end; p++) {
        if (*p < GROUP) {
            mf_out_put(out, mf_slice_of(p, 1));
            continue;
        }
        const uint16_t *slots = found + 2 * (*p - GROUP);
        if (slots[0] != NOWHERE && slots[1] != NOWHERE)
            mf_out_put(out, part(search->text, slots[0], slots[1]));
    }
}

long mf_replace(struct mf_slice blob, struct mf_slice text, uint8_t *to, size_t room)
{
    struct search search;
    struct mf_out out = {to, room, 0};
    uint16_t found[SLOTS];
    size_t at = 0, last = SIZE_MAX;
    if (text.len > MF_REPLACE_TEXT)
        return MF_ELIMIT;
    search.blob = blob;
    search.text = text;
    search.work = 0;
    while (at <= text.len && find(&search, at, found)) {
        mf_out_put(&out, part(text, at, found[0]));
        at = found[1];
        if (found[0] == found[1] && found[0] == last) { /* nothing, right behind a match, is none */
            if (at < text.len)
                mf_out_put(&out, part(text, at, at + 1));
            at++;
            continue;
        }
        put_template(&out, &search, found);
        last = at;
    }
    if (at < text.len)
        mf_out_put(&out, part(text, at, text.len));
    return search.work > MF_REPLACE_WORK ? MF_ELIMIT : mf_out_end(&out);
}
