#include "codec/hpack_table.h"
#include "codec/huffman.h"

enum { NO_LEAST = UINT32_MAX };

/* One block under way. */
struct reading {
    struct mf_hpack_table *table;
    const uint8_t *at, *end;
    const struct mf_hpack_room *room;
    struct mf_hpack_list *out;
    uint32_t settled;  /* fields before this one point at nothing that an insertion can overwrite */
    uint32_t safe;     /* bytes that may be inserted before a field from `settled` on is overwritten */
    bool lent;         /* one of them points into the table */
    uint64_t copies;   /* names that may still be copied */
};

/* A name or value: first as it lies in the block, then as it reads; or, where there is no room for that (`lost`), its
 * decoded length alone. Kept in registers: copies of slices stall on the stores before them. */
struct text {
    const uint8_t *raw, *ptr;
    size_t raw_len, len;
    bool huffman, lost, plain; /* `plain`: it is known to have no control character */
};
#define INLINE static inline __attribute__((always_inline))

size_t mf_hpack_decoder_room(uint32_t size)
{
    return mf_hpack_table_room(size);
}

void mf_hpack_decoder_init(struct mf_hpack_decoder *decoder, void *memory, uint32_t size)
{
    mf_hpack_table_init(&decoder->table, memory, size);
    decoder->table.size = size < MF_HPACK_TABLE ? size : MF_HPACK_TABLE;
    decoder->_limit = size;
    decoder->_least = NO_LEAST;
}

void mf_hpack_decoder_limit(struct mf_hpack_decoder *decoder, uint32_t limit)
{
    if (limit > decoder->table.room)
        limit = decoder->table.room;
    decoder->_limit = limit;
    if (limit < decoder->table.size && limit < decoder->_least)
        decoder->_least = limit;
    decoder->table.generation++;
}

size_t mf_hpack_decoder_packed(const struct mf_hpack_decoder *decoder)
{
    return mf_hpack_table_packed(&decoder->table);
}

void mf_hpack_decoder_pack(struct mf_hpack_decoder *decoder, void *to)
{
    mf_hpack_table_pack(&decoder->table, to);
}

void mf_hpack_decoder_unpack(struct mf_hpack_decoder *decoder, void *memory)
{
    mf_hpack_table_unpack(&decoder->table, memory);
}

/* An integer of a prefix of `bits` bits, whose first byte is there. Four bytes more: nothing here is as large as
 * 2^28. */
