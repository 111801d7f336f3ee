#pragma once
/* hpack_table: what decoder and encoder share: the static table, and the dynamic one as a ring.
 *
 * The ring has twice the bytes that the table may hold, and an entry never wraps: one that does not fit before the end
 * goes to the front. So the bytes behind the newest entry are always free when one more is inserted. */
#include "codec/hpack.h"

/* By index, from 1 on. */
extern const struct mf_pair mf_hpack_static_pairs[MF_H2_STATIC + 1];
extern const uint8_t mf_hpack_static_names[MF_H2_STATIC + 1]; /* enum mf_h2_name */
extern const uint8_t mf_hpack_static_index[MF_H2_NAME_COUNT]; /* by name: its first index, or 0 */

size_t mf_hpack_table_room(uint32_t size);
void mf_hpack_table_init(struct mf_hpack_table *table, void *memory, uint32_t size);

/* How many bytes are free behind the newest entry, up to the oldest. */
uint32_t mf_hpack_table_gap(const struct mf_hpack_table *table);
/* How far an entry of `len` bytes moves the ring on: with what it leaves free at the end. */
uint32_t mf_hpack_table_step(const struct mf_hpack_table *table, uint32_t len);
/* Makes room by eviction and adds an entry: where its bytes go, which are to be written; the bytes of those evicted are
 * whole until then. NULL: it is larger than the table, which is now empty (4.4). */
uint8_t *mf_hpack_table_add(struct mf_hpack_table *table, uint32_t name_len, uint32_t value_len, struct mf_h2_mark mark);
/* A new `size`, at most `room`. */
void mf_hpack_table_resize(struct mf_hpack_table *table, uint32_t size);

size_t mf_hpack_table_packed(const struct mf_hpack_table *table);
void mf_hpack_table_pack(struct mf_hpack_table *table, void *to);
void mf_hpack_table_unpack(struct mf_hpack_table *table, void *memory);

/* inline */

/* The n-th newest entry, from 0 on; n < count. */
static inline const struct mf_hpack_entry *mf_hpack_table_at(const struct mf_hpack_table *table, uint32_t n)
{
    return table->_entries + ((table->_added - 1 - n) & table->_mask);
}

static inline struct mf_pair mf_hpack_table_pair(const struct mf_hpack_table *table, const struct mf_hpack_entry *entry)
{
    const uint8_t *name = table->_bytes + entry->at;
    return (struct mf_pair){{name, entry->name_len}, {name + entry->name_len, entry->value_len}};
}

/* What is said of the newest entry. */
static inline void mf_hpack_table_mark(struct mf_hpack_table *table, struct mf_h2_mark mark)
{
    table->_entries[(table->_added - 1) & table->_mask].mark = mark;
}
