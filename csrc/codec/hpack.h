#pragma once
/* hpack: header blocks of HTTP/2, RFC 7541. A decoder and an encoder, each with a dynamic table in memory that its
 * caller gives.
 *
 * Of each of them:
 * 1. init, with as much memory as ..._room says, for the largest table there will be
 * 2. for each block: decode, or put_begin and then put for each field
 * 3. limit, when SETTINGS_HEADER_TABLE_SIZE says otherwise
 * 4. pack while nothing happens, to keep only what the table holds; unpack before the next block
 * There is nothing to dispose of. Pure: no malloc, no clock, no descriptor. */
#include "base/err.h"
#include "base/slice.h"
#include "codec/h2_name.h"

enum {
    MF_HPACK_OVERHEAD = 32,         /* what a field counts beside its bytes (4.1; RFC 9113 6.5.2) */
    MF_HPACK_TABLE = 4096,          /* a table's size where no setting says otherwise */
    MF_HPACK_TABLE_MOST = 65536,    /* the largest `size` there can be here */
    MF_HPACK_COPY_FREE = 64 * 1024, /* names that one block may copy within the table: so many bytes ... */
    MF_HPACK_COPY_EACH = 16,        /* ... and as many for each byte of the block */
};

struct mf_hpack_entry {
    uint32_t at; /* name and then value, in the table's bytes */
    uint16_t name_len, value_len;
    struct mf_h2_mark mark; /* without NEVER and PLAIN */
};

/* Fields by index, newest first. Bytes of an entry lie together and stay where they are while it is in the table. */
struct mf_hpack_table {
    uint64_t generation; /* another one after each insertion, eviction, resizing and change of a limit */
    uint32_t size;       /* the most that `used` may be: as the last size update said */
    uint32_t used;       /* sum of names, values and MF_HPACK_OVERHEAD */
    uint32_t count;      /* entries */
    uint32_t room;       /* the `size` of init */
    uint32_t _added, _mask; /* how many ever; entry n is at n & _mask */
    uint32_t _head, _bytes_room;
    struct mf_hpack_entry *_entries;
    uint8_t *_bytes;
};

/* --- decoding */

struct mf_hpack_decoder {
    struct mf_hpack_table table;
    uint32_t _limit, _least; /* what a size update may be at most; what the first one of the next block must not exceed */
};

/* The caller's memory for one block's fields, and the caps on them. */
struct mf_hpack_room {
    struct mf_pair *fields;   /* max_fields of each */
    struct mf_h2_mark *marks;
    uint8_t *scratch;         /* scratch_len bytes; as many as max_size always suffice */
    size_t scratch_len;
    uint32_t max_fields;
    uint32_t max_size;        /* sum of names, values and MF_HPACK_OVERHEAD each */
};

enum mf_hpack_over { MF_HPACK_OVER_SIZE = 1, MF_HPACK_OVER_FIELDS = 2, MF_HPACK_OVER_SCRATCH = 4 };

struct mf_hpack_list {
    uint32_t n;       /* fields kept: all, or those before the first one that went over a cap */
    uint32_t over;    /* which caps (MF_HPACK_OVER_...); 0: the list is whole */
    uint64_t n_all, size_all; /* of the whole block, kept or not */
    size_t scratch_used;
};

/* `size` at most MF_HPACK_TABLE_MOST; `memory` aligned for a pointer, as many bytes as mf_hpack_decoder_room says. The
 * table starts with MF_HPACK_TABLE, as the peer's encoder does, and a size update may raise it to `size`. Less than
 * that is for who has agreed so before the first block: a smaller setting is a limit once it is acknowledged. */
size_t mf_hpack_decoder_room(uint32_t size);
void mf_hpack_decoder_init(struct mf_hpack_decoder *decoder, void *memory, uint32_t size);

/* SETTINGS_HEADER_TABLE_SIZE as the peer has acknowledged it; more than `size` of init is that. When the table is
 * larger, the next block must begin with a size update (4.2). */
void mf_hpack_decoder_limit(struct mf_hpack_decoder *decoder, uint32_t limit);

/* Decodes one whole header block (all fragments, joined, without padding).
 *
 * Returns 0 or MF_EHPACK_*: then the connection is to be ended, and neither `out` nor the decoder mean anything. When
 * a cap is reached, the rest is still decoded for the table's sake, but not kept, and out->over says so: the stream
 * cannot be served, and the connection goes on. What is returned does not depend on the caps. The work is bounded by
 * the block's length: copies within the table by MF_HPACK_COPY_*, else MF_EHPACK_WORK.
 *
 * A name or value is a slice of `block` where it is literal and not Huffman-coded; of static storage, where it comes
 * from the static table; else of the table or of room->scratch. All of them are good until the next decode, pack or
 * unpack of this decoder, and as long as `block` and the scratch are: what the block's own insertions would overwrite
 * has been moved to the scratch.
 *
 * Marks: NEVER and PLAIN as the wire has it (literal never indexed, literal without indexing), BAD_* as
 * mf_h2_name_good and mf_h2_value_good say.
 *
 * A block that left `generation` as it was means the same whenever it comes again at that generation. */
