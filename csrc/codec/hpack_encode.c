#include "codec/hpack_table.h"
#include "codec/huffman.h"

enum { NONE_DUE = UINT32_MAX, LONGEST_CHAIN = 16 };

static struct mf_hpack_link *links_in(void *memory, size_t behind)
{
    return (struct mf_hpack_link *)((uint8_t *)memory + behind);
}

static size_t links_len(const struct mf_hpack_table *table)
{
    return (table->_mask + 1) * sizeof(struct mf_hpack_link);
}

static size_t aligned(size_t len)
{
    return (len + 7) / 8 * 8;
}

/* --- finding: two chains of entries, by name and by name and value. A chain is followed while it leads to older
 * entries that are still there, so that evicted ones need not be taken out of it. */

static uint64_t word_at(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

/* Of a text its length, beginning, middle and end: texts that differ elsewhere alone share a chain. */
static uint32_t mix(uint32_t hash, struct mf_slice text)
{
    uint64_t a = 0, b = 0, c = 0;
    if (text.len >= 8) {
        a = word_at(text.ptr);
        b = word_at(text.ptr + (text.len - 8) / 2);
        c = word_at(text.ptr + text.len - 8);
    } else {
        for (size_t i = 0; i < text.len; i++)
            a = a << 8 | text.ptr[i];
    }
    uint64_t sum = (a ^ hash) * 0x9e3779b97f4a7c15u ^ (b + text.len) * 0xc2b2ae3d27d4eb4fu ^ c * 0x165667b19e3779f9u;
    return (uint32_t)(sum >> 32 ^ sum >> 15);
}

static uint16_t *bucket(uint16_t *heads, uint32_t hash)
{
    return heads + (hash >> 7) % MF_HPACK_BUCKETS;
}

/* The place of `field`, from 0 on, or of its name alone; or `count`, also where it is further down a chain than is
 * looked. */
static uint32_t find(const struct mf_hpack_encoder *encoder, struct mf_pair field, uint32_t hash, bool by_name)
{
    const struct mf_hpack_table *table = &encoder->table;
    uint16_t number = by_name ? *bucket((uint16_t *)encoder->_names, hash) : *bucket((uint16_t *)encoder->_pairs, hash);
    uint32_t last = 0;
    for (int steps = 0; steps < LONGEST_CHAIN; steps++) {
        uint32_t age = (uint16_t)(table->_added - number); /* 1 for the newest */
        if (age <= last || age > table->count)
            break;
        const struct mf_hpack_link *link = encoder->_links + ((table->_added - age) & table->_mask);
        if (by_name || link->hash == hash) {
            struct mf_pair pair = mf_hpack_table_pair(table, mf_hpack_table_at(table, age - 1));
            if (mf_slice_eq(pair.key, field.key) && (by_name || mf_slice_eq(pair.value, field.value)))
                return age - 1;
        }
        number = by_name ? link->next_name : link->next_pair;
        last = age;
    }
    return table->count;
}

/* Puts the newest entry into the chains. */
static void chain(struct mf_hpack_encoder *encoder, uint32_t number, uint32_t name_hash, uint32_t hash)
{
    uint16_t *pairs = bucket(encoder->_pairs, hash), *names = bucket(encoder->_names, name_hash);
    encoder->_links[number & encoder->table._mask] = (struct mf_hpack_link){hash, *pairs, *names};
    *pairs = *names = (uint16_t)number;
}

static void chain_all(struct mf_hpack_encoder *encoder)
{
    struct mf_hpack_table *table = &encoder->table;
    memset(encoder->_pairs, 0, sizeof(encoder->_pairs));
    memset(encoder->_names, 0, sizeof(encoder->_names));
    for (uint32_t n = table->count; n-- > 0;) {
        struct mf_pair pair = mf_hpack_table_pair(table, mf_hpack_table_at(table, n));
        uint32_t name_hash = mix(0, pair.key);
        chain(encoder, table->_added - 1 - n, name_hash, mix(name_hash, pair.value));
    }
}

/* --- memory */

size_t mf_hpack_encoder_room(uint32_t size)
{
    struct mf_hpack_table table = {.room = size};
    while (table._mask + 1 < size / MF_HPACK_OVERHEAD)
        table._mask = table._mask * 2 + 1;
    return aligned(mf_hpack_table_room(size)) + links_len(&table);
}

void mf_hpack_encoder_init(struct mf_hpack_encoder *encoder, void *memory, uint32_t size)
{
    *encoder = (struct mf_hpack_encoder){._least = NONE_DUE, ._told = MF_HPACK_TABLE};
    mf_hpack_table_init(&encoder->table, memory, size);
    encoder->table.size = size < MF_HPACK_TABLE ? size : MF_HPACK_TABLE;
    encoder->_links = links_in(memory, aligned(mf_hpack_table_room(size)));
}

size_t mf_hpack_encoder_packed(const struct mf_hpack_encoder *encoder)
{
    return mf_hpack_table_packed(&encoder->table);
}

void mf_hpack_encoder_pack(struct mf_hpack_encoder *encoder, void *to)
{
    mf_hpack_table_pack(&encoder->table, to);
    encoder->_links = NULL;
}

void mf_hpack_encoder_unpack(struct mf_hpack_encoder *encoder, void *memory)
{
    mf_hpack_table_unpack(&encoder->table, memory);
    encoder->_links = links_in(memory, aligned(mf_hpack_table_room(encoder->table.room)));
    chain_all(encoder);
}

/* --- writing */

void mf_hpack_encoder_limit(struct mf_hpack_encoder *encoder, uint32_t limit)
{
    uint32_t size = limit < encoder->table.room ? limit : encoder->table.room;
    if (size == encoder->table.size && limit >= encoder->_told)
        return; /* the peer's table may be larger than ours: it holds the same and more */
    if (size < encoder->_least)
        encoder->_least = size;
    mf_hpack_table_resize(&encoder->table, size);
    encoder->table.generation++; /* the next block begins otherwise */
}

static size_t integer(uint8_t *to, uint8_t first, unsigned bits, size_t value)
{
    uint8_t *start = to;
    size_t most = (1u << bits) - 1;
    if (value < most) {
        *to = (uint8_t)(first | value);
        return 1;
    }
    *to++ = (uint8_t)(first | most);
    for (value -= most; value >= 0x80; value >>= 7)
        *to++ = (uint8_t)(value | 0x80);
    *to++ = (uint8_t)value;
    return (size_t)(to - start);
}

static size_t string(uint8_t *to, struct mf_slice text)
{
    size_t coded = mf_huffman_len(text);
    if (coded < text.len) {
        size_t n = integer(to, 0x80, 7, coded);
        return n + mf_huffman_put(to + n, text);
    }
    size_t n = integer(to, 0, 7, text.len);
    if (text.len)
        memcpy(to + n, text.ptr, text.len);
    return n + text.len;
}

size_t mf_hpack_put_begin(struct mf_hpack_encoder *encoder, uint8_t *to)
{
    size_t n = 0;
    if (encoder->_least == NONE_DUE)
        return 0;
    if (encoder->_least < encoder->table.size)
        n = integer(to, 0x20, 5, encoder->_least);
    n += integer(to + n, 0x20, 5, encoder->table.size);
    encoder->_least = NONE_DUE;
    encoder->_told = encoder->table.size;
    encoder->table.generation++; /* the next block begins otherwise */
    return n;
}

/* The index of the static table that has `field`, or 0; `*name` gets one that has its name. */
static uint32_t fixed(struct mf_pair field, struct mf_h2_mark mark, uint32_t *name)
{
    uint32_t first = mf_hpack_static_index[mark.name];
    *name = first;
    for (uint32_t i = first; first && i <= MF_H2_STATIC && mf_hpack_static_names[i] == mark.name; i++)
        if (mf_slice_eq(mf_hpack_static_pairs[i].value, field.value))
            return i;
    return 0;
}

static size_t literal(uint8_t *to, uint8_t first, unsigned bits, uint32_t name, struct mf_pair field)
{
    size_t n = integer(to, first, bits, name);
    if (name == 0)
        n += string(to + n, field.key);
    return n + string(to + n, field.value);
}

size_t mf_hpack_put(struct mf_hpack_encoder *encoder, uint8_t *to, struct mf_pair field, struct mf_h2_mark mark)
{
    struct mf_hpack_table *table = &encoder->table;
    uint32_t name, index = fixed(field, mark, &name), name_hash = 0;
    if (!(mark.flags & MF_H2_MARK_NEVER) && index)
        return integer(to, 0x80, 7, index);
    name_hash = mix(0, field.key);
    if (mark.flags & (MF_H2_MARK_NEVER | MF_H2_MARK_PLAIN)) {
        if (!name && (index = find(encoder, field, name_hash, true)) < table->count)
            name = index + MF_H2_STATIC + 1;
        /* A name that will come again and is nowhere yet goes in once, with the value that it has now. */
        if (name || !mark.name || mark.flags & MF_H2_MARK_NEVER)
            return literal(to, mark.flags & MF_H2_MARK_NEVER ? 0x10 : 0, 4, name, field);
    }
    uint32_t hash = mix(name_hash, field.value);
    if ((index = find(encoder, field, hash, false)) < table->count)
        return integer(to, 0x80, 7, index + MF_H2_STATIC + 1);
    if (!name && (index = find(encoder, field, name_hash, true)) < table->count)
        name = index + MF_H2_STATIC + 1;
    if (field.key.len + field.value.len + MF_HPACK_OVERHEAD > table->size / 2)
        return literal(to, 0, 4, name, field);
    size_t n = literal(to, 0x40, 6, name, field);
    mark.flags = 0;
    uint8_t *at = mf_hpack_table_add(table, (uint32_t)field.key.len, (uint32_t)field.value.len, mark);
    if (field.key.len)
        memcpy(at, field.key.ptr, field.key.len);
    if (field.value.len)
        memcpy(at + field.key.len, field.value.ptr, field.value.len);
    chain(encoder, table->_added - 1, name_hash, hash);
    return n;
}

static uint32_t name_at(const struct mf_hpack_encoder *encoder, struct mf_pair field, struct mf_h2_mark mark)
{
    uint32_t name = mf_hpack_static_index[mark.name], index;
    if (!name && (index = find(encoder, field, mix(0, field.key), true)) < encoder->table.count)
        return index + MF_H2_STATIC + 1;
    return name;
}

static size_t raw(uint8_t *to, uint32_t name, struct mf_pair field, struct mf_h2_mark mark)
{
    size_t n = integer(to, mark.flags & MF_H2_MARK_NEVER ? 0x10 : 0, 4, name);
    if (!name)
        n += string(to + n, field.key);
    n += integer(to + n, 0, 7, field.value.len);
    if (field.value.len)
        memcpy(to + n, field.value.ptr, field.value.len);
    return n + field.value.len;
}

size_t mf_hpack_put_raw(struct mf_hpack_encoder *encoder, uint8_t *to, struct mf_pair field, struct mf_h2_mark mark)
{
    uint32_t name = name_at(encoder, field, mark);
    if (!name && mark.name && !(mark.flags & MF_H2_MARK_NEVER))
        return mf_hpack_put(encoder, to, field, (struct mf_h2_mark){mark.name, MF_H2_MARK_PLAIN});
    return raw(to, name, field, mark);
}

size_t mf_hpack_put_raw_again(const struct mf_hpack_encoder *encoder, uint8_t *to, struct mf_pair field,
                              struct mf_h2_mark mark)
{
    return raw(to, name_at(encoder, field, mark), field, mark);
}

size_t mf_hpack_put_plain(uint8_t *to, struct mf_pair field, struct mf_h2_mark mark)
{
    uint32_t name, index = fixed(field, mark, &name);
    if (index && !(mark.flags & MF_H2_MARK_NEVER))
        return integer(to, 0x80, 7, index);
    return literal(to, mark.flags & MF_H2_MARK_NEVER ? 0x10 : 0, 4, name, field);
}

size_t mf_hpack_put_status(uint8_t to[MF_HPACK_STATUS_ROOM], unsigned status)
{
    uint8_t digits[3] = {(uint8_t)('0' + status / 100), (uint8_t)('0' + status / 10 % 10), (uint8_t)('0' + status % 10)};
    struct mf_pair field = {MF_SLICE(":status"), mf_slice_of(digits, 3)};
    uint32_t name, index = fixed(field, (struct mf_h2_mark){MF_H2_NAME_PSEUDO_STATUS, 0}, &name);
    if (index)
        return integer(to, 0x80, 7, index);
    to[0] = (uint8_t)name; /* literal, without indexing, not Huffman-coded */
    to[1] = 3;
    memcpy(to + 2, digits, 3);
    return 5;
}
