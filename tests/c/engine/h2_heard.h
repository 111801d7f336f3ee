#pragma once
/* h2_heard: what a peer (h2_peer.h) was told, stream by stream, as text: a block of fields is <name=value name=value>,
 * content is as it is, | is the end, !8 a reset with that code. A frame that the standard forbids breaks the test. */
#include "h2_peer.h"

static struct told *told_of(struct peer *peer, uint32_t id)
{
    for (int k = 0; k < peer->n_told; k++)
        if (peer->told[k].id == id)
            return &peer->told[k];
    if (peer->n_told == TOLD)
        BROKEN("more streams than the test has room for");
    peer->told[peer->n_told] = (struct told){.id = id};
    return &peer->told[peer->n_told++];
}

static void hear_block(struct peer *peer, struct told *told, struct mf_slice block)
{
    static struct mf_pair fields[PEER_FIELDS];
    static struct mf_h2_mark marks[PEER_FIELDS];
    static uint8_t scratch[PEER_SCRATCH];
    struct mf_hpack_room room = {fields, marks, scratch, sizeof scratch, PEER_FIELDS, PEER_SCRATCH};
    struct mf_hpack_list list;
    if (!peer->memory) {
        peer->memory = malloc(mf_hpack_decoder_room(MF_HPACK_TABLE));
        mf_hpack_decoder_init(&peer->decoder, peer->memory, MF_HPACK_TABLE);
    }
    if (mf_hpack_decode(&peer->decoder, block, &room, &list) < 0 || list.over)
        BROKEN("a block of fields that cannot be decoded");
    fake_add(&told->text, "<", 1);
    for (uint32_t i = 0; i < list.n; i++) {
        if (i)
            fake_add(&told->text, " ", 1);
        fake_add(&told->text, fields[i].key.ptr, fields[i].key.len);
        fake_add(&told->text, "=", 1);
        fake_add(&told->text, fields[i].value.ptr, fields[i].value.len);
    }
    fake_add(&told->text, ">", 1);
}

static void hear_of_stream(struct peer *peer, const struct mf_h2_head *head, struct mf_slice payload)
{
    struct told *told = told_of(peer, head->stream);
    char code[16];
    if (told->reset && peer->foreign && head->type == MF_H2_RST_STREAM)
        return;
    if (told->reset || (told->ended && head->type != MF_H2_RST_STREAM && head->type != MF_H2_WINDOW_UPDATE))
        BROKEN("stream %u goes on after its end: type %u", head->stream, head->type);
    if (head->type == MF_H2_HEADERS) {
        hear_block(peer, told, payload);
        told->headed = true;
    } else if (head->type == MF_H2_DATA) {
        if (!told->headed)
            BROKEN("content before fields");
        for (size_t i = 0; i < payload.len; i++, told->content++) {
            told->byte = told->content ? told->byte : payload.ptr[i];
            told->mixed = told->mixed || payload.ptr[i] != told->byte;
        }
        if (payload.len <= LONG_DATA)
            fake_add(&told->text, payload.ptr, payload.len);
    } else if (head->type == MF_H2_RST_STREAM) {
        told->reset = true;
        fake_add(&told->text, code, (size_t)snprintf(code, sizeof code, "!%u", mf_h2_frame_rst_stream(payload)));
    } else if (head->type == MF_H2_WINDOW_UPDATE) {
        told->credit += mf_get32(payload.ptr);
        return;
    } else {
        BROKEN("a frame of type %u", head->type);
    }
    if (head->type != MF_H2_RST_STREAM && (head->flags & MF_H2_END_STREAM)) {
        told->ended = true;
        fake_add(&told->text, "|", 1);
    }
}

/* A piece of a block of fields; true: that was all of it. */
static bool joined(struct peer *peer, struct mf_h2_head *head, struct mf_slice *payload)
{
    bool first = head->type == MF_H2_HEADERS;
    if (first == (peer->block_flags != 0))
        BROKEN("pieces of a block in disorder");
    if (first) {
        peer->block.len = 0;
        peer->block_flags = head->flags | 0x80;
    }
    fake_add(&peer->block, payload->ptr, payload->len);
    if (!(head->flags & MF_H2_END_HEADERS))
        return false;
    *payload = mf_slice_of(peer->block.ptr, peer->block.len);
    head->type = MF_H2_HEADERS;
    head->flags = peer->block_flags;
    peer->block_flags = 0;
    return true;
}

static void hear_frame(struct peer *peer, struct mf_h2_head *head, struct mf_slice payload)
{
    struct mf_h2_goaway goaway;
    if (head->type == MF_H2_HEADERS || head->type == MF_H2_CONTINUATION) {
        if (joined(peer, head, &payload))
            hear_of_stream(peer, head, payload);
        return;
    }
    if (peer->block_flags)
        BROKEN("a frame within a block of fields: type %u", head->type);
    if (head->stream) {
        hear_of_stream(peer, head, payload);
        return;
    }
    switch (head->type) {
    case MF_H2_SETTINGS:
        peer->acks += (head->flags & MF_H2_ACK) != 0;
        return;
    case MF_H2_PING:
        if (!(head->flags & MF_H2_ACK)) {
            peer->pings++;
            peer->ping = mf_h2_frame_ping(payload);
        }
        return;
    case MF_H2_GOAWAY:
        mf_h2_frame_goaway(payload, &goaway);
        peer->goaways++;
        peer->goaway_last = goaway.last;
        peer->goaway_code = goaway.code;
        return;
    case MF_H2_WINDOW_UPDATE:
        peer->credit += mf_get32(payload.ptr);
        return;
    }
    BROKEN("a frame of type %u on stream 0", head->type);
}

/* All that came since the last look; false: it is not HTTP/2, or the engine hung up in the middle of a frame. */
static bool hear(struct peer *peer)
{
    struct mf_h2_head head;
    while (peer->conn->out.ptr) {
        struct mf_slice rest = mf_slice_of(peer->conn->out.ptr + peer->at, peer->conn->out.len - peer->at);
        if (peer->conn->up && !peer->greeted) {
            if (rest.len < MF_H2_PREFACE_LEN)
                return rest.len == 0;
            if (memcmp(rest.ptr, MF_H2_PREFACE, MF_H2_PREFACE_LEN) != 0)
                BROKEN("no preface");
            peer->greeted = true;
            peer->at = MF_H2_PREFACE_LEN;
            continue;
        }
        int rc = rest.len ? mf_h2_frame_head(rest, MF_H2_FRAME_MOST, &head) : MF_EMORE;
        if (rc < 0 && rc != MF_EMORE)
            BROKEN("a frame that is none: %d", rc);
        if (rc < 0 || rest.len < MF_H2_HEAD_LEN + head.len)
            return rest.len == 0;
        peer->at += MF_H2_HEAD_LEN + head.len;
        hear_frame(peer, &head, mf_slice_of(rest.ptr + MF_H2_HEAD_LEN, head.len));
    }
    return true;
}

/* What it was told on that stream until now, and forgets it. */
__attribute__((unused)) static const char *told(struct peer *peer, uint32_t id)
{
    static char texts[4][4096];
    static int next;
    char *text = texts[next++ % 4];
    hear(peer);
    struct told *of = told_of(peer, id);
    size_t len = of->text.len < sizeof *texts - 1 ? of->text.len : sizeof *texts - 1;
    if (len)
        memcpy(text, of->text.ptr, len);
    text[len] = 0;
    of->text.len = 0;
    return text;
}
