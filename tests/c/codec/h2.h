#pragma once
/* h2: decoding header blocks in tests: a decoder with its memory, and lists written as text. */
#include "codec/hpack.h"
#include "test.h"

enum { H2_FIELDS = 4096, H2_SCRATCH = 1 << 17 };

struct h2_decoder {
    struct mf_hpack_decoder decoder;
    struct mf_hpack_list list;
    struct mf_hpack_room room;
    void *memory;
};

__attribute__((unused)) static void h2_begin(struct h2_decoder *it, uint32_t size)
{
    static struct mf_pair fields[H2_FIELDS];
    static struct mf_h2_mark marks[H2_FIELDS];
    static uint8_t scratch[H2_SCRATCH];
    it->memory = malloc(mf_hpack_decoder_room(size));
    it->room = (struct mf_hpack_room){fields, marks, scratch, H2_SCRATCH, H2_FIELDS, H2_SCRATCH};
    mf_hpack_decoder_init(&it->decoder, it->memory, size);
}

__attribute__((unused)) static void h2_end(struct h2_decoder *it)
{
    free(it->memory);
}

__attribute__((unused)) static int h2_decode(struct h2_decoder *it, struct mf_slice block)
{
    return mf_hpack_decode(&it->decoder, block, &it->room, &it->list);
}

/* The fields as "name: value\n". */
__attribute__((unused)) static struct mf_slice h2_text(const struct h2_decoder *it)
{
    static char text[1 << 17];
    size_t n = 0;
    for (uint32_t i = 0; i < it->list.n; i++) {
        struct mf_pair field = it->room.fields[i];
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%.*s: %.*s\n", (int)field.key.len,
                              field.key.len ? (const char *)field.key.ptr : "", (int)field.value.len,
                              field.value.len ? (const char *)field.value.ptr : "");
    }
    return mf_slice_of(text, n);
}

__attribute__((unused)) static struct mf_slice h2_hex(const char *hex)
{
    static uint8_t bytes[1 << 16];
    size_t n = 0;
    unsigned byte;
    for (; *hex; hex += 2) {
        while (*hex == ' ')
            hex++;
        if (sscanf(hex, "%2x", &byte) != 1)
            abort();
        bytes[n++] = (uint8_t)byte;
    }
    return mf_slice_of(bytes, n);
}
