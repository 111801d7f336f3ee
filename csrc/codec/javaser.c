#include "codec/javaser.h"

enum { TC_STRING = 0x74, TC_BLOCK = 0x77, TC_BLOCK_LONG = 0x7a };
static const uint8_t stream_head[4] = {0xac, 0xed, 0, 5};

bool mf_javaser_init(struct mf_javaser *reader, struct mf_slice body)
{
    *reader = (struct mf_javaser){.body = body, .at = sizeof(stream_head)};
    return body.len >= sizeof(stream_head) && memcmp(body.ptr, stream_head, sizeof(stream_head)) == 0;
}

/* Enters the next block when the last is used up. */
static bool enter_block(struct mf_javaser *reader)
{
    const uint8_t *p = reader->body.ptr + reader->at;
    size_t left = reader->body.len - reader->at, head;
    if (reader->_block)
        return true;
    if (left >= 2 && p[0] == TC_BLOCK) {
        head = 2;
        reader->_block = p[1];
    } else if (left >= 5 && p[0] == TC_BLOCK_LONG) {
        head = 5;
        reader->_block = mf_get32(p + 1);
    } else {
        return false;
    }
    reader->at += head;
    return reader->_block && reader->_block <= left - head;
}

/* `len` bytes of primitive data that lie in one piece. */
static const uint8_t *take(struct mf_javaser *reader, size_t len)
{
    if (!len)
        return reader->body.ptr + reader->at;
    if (!enter_block(reader) || reader->_block < len)
        return NULL;
    const uint8_t *p = reader->body.ptr + reader->at;
    reader->at += len;
    reader->_block -= len;
    return p;
}

bool mf_javaser_utf(struct mf_javaser *reader, bool counted, struct mf_slice *out)
{
    *out = (struct mf_slice){0};
    if (counted) {
        const uint8_t *count = take(reader, 4);
        if (!count)
            return false;
        if (mf_get32(count) == UINT32_MAX)
            return true;
    }
    const uint8_t *len = take(reader, 2);
    if (!len)
        return false;
    size_t n = mf_get16(len);
    const uint8_t *text = take(reader, n);
    if (!text)
        return false;
    *out = mf_slice_of(text, n);
    return true;
}

bool mf_javaser_string(struct mf_javaser *reader, bool counted, struct mf_slice *out)
{
    if (counted) {
        const uint8_t *there = take(reader, 1);
        if (!there || *there != 1)
            return false;
    }
    const uint8_t *p = reader->body.ptr + reader->at;
    size_t left = reader->body.len - reader->at;
    if (reader->_block || left < 3 || p[0] != TC_STRING || left - 3 < mf_get16(p + 1))
        return false;
    *out = mf_slice_of(p + 3, mf_get16(p + 1));
    reader->at += 3 + out->len;
    return true;
}

size_t mf_javaser_put_utf(uint8_t *to, bool counted, struct mf_slice text)
{
    size_t block = (counted ? 4 : 0) + 2 + text.len;
    uint8_t *p = to;
    memcpy(p, stream_head, sizeof(stream_head));
    p += sizeof(stream_head);
    if (block < 256) {
        *p++ = TC_BLOCK;
        *p++ = (uint8_t)block;
    } else {
        *p++ = TC_BLOCK_LONG;
        mf_put32(p, (uint32_t)block);
        p += 4;
    }
    if (counted) {
        mf_put32(p, (uint32_t)text.len); /* only its sign is looked at */
        p += 4;
    }
    mf_put16(p, (uint16_t)text.len);
    if (text.len)
        memcpy(p + 2, text.ptr, text.len);
    return (size_t)(p - to) + 2 + text.len;
}
