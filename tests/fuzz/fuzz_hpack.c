/* fuzz_hpack: a script of header blocks for one decoder: two bytes of length before each, a first byte that chooses sizes
 * and caps. A second decoder gets the same blocks under tight caps and is packed between them: its table must stay the
 * same, and what it keeps is the beginning of what the first one has. What was decoded is encoded, and read again. */
#include "codec/h2_fields.h"
#include "codec/hpack.h"

#include <stdlib.h>

enum { FIELDS = 4096, SCRATCH = 1 << 17 };

static struct mf_pair fields[3][FIELDS];
static struct mf_h2_mark marks[3][FIELDS];
static uint8_t scratch[3][SCRATCH];

static bool same(struct mf_pair a, struct mf_pair b)
{
    return mf_slice_eq(a.key, b.key) && mf_slice_eq(a.value, b.value);
}

static void same_tables(const struct mf_hpack_table *a, const struct mf_hpack_table *b)
{
    if (a->count != b->count || a->used != b->used || a->size != b->size)
        abort();
    for (uint32_t n = 0; n < a->count; n++) {
        const struct mf_hpack_entry *x = a->_entries + ((a->_added - 1 - n) & a->_mask);
        const struct mf_hpack_entry *y = b->_entries + ((b->_added - 1 - n) & b->_mask);
        if (x->name_len != y->name_len || x->value_len != y->value_len || memcmp(&x->mark, &y->mark, sizeof x->mark)
            || memcmp(a->_bytes + x->at, b->_bytes + y->at, (size_t)x->name_len + x->value_len))
            abort();
    }
}

static void repack(struct mf_hpack_decoder *decoder, void **memory, uint32_t size)
{
    void *small = malloc(mf_hpack_decoder_packed(decoder) + 1), *large = malloc(mf_hpack_decoder_room(size) + 1);
    mf_hpack_decoder_pack(decoder, small);
    free(*memory);
    mf_hpack_decoder_unpack(decoder, *memory = large);
    free(small);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static const uint32_t sizes[] = {0, 64, 100, 256, 4096, 65536, 1000, 33};
    if (len < 3)
        return 0;
    uint32_t size = sizes[bytes[0] & 7];
    struct mf_hpack_room wide = {fields[0], marks[0], scratch[0], SCRATCH, FIELDS, SCRATCH};
    struct mf_hpack_room tight = {fields[1], marks[1], scratch[1], bytes[1] / 2, bytes[0] >> 5, bytes[1]};
    struct mf_hpack_room check = {fields[2], marks[2], scratch[2], SCRATCH, FIELDS, SCRATCH};
    struct mf_hpack_decoder one, two, three;
    struct mf_hpack_encoder encoder;
    void *memory[4];
    for (int i = 0; i < 3; i++)
        memory[i] = malloc(mf_hpack_decoder_room(size) + 1);
    memory[3] = malloc(mf_hpack_encoder_room(size) + 1);
    mf_hpack_decoder_init(&one, memory[0], size);
    mf_hpack_decoder_init(&two, memory[1], size);
    mf_hpack_decoder_init(&three, memory[2], size);
    mf_hpack_encoder_init(&encoder, memory[3], size);
    for (size_t at = 2; at + 2 <= len;) {
        struct mf_hpack_list out, less, again;
        size_t n = (size_t)bytes[at] | (size_t)(bytes[at + 1] & 15) << 8;
        if (bytes[at + 1] & 0x80) {
            uint32_t limit = sizes[bytes[at + 1] >> 4 & 7];
            mf_hpack_decoder_limit(&one, limit);
            mf_hpack_decoder_limit(&two, limit);
            mf_hpack_decoder_limit(&three, limit);
            mf_hpack_encoder_limit(&encoder, limit);
        }
        at += 2;
        if (n > len - at)
            n = len - at;
        struct mf_slice block = mf_slice_of(bytes + at, n);
        at += n;
        uint64_t generation = one.table.generation;
        int rc = mf_hpack_decode(&one, block, &wide, &out);
        if (mf_hpack_decode(&two, block, &tight, &less) != rc)
            abort();
        if (rc < 0)
            break;
        same_tables(&one.table, &two.table);
        if (out.over || less.n > out.n || (!less.over && less.n != out.n) || less.n_all != out.n_all)
            abort();
        struct mf_h2_request request;
        uint32_t where;
        mf_h2_fields_request(fields[0], marks[0], out.n, &request);
        mf_h2_fields_trailers(fields[0], marks[0], out.n, &where);
        for (uint32_t i = 0; i < out.n; i++) {
            struct mf_h2_mark judged = mf_h2_mark_judge(fields[0][i], (struct mf_h2_mark){0, 0});
            int bad = MF_H2_MARK_BAD_NAME | MF_H2_MARK_BAD_VALUE;
            if (judged.name != marks[0][i].name || judged.flags != (marks[0][i].flags & bad))
                abort();
            if (i < less.n && !same(fields[0][i], fields[1][i]))
                abort();
        }
        static uint8_t put[1 << 20];
        size_t used = mf_hpack_put_begin(&encoder, put);
        uint32_t k = 0;
        for (; k < out.n && used + MF_HPACK_PUT_ROOM(fields[0][k]) <= sizeof put; k++)
            used += mf_hpack_put(&encoder, put + used, fields[0][k], marks[0][k]);
        if (mf_hpack_decode(&three, mf_slice_of(put, used), &check, &again) < 0 || again.n != k)
            abort();
        for (uint32_t i = 0; i < k; i++)
            if (!same(fields[0][i], fields[2][i]))
                abort();
        if (one.table.generation == generation) { /* it means the same again */
            if (mf_hpack_decode(&one, block, &check, &again) < 0 || again.n != out.n)
                abort();
            for (uint32_t i = 0; i < out.n; i++)
                if (!same(fields[0][i], fields[2][i]))
                    abort();
        }
        repack(&two, &memory[1], size);
    }
    for (int i = 0; i < 4; i++)
        free(memory[i]);
    return 0;
}
