#pragma once
/* rig_h2_end: one end of an HTTP/2 connection that is scripted (rig_h2.h): frames put and taken, fields by csrc/codec. It
 * gives a window that never ends, and heeds the other's. */
#include "rig.h"

#include "codec/h2_frame.h"
#include "codec/hpack.h"

enum { RIG_H2_FIELDS = 160, RIG_H2_LIST = 65536, RIG_H2_MUCH = 1 << 30 };

struct rig_h2_end {
    int fd;
    bool client;
    struct rig_bytes in, out;
    size_t out_at, skip;           /* of `out`, sent; of what comes, the preface */
    uint64_t heard;                /* content since the window was given back */
    int64_t window, stream_window; /* of the connection, and what the other gives each new stream */
    struct mf_hpack_decoder decoder;
    struct mf_hpack_encoder encoder;
    void *memory[2];
};

typedef void (*rig_h2_on_frame)(void *arg, struct rig_h2_end *end, const struct mf_h2_head *head, struct mf_slice payload);

/* The fields that were decoded last. */
static struct mf_pair rig_h2_fields[RIG_H2_FIELDS];

static inline void rig_h2_put(struct rig_h2_end *end, uint8_t type, uint8_t flags, uint32_t stream, struct mf_slice payload)
{
    struct mf_h2_head head = {(uint32_t)payload.len, stream, type, flags};
    uint8_t *to = rig_room(&end->out, MF_H2_HEAD_LEN + payload.len);
    mf_h2_put_head(to, &head);
    if (payload.len)
        memcpy(to + MF_H2_HEAD_LEN, payload.ptr, payload.len);
    end->out.len += MF_H2_HEAD_LEN + payload.len;
}

static inline void rig_h2_put_data(struct rig_h2_end *end, uint8_t flags, uint32_t stream, struct mf_slice data)
{
    end->window -= (int64_t)data.len;
    bench_must(end->window < 0 ? MF_ELIMIT : 0, "a connection's window");
    rig_h2_put(end, MF_H2_DATA, flags, stream, data);
}

static inline void rig_h2_put_fields(struct rig_h2_end *end, uint8_t flags, uint32_t stream, const struct mf_pair *fields,
                                     const struct mf_h2_mark *marks, uint32_t n)
{
    static uint8_t block[MF_H2_FRAME_LEAST + RIG_H2_LIST];
    size_t len = mf_hpack_put_begin(&end->encoder, block);
    for (uint32_t i = 0; i < n; i++)
        len += mf_hpack_put(&end->encoder, block + len, fields[i], marks[i]);
    bench_must(len > MF_H2_FRAME_LEAST ? MF_ELIMIT : 0, "a block in one frame");
    rig_h2_put(end, MF_H2_HEADERS, flags | MF_H2_END_HEADERS, stream, mf_slice_of(block, len));
}

/* How many fields there are in `rig_h2_fields` then. */
static inline uint32_t rig_h2_decode(struct rig_h2_end *end, const struct mf_h2_head *head, struct mf_slice payload)
{
    static struct mf_h2_mark marks[RIG_H2_FIELDS];
    static uint8_t scratch[RIG_H2_LIST];
    static const struct mf_hpack_room room = {rig_h2_fields, marks, scratch, sizeof scratch, RIG_H2_FIELDS, RIG_H2_LIST};
    struct mf_h2_headers headers;
    struct mf_hpack_list list;
    bench_must(head->flags & MF_H2_END_HEADERS ? 0 : MF_ELIMIT, "a block in one frame");
    bench_must(mf_h2_frame_headers(head, payload, &headers), "a HEADERS frame");
    bench_must(mf_hpack_decode(&end->decoder, headers.block, &room, &list), "a block");
    bench_must(list.over ? MF_ELIMIT : 0, "fields");
    return list.n;
}