int mf_hpack_decode(struct mf_hpack_decoder *decoder, struct mf_slice block, const struct mf_hpack_room *room,
                    struct mf_hpack_list *out);

/* What the table holds, moved to `to`, mf_hpack_decoder_packed bytes aligned for a pointer; the memory of init is free
 * then. Unpack wants as much memory as init. The generation stays. */
size_t mf_hpack_decoder_packed(const struct mf_hpack_decoder *decoder);
void mf_hpack_decoder_pack(struct mf_hpack_decoder *decoder, void *to);
void mf_hpack_decoder_unpack(struct mf_hpack_decoder *decoder, void *memory);

/* --- encoding */

enum { MF_HPACK_BUCKETS = 64 };

/* Where else to look for what an entry has, and what it hashes to. */
struct mf_hpack_link {
    uint32_t hash;
    uint16_t next_pair, next_name;
};

struct mf_hpack_encoder {
    struct mf_hpack_table table;
    struct mf_hpack_link *_links;
    uint32_t _least; /* the smallest size since the last block, where an update is due */
    uint32_t _told;  /* the size that the peer's decoder knows of */
    uint16_t _pairs[MF_HPACK_BUCKETS], _names[MF_HPACK_BUCKETS];
};

size_t mf_hpack_encoder_room(uint32_t size);
/* The table starts with MF_HPACK_TABLE, as the peer's decoder does, or with `size` where that is less. */
void mf_hpack_encoder_init(struct mf_hpack_encoder *encoder, void *memory, uint32_t size);

/* SETTINGS_HEADER_TABLE_SIZE as the peer wants it; more than `size` of init is that. The next block begins with the
 * updates that this needs. */
void mf_hpack_encoder_limit(struct mf_hpack_encoder *encoder, uint32_t limit);

/* The size updates that the next block begins with: at most MF_HPACK_BEGIN_ROOM bytes; mostly none. Returns the
 * length. */
enum { MF_HPACK_BEGIN_ROOM = 8 };
size_t mf_hpack_put_begin(struct mf_hpack_encoder *encoder, uint8_t *to);

/* No field is longer than this when it is put. */
#define MF_HPACK_PUT_ROOM(field) ((field).key.len + (field).value.len + 16)

/* Puts one field: an index where the tables have it, else a literal, whose texts are Huffman-coded where that is
 * shorter. It goes into the table unless its mark says NEVER, or it would take more than half of it, or the mark says
 * PLAIN; a PLAIN one of a name in the list does so when the tables do not have that name. Only the mark's name, NEVER
 * and PLAIN count; a mark as it was decoded keeps the sender's choice, mf_h2_mark_of makes one.
 *
 * Writes at most MF_HPACK_PUT_ROOM(field) bytes; returns the length. Texts are below 16 MiB. */
size_t mf_hpack_put(struct mf_hpack_encoder *encoder, uint8_t *to, struct mf_pair field, struct mf_h2_mark mark);

/* The same, as a literal that stays out of the table, with its texts as they are: for values that are never the same. A name
 * in the list still goes in once, where the tables do not have it. */
size_t mf_hpack_put_raw(struct mf_hpack_encoder *encoder, uint8_t *to, struct mf_pair field, struct mf_h2_mark mark);

/* The same, and the table stays as it is in any case: what is put behind it may have been encoded before. */
size_t mf_hpack_put_raw_again(const struct mf_hpack_encoder *encoder, uint8_t *to, struct mf_pair field,
                              struct mf_h2_mark mark);

/* The same without a table, for blocks that are made once: an index of the static table or a literal without
 * indexing. */
size_t mf_hpack_put_plain(uint8_t *to, struct mf_pair field, struct mf_h2_mark mark);

/* `:status` without a table; `status` has three digits. */
enum { MF_HPACK_STATUS_ROOM = 5 };
size_t mf_hpack_put_status(uint8_t to[MF_HPACK_STATUS_ROOM], unsigned status);

/* As for the decoder. */
size_t mf_hpack_encoder_packed(const struct mf_hpack_encoder *encoder);
void mf_hpack_encoder_pack(struct mf_hpack_encoder *encoder, void *to);
void mf_hpack_encoder_unpack(struct mf_hpack_encoder *encoder, void *memory);