INLINE int integer(struct reading *in, unsigned bits, uint32_t *value)
{
    uint32_t most = (1u << bits) - 1;
    *value = *in->at++ & most;
    if (*value < most)
        return 0;
    for (unsigned shift = 0; shift < 28; shift += 7) {
        if (in->at == in->end)
            return MF_EHPACK_SHORT;
        uint8_t byte = *in->at++;
        *value += (uint32_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return 0;
    }
    return MF_EHPACK_INTEGER;
}

static bool in_table(const struct reading *in, struct mf_slice slice)
{
    return (uintptr_t)slice.ptr - (uintptr_t)in->table->_bytes < in->table->_bytes_room;
}

static bool to_scratch(struct reading *in, struct mf_slice *slice)
{
    if (slice->len > in->room->scratch_len - in->out->scratch_used) {
        in->out->over |= MF_HPACK_OVER_SCRATCH;
        return false;
    }
    uint8_t *to = in->room->scratch + in->out->scratch_used;
    if (slice->len)
        memcpy(to, slice->ptr, slice->len);
    in->out->scratch_used += slice->len;
    slice->ptr = to;
    return true;
}

/* An insertion will overwrite what fields of this block point at: they get it in the scratch instead. Each field goes
 * through this once. */
static void settle(struct reading *in)
{
    struct mf_hpack_list *out = in->out;
    for (uint32_t i = in->settled; i < out->n; i++) {
        struct mf_pair *field = in->room->fields + i;
        if ((in_table(in, field->key) && !to_scratch(in, &field->key))
            || (in_table(in, field->value) && !to_scratch(in, &field->value)))
            out->n = i;
    }
    in->settled = out->n;
    in->lent = false;
}

INLINE void lend(struct reading *in)
{
    if (!in->lent) {
        in->lent = true;
        in->safe = mf_hpack_table_gap(in->table);
    }
}

/* Counts a field; false when it is not to be kept. */
INLINE bool count(struct reading *in, size_t name_len, size_t value_len)
{
    struct mf_hpack_list *out = in->out;
    out->n_all++;
    out->size_all += name_len + value_len + MF_HPACK_OVERHEAD;
    if (out->over)
        return false;
    if (out->size_all > in->room->max_size)
        out->over |= MF_HPACK_OVER_SIZE;
    if (out->n == in->room->max_fields)
        out->over |= MF_HPACK_OVER_FIELDS;
    return !out->over;
}

INLINE void keep(struct reading *in, struct mf_slice key, struct mf_slice value, struct mf_h2_mark mark)
{
    in->room->fields[in->out->n] = (struct mf_pair){key, value};
    in->room->marks[in->out->n++] = mark;
}

INLINE int indexed(struct reading *in, uint32_t index)
{
    if (index == 0)
        return MF_EHPACK_INDEX;
    if (index <= MF_H2_STATIC) {
        struct mf_pair field = mf_hpack_static_pairs[index];
        if (count(in, field.key.len, field.value.len))
            keep(in, field.key, field.value, (struct mf_h2_mark){mf_hpack_static_names[index], 0});
        return 0;
    }
    index -= MF_H2_STATIC + 1;
    if (index >= in->table->count)
        return MF_EHPACK_INDEX;
    const struct mf_hpack_entry *entry = mf_hpack_table_at(in->table, index);
    if (count(in, entry->name_len, entry->value_len)) {
        struct mf_pair field = mf_hpack_table_pair(in->table, entry);
        lend(in);
        keep(in, field.key, field.value, entry->mark);
    }
    return 0;
}

/* Reads a text where it is coded, into the scratch, or counts it where there is no room. */
INLINE int decode_text(struct reading *in, struct text *text)
{
    int64_t len = MF_ELIMIT;
    struct mf_slice raw = {text->raw, text->raw_len};
    if (!in->out->over) {
        uint8_t *to = in->room->scratch + in->out->scratch_used;
        len = mf_huffman_decode(raw, to, in->room->scratch_len - in->out->scratch_used, &text->plain);
        if (len >= 0) {
            text->ptr = to;
            text->len = (size_t)len;
            in->out->scratch_used += (size_t)len;
            return 0;
        }
        if (len != MF_ELIMIT)
            return (int)len;
        in->out->over |= MF_HPACK_OVER_SCRATCH;
    }
    text->lost = true;
    len = mf_huffman_decoded_len(raw);
    text->len = (size_t)len;
    return len < 0 ? (int)len : 0;
}

/* A text; `mark`: it is a name, and gets its number where it is found by its code. */
INLINE int string(struct reading *in, struct text *text, struct mf_h2_mark *mark)
{
    uint32_t len;
    if (in->at == in->end)
        return MF_EHPACK_SHORT;
    text->huffman = *in->at & 0x80;
    text->lost = text->plain = false;
    int rc = integer(in, 7, &len);
    if (rc < 0)
        return rc;
    if (len > (size_t)(in->end - in->at))
        return MF_EHPACK_SHORT;
    text->raw = text->ptr = in->at;
    text->raw_len = text->len = len;
    in->at += len;
    if (!text->huffman)
        return 0;
    if (mark && (mark->name = (uint8_t)mf_h2_name_of_coded(mf_slice_of(text->raw, len)))) {
        struct mf_slice known = mf_h2_name_text((enum mf_h2_name)mark->name);
        text->ptr = known.ptr;
        text->len = known.len;
        return 0;
    }
    return decode_text(in, text);
}

/* As memmove, mostly without the call. */
INLINE void copy(uint8_t *to, const uint8_t *from, size_t n)
{
    uint64_t first[2], last[2];
    if (n > 32 || n < 4) {
        memmove(to, from, n);
    } else if (n >= 16) {
        memcpy(first, from, 16);
        memcpy(last, from + n - 16, 16);
        memcpy(to, first, 16);
        memcpy(to + n - 16, last, 16);
    } else if (n >= 8) {
        memcpy(first, from, 8);
        memcpy(last, from + n - 8, 8);
        memcpy(to, first, 8);
        memcpy(to + n - 8, last, 8);
    } else {
        memcpy(first, from, 4);
        memcpy(last, from + n - 4, 4);
        memcpy(to, first, 4);
        memcpy(to + n - 4, last, 4);
    }
}

INLINE void write_text(uint8_t *to, const struct text *text)
{
    bool plain;
    if (text->lost)
        mf_huffman_decode(mf_slice_of(text->raw, text->raw_len), to, text->len, &plain);
    else if (text->len)
        copy(to, text->ptr, text->len); /* maybe a name of an entry that is just being overwritten */
}

/* The name of a field whose name is an index. */
INLINE int index_name(struct reading *in, uint32_t index, bool insert, struct text *name, struct mf_h2_mark *mark)
{
    struct mf_slice key;
    name->lost = false;
    if (index <= MF_H2_STATIC) {
        key = mf_hpack_static_pairs[index].key;
        mark->name = mf_hpack_static_names[index];
    } else {
        index -= MF_H2_STATIC + 1;
        if (index >= in->table->count)
            return MF_EHPACK_INDEX;
        const struct mf_hpack_entry *entry = mf_hpack_table_at(in->table, index);
        key = mf_hpack_table_pair(in->table, entry).key;
        *mark = (struct mf_h2_mark){entry->mark.name, entry->mark.flags & MF_H2_MARK_BAD_NAME};
        if (insert && key.len > in->copies)
            return MF_EHPACK_WORK;
        in->copies -= insert ? key.len : 0;
    }
    name->raw = name->ptr = key.ptr;
    name->raw_len = name->len = key.len;
    return 0;
}

/* A field that is literal, whose name may be an index. */
INLINE int literal(struct reading *in, unsigned bits, bool insert, uint8_t flags)
{
    struct text name, value;
    struct mf_h2_mark mark = {MF_H2_NAME_OTHER, 0};
    uint32_t index;
    int rc = integer(in, bits, &index);
    if (rc < 0)
        return rc;
    rc = index ? index_name(in, index, insert, &name, &mark) : string(in, &name, &mark);
    if (rc < 0 || (rc = string(in, &value, NULL)) < 0)
        return rc;
    bool borrowed = index > MF_H2_STATIC; /* the name is the table's */
    bool all = !name.lost && !value.lost;
    if (all) {
        struct mf_slice key = {name.ptr, name.len};
        if (!index && !mark.name && !(mark.name = (uint8_t)mf_h2_name_of(key)) && !mf_h2_name_good(key))
            mark.flags |= MF_H2_MARK_BAD_NAME;
        struct mf_slice text = mf_slice_of(value.ptr, value.len);
        if (value.plain ? !mf_h2_value_trim(text) : !mf_h2_value_good(text))
            mark.flags |= MF_H2_MARK_BAD_VALUE;
    }
    bool wanted = count(in, name.len, value.len);

    if (insert) {
        uint32_t len = (uint32_t)(name.len + value.len);
        if (in->lent && name.len + value.len + MF_HPACK_OVERHEAD <= in->table->size) {
            uint32_t step = mf_hpack_table_step(in->table, len);
            if (step > in->safe)
                settle(in);
            else
                in->safe -= step;
            wanted = wanted && !in->out->over;
        }
        uint8_t *to = mf_hpack_table_add(in->table, (uint32_t)name.len, (uint32_t)value.len, mark);
        if (to) {
            write_text(to, &name);
            write_text(to + name.len, &value);
            if (!all) { /* it can be read only now */
                struct mf_pair made = {mf_slice_of(to, name.len), mf_slice_of(to + name.len, value.len)};
                mf_hpack_table_mark(in->table, mf_h2_mark_judge(made, mark));
            }
            if (borrowed)
                name.ptr = to;
        } else if (borrowed && wanted) {
            struct mf_slice key = {name.ptr, name.len};
            wanted = to_scratch(in, &key);
            name.ptr = key.ptr;
            borrowed = false;
        }
    }
    if (wanted) {
        if (borrowed)
            lend(in);
        mark.flags |= flags;
        keep(in, mf_slice_of(name.ptr, name.len), mf_slice_of(value.ptr, value.len), mark);
    }
    return 0;
}

static int update(struct mf_hpack_decoder *decoder, struct reading *in)
{
    uint32_t size;
    int rc = integer(in, 5, &size);
    if (rc < 0)
        return rc;
    if (size > decoder->_limit || size > decoder->_least)
        return MF_EHPACK_UPDATE;
    decoder->_least = NO_LEAST;
    mf_hpack_table_resize(&decoder->table, size);
    return 0;
}

int mf_hpack_decode(struct mf_hpack_decoder *decoder, struct mf_slice block, const struct mf_hpack_room *room,
                    struct mf_hpack_list *out)
{
    struct reading in = {.table = &decoder->table, .at = block.ptr, .room = room, .out = out};
    *out = (struct mf_hpack_list){0};
    if (block.len == 0)
        return decoder->_least == NO_LEAST ? 0 : MF_EHPACK_NO_UPDATE;
    in.end = block.ptr + block.len;
    in.copies = MF_HPACK_COPY_FREE + (uint64_t)MF_HPACK_COPY_EACH * block.len;
    int rc = 0;
    while (rc == 0 && in.at < in.end && *in.at >> 5 == 1)
        rc = update(decoder, &in);
    if (rc == 0 && decoder->_least != NO_LEAST)
        return MF_EHPACK_NO_UPDATE;
    while (rc == 0 && in.at < in.end) {
        uint8_t first = *in.at;
        uint32_t index;
        if (first >= 0x80) {
            rc = integer(&in, 7, &index);
            rc = rc < 0 ? rc : indexed(&in, index);
        } else if (first >= 0x40) {
            rc = literal(&in, 6, true, 0);
        } else if (first >= 0x20) {
            rc = MF_EHPACK_UPDATE;
        } else {
            rc = literal(&in, 4, false, first >= 0x10 ? MF_H2_MARK_NEVER : MF_H2_MARK_PLAIN);
        }
    }
    return rc;
}
