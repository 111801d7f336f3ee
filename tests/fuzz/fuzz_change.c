/* fuzz_change: changes, paths and places of redirects made of any bytes, on fields and texts made of the rest: what is written
 * fits, counts add up, and an expression ends within its work. */
#include "codec/change.h"
#include "codec/replace.h"

#include <stdlib.h>

enum { FIELDS = 8, LEVELS = 2, PUTS = 3, ROOM = 256, BLOB = 4 + 16 * 8 + 32 };

static struct mf_slice in;

static uint8_t byte(void)
{
    if (in.len == 0)
        return 0;
    uint8_t first = in.ptr[0];
    in = mf_slice_of(in.ptr + 1, in.len - 1);
    return first;
}

/* Up to 15 bytes; never with no address. */
static struct mf_slice text(void)
{
    size_t len = byte() % 16;
    len = len < in.len ? len : in.len;
    struct mf_slice out = len ? mf_slice_of(in.ptr, len) : mf_slice_of("", 0);
    if (len)
        in = mf_slice_of(in.ptr + len, in.len - len);
    return out;
}

/* --- expressions */

static void put16(uint8_t *to, uint16_t value)
{
    memcpy(to, &value, sizeof value);
}

/* One that is mostly in range. */
static struct mf_slice program(uint8_t blob[BLOB])
{
    uint16_t steps = (uint16_t)(1 + byte() % 16), letters = byte() % 32;
    put16(blob, steps);
    put16(blob + 2, letters);
    uint8_t *at = blob + 4;
    for (uint16_t i = 0; i < steps; i++, at += 8) {
        at[0] = byte() % 7;
        at[1] = byte();
        at[2] = byte();
        if (at[0] == MF_REPLACE_SAVE)
            at[1] %= 2 * MF_REPLACE_GROUPS + 1;
        at[3] = 0;
        put16(at + 4, byte() % (steps + 1));
        put16(at + 6, byte() % (steps + 1));
    }
    for (uint16_t i = 0; i < letters; i++)
        *at++ = byte();
    return mf_slice_of(blob, (size_t)(at - blob));
}

static void replace(void)
{
    uint8_t blob[BLOB], to[ROOM];
    struct mf_slice made = program(blob);
    (void)mf_replace_check(in);
    if (mf_replace_check(made) != 0)
        return;
    size_t room = byte() % (ROOM + 1);
    long len = mf_replace(made, in, to, room);
    if (len > (long)room)
        abort();
    struct mf_change_rewrite rewrite = {.path = MF_CHANGE_PATH_PARTS, .to = made};
    if (mf_change_path(&rewrite, in, to, room) > (long)room)
        abort();
}

/* --- fields */

static struct mf_slice removes[LEVELS][PUTS];
static struct mf_change_put put_ops[LEVELS][PUTS];

static void fill(struct mf_change_list *list)
{
    *list = (struct mf_change_list){.n_levels = byte() % (LEVELS + 1)};
    for (uint32_t l = 0; l < list->n_levels; l++) {
        struct mf_change_level *level = &list->levels[l];
        level->n_removes = byte() % (PUTS + 1);
        level->n_puts = byte() % (PUTS + 1);
        level->removes = level->lower_removes = removes[l];
        level->puts = put_ops[l];
        for (uint32_t i = 0; i < level->n_removes; i++)
            removes[l][i] = text();
        for (uint32_t i = 0; i < level->n_puts; i++) {
            put_ops[l][i] = (struct mf_change_put){.name = text(), .value = text(), .beside = byte() & 1};
            put_ops[l][i].lower = put_ops[l][i].name;
        }
    }
}

static void fields(void)
{
    struct mf_change_list list;
    struct mf_pair all[FIELDS + MF_CHANGE_FIELDS], pairs[MF_CHANGE_FIELDS];
    struct mf_h2_mark marks[FIELDS + MF_CHANGE_FIELDS];
    fill(&list);
    uint32_t n = byte() % (FIELDS + 1), n_puts = 0;
    for (uint32_t i = 0; i < n; i++) {
        all[i] = (struct mf_pair){text(), text()};
        marks[i] = mf_h2_mark_of(all[i]);
    }
    for (uint32_t l = 0; l < list.n_levels; l++)
        n_puts += list.levels[l].n_puts;
    uint32_t now = mf_change_fields(&list, all, marks, n);
    if (now > n + n_puts)
        abort();
    for (uint32_t i = 0; i < now; i++)
        if (all[i].key.len > 15 || all[i].value.len > 15)
            abort();
    uint32_t put = mf_change_attachments(&list, pairs);
    if (put > n_puts)
        abort();
    for (uint32_t i = 0; i < put; i++)
        if (mf_change_drops(&list, pairs[i].key)) /* what is put is not dropped */
            abort();
}

/* --- paths and places */

static void paths(void)
{
    uint8_t to[ROOM];
    size_t room = byte() % (ROOM + 1);
    struct mf_change_rewrite rewrite = {.path = byte() % MF_CHANGE_PATH_PARTS, .strip = byte() % 16, .to = text()};
    struct mf_slice path = text();
    if (rewrite.strip > path.len)
        rewrite.strip = (uint32_t)path.len; /* it was matched */
    if (mf_change_path(&rewrite, path, to, room) > (long)room)
        abort();
    struct mf_change_redirect redirect = {text(), text(), text(), byte() * 257u, byte() & 1};
    struct mf_slice scheme = byte() & 1 ? MF_SLICE("http") : text(), authority = text(), query = text();
    if (byte() & 1)
        query = mf_slice_of(NULL, 0);
    if (mf_change_location(&redirect, scheme, authority, path, query, to, room) > (long)room)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    in = mf_slice_of(data, len);
    switch (byte() % 3) {
    case 0:
        replace();
        break;
    case 1:
        fields();
        break;
    default:
        paths();
    }
    return 0;
}