static inline void rig_h2_begin(struct rig_h2_end *end, int fd, bool client)
{
    struct mf_h2_pair window = {MF_H2_INITIAL_WINDOW_SIZE, MF_H2_WINDOW_MOST};
    *end = (struct rig_h2_end){.fd = fd, .client = client, .window = MF_H2_WINDOW, .stream_window = MF_H2_WINDOW};
    end->memory[0] = malloc(mf_hpack_decoder_room(MF_HPACK_TABLE));
    end->memory[1] = malloc(mf_hpack_encoder_room(MF_HPACK_TABLE));
    bench_must(end->memory[0] && end->memory[1] ? 0 : -ENOMEM, "tables of fields");
    mf_hpack_decoder_init(&end->decoder, end->memory[0], MF_HPACK_TABLE);
    mf_hpack_encoder_init(&end->encoder, end->memory[1], MF_HPACK_TABLE);
    end->skip = client ? 0 : MF_H2_PREFACE_LEN;
    uint8_t *to = rig_room(&end->out, 128);
    if (client) {
        memcpy(to, MF_H2_PREFACE, MF_H2_PREFACE_LEN);
        end->out.len = MF_H2_PREFACE_LEN;
    }
    end->out.len += mf_h2_put_settings(to + end->out.len, &window, 1);
    end->out.len += mf_h2_put_window(to + end->out.len, 0, MF_H2_WINDOW_MOST - MF_H2_WINDOW);
}

static inline void rig_h2_end(struct rig_h2_end *end)
{
    free(end->in.bytes);
    free(end->out.bytes);
    free(end->memory[0]);
    free(end->memory[1]);
}

/* What is no matter of one stream. */
static inline void rig_h2_control(struct rig_h2_end *end, const struct mf_h2_head *head, struct mf_slice payload)
{
    uint32_t value;
    uint16_t id;
    size_t at = 0;
    uint8_t credit[MF_H2_WINDOW_ROOM];
    if (head->type == MF_H2_SETTINGS && !(head->flags & MF_H2_ACK)) {
        while (mf_h2_frame_settings(payload, &at, &id, &value) > 0)
            if (id == MF_H2_INITIAL_WINDOW_SIZE)
                end->stream_window = value;
        rig_h2_put(end, MF_H2_SETTINGS, MF_H2_ACK, 0, MF_SLICE(""));
    } else if (head->type == MF_H2_PING && !(head->flags & MF_H2_ACK)) {
        rig_h2_put(end, MF_H2_PING, MF_H2_ACK, 0, payload);
    } else if (head->type == MF_H2_WINDOW_UPDATE && head->stream == 0) {
        bench_must(mf_h2_frame_window(head, payload, &value), "a window");
        end->window += value;
    } else if (head->type == MF_H2_GOAWAY || head->type == MF_H2_RST_STREAM) {
        fprintf(stderr, "%s on stream %u\n", mf_h2_frame_type_name(head->type), head->stream);
        exit(1);
    }
    end->heard += head->type == MF_H2_DATA ? head->len : 0;
    if (end->heard >= RIG_H2_MUCH) {
        size_t len = mf_h2_put_window(credit, 0, (uint32_t)end->heard);
        memcpy(rig_room(&end->out, len), credit, len);
        end->out.len += len;
        end->heard = 0;
    }
}

/* All that has come, frame by frame. Returns how many bytes. */
static inline size_t rig_h2_receive(struct rig_h2_end *end, rig_h2_on_frame on_frame, void *arg)
{
    size_t moved = 0, n;
    while ((n = rig_recv(end->fd, rig_room(&end->in, 1 << 18), 1 << 18))) {
        end->in.len += n;
        moved += n;
    }
    struct mf_slice rest = mf_slice_of(end->in.bytes, end->in.len);
    if (end->skip) {
        if (rest.len < end->skip)
            return moved;
        rest = mf_slice_of(rest.ptr + end->skip, rest.len - end->skip);
        end->skip = 0;
    }
    struct mf_h2_head head;
    while (mf_h2_frame_head(rest, MF_H2_FRAME_LEAST, &head) > 0 && rest.len >= MF_H2_HEAD_LEN + (size_t)head.len) {
        struct mf_slice payload = mf_slice_of(rest.ptr + MF_H2_HEAD_LEN, head.len);
        rig_h2_control(end, &head, payload);
        on_frame(arg, end, &head, payload);
        rest = mf_slice_of(payload.ptr + head.len, rest.len - MF_H2_HEAD_LEN - head.len);
    }
    end->in.len = rest.len;
    if (rest.len)
        memmove(end->in.bytes, rest.ptr, rest.len);
    return moved;
}

static inline size_t rig_h2_send(struct rig_h2_end *end)
{
    size_t n = rig_send(end->fd, end->out.bytes + end->out_at, end->out.len - end->out_at);
    end->out_at += n;
    if (end->out_at == end->out.len)
        end->out_at = end->out.len = 0;
    return n;
}
