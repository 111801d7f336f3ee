#include "codec/hpack_table.h"

const struct mf_pair mf_hpack_static_pairs[MF_H2_STATIC + 1] = {
    {{NULL, 0}, {NULL, 0}},
#define X(number, name, value)                                                                                         \
    {{(const uint8_t *)(name), sizeof(name) - 1}, {(const uint8_t *)(value), sizeof(value) - 1}},
    MF_H2_STATIC_LIST(X)
#undef X
};
const uint8_t mf_hpack_static_names[MF_H2_STATIC + 1] = {
    MF_H2_NAME_OTHER,
#define X(number, name, value) number,
    MF_H2_STATIC_LIST(X)
#undef X
};
const uint8_t mf_hpack_static_index[MF_H2_NAME_COUNT] = {
#define X(number, name, coded, index, hop, changes, secret) [number] = index,
    MF_H2_NAME_LIST(X)
#undef X
};

/* Places for entries: a power of two, and one at least. */
static uint32_t places(uint32_t most)
{
    uint32_t n = 1;
    while (n < most)
        n *= 2;
    return n;
}

static size_t entries_len(uint32_t n)
{
    return (n * sizeof(struct mf_hpack_entry) + 7) / 8 * 8;
}

static uint32_t ring(uint32_t size)
{
    return 2 * size;
}

size_t mf_hpack_table_room(uint32_t size)
{
    return entries_len(places(size / MF_HPACK_OVERHEAD)) + ring(size);
}

void mf_hpack_table_init(struct mf_hpack_table *table, void *memory, uint32_t size)
{
    *table = (struct mf_hpack_table){.size = size, .room = size};
    mf_hpack_table_unpack(table, memory);
}

uint32_t mf_hpack_table_gap(const struct mf_hpack_table *table)
{
    uint32_t oldest = mf_hpack_table_at(table, table->count - 1)->at;
    return oldest >= table->_head ? oldest - table->_head : oldest + table->_bytes_room - table->_head;
}

uint32_t mf_hpack_table_step(const struct mf_hpack_table *table, uint32_t len)
{
    uint32_t left = table->_bytes_room - table->_head;
    return left >= len ? len : left + len;
}

static void evict(struct mf_hpack_table *table, uint32_t most)
{
    while (table->used > most) {
        const struct mf_hpack_entry *oldest = mf_hpack_table_at(table, table->count - 1);
        table->used -= oldest->name_len + oldest->value_len + MF_HPACK_OVERHEAD;
        table->count--;
    }
}

uint8_t *mf_hpack_table_add(struct mf_hpack_table *table, uint32_t name_len, uint32_t value_len, struct mf_h2_mark mark)
{
    uint64_t need = (uint64_t)name_len + value_len + MF_HPACK_OVERHEAD;
    table->generation++;
    if (need > table->size) {
        evict(table, 0);
        return NULL;
    }
    evict(table, table->size - (uint32_t)need);
    uint32_t len = name_len + value_len;
    if (table->_bytes_room - table->_head < len)
        table->_head = 0;
    table->_entries[table->_added++ & table->_mask] =
        (struct mf_hpack_entry){table->_head, (uint16_t)name_len, (uint16_t)value_len, mark};
    uint8_t *to = table->_bytes + table->_head;
    table->_head += len;
    table->used += (uint32_t)need;
    table->count++;
    return to;
}

void mf_hpack_table_resize(struct mf_hpack_table *table, uint32_t size)
{
    if (size == table->size)
        return;
    table->generation++;
    table->size = size;
    evict(table, size);
}

/* Moves the table to other memory; `_added` stays, and with it the numbers that links know. */
static void move(struct mf_hpack_table *table, void *memory, uint32_t n_places, uint32_t bytes_room)
{
    struct mf_hpack_table old = *table;
    table->_entries = memory;
    table->_bytes = (uint8_t *)memory + entries_len(n_places);
    table->_mask = n_places - 1;
    table->_head = 0;
    table->_bytes_room = bytes_room;
    for (uint32_t n = old.count; n-- > 0;) {
        struct mf_hpack_entry entry = *mf_hpack_table_at(&old, n);
        uint32_t len = (uint32_t)entry.name_len + entry.value_len;
        memcpy(table->_bytes + table->_head, old._bytes + entry.at, len);
        entry.at = table->_head;
        table->_head += len;
        table->_entries[(old._added - 1 - n) & table->_mask] = entry;
    }
}

static uint32_t packed_bytes(const struct mf_hpack_table *table)
{
    return table->used - table->count * MF_HPACK_OVERHEAD;
}

size_t mf_hpack_table_packed(const struct mf_hpack_table *table)
{
    return entries_len(places(table->count)) + packed_bytes(table);
}

void mf_hpack_table_pack(struct mf_hpack_table *table, void *to)
{
    move(table, to, places(table->count), packed_bytes(table));
}

void mf_hpack_table_unpack(struct mf_hpack_table *table, void *memory)
{
    move(table, memory, places(table->room / MF_HPACK_OVERHEAD), ring(table->room));
}
