/* bench_http2: header blocks and frames of HTTP/2. With libnghttp2 the same blocks are given to it in the same run. */
#include "bench.h"
#include "blocks.h"

#include "codec/h2_fields.h"
#include "codec/h2_frame.h"
#include "codec/h2_shown.h"
#include "codec/huffman.h"
#include "protocol/h2_memo.h"

#include <errno.h>

#ifdef WITH_NGHTTP2
#include <nghttp2/nghttp2.h>
#endif

static struct blocks blocks;
static struct mf_pair fields[BLOCKS_FIELDS];
static struct mf_h2_mark marks[BLOCKS_FIELDS];
static uint8_t scratch[8192];
static const struct mf_hpack_room room = {fields, marks, scratch, sizeof scratch, BLOCKS_FIELDS, sizeof scratch};
static struct mf_hpack_decoder decoder;
static _Alignas(8) uint8_t memory[16384];

static uint32_t decode_one(struct mf_slice block)
{
    struct mf_hpack_list out;
    bench_must(mf_hpack_decode(&decoder, block, &room, &out), "a block");
    bench_must(out.over ? MF_ELIMIT : 0, "a cap");
    return out.n;
}

static void decode(void *arg, uint64_t n)
{
    struct mf_slice block = *(struct mf_slice *)arg;
    for (uint64_t i = 0; i < n; i++)
        bench_sink += decode_one(block);
}

static void decode_and_judge(void *arg, uint64_t n)
{
    struct mf_slice block = *(struct mf_slice *)arg;
    struct mf_h2_request request;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t count = decode_one(block);
        bench_must(mf_h2_fields_request(fields, marks, count, &request), "a request");
        bench_sink += request.path.len;
    }
}

static void judge(void *arg, uint64_t n)
{
    uint32_t count = decode_one(*(struct mf_slice *)arg);
    struct mf_h2_request request;
    for (uint64_t i = 0; i < n; i++) {
        bench_must(mf_h2_fields_request(fields, marks, count, &request), "a request");
        bench_sink += request.path.len;
    }
}

/* A block that is known, the last of all that a connection may keep. */
static void recall(void *arg, uint64_t n)
{
    struct mf_h2_memos *memos = arg;
    struct mf_slice block = blocks.steady;
    for (uint64_t i = 0; i < n; i++) {
        struct mf_h2_memo *memo = mf_h2_memo_find(memos, block, decoder.table.generation, false);
        bench_must(memo ? 0 : MF_EH2_ORDER, "a recalled block");
        bench_sink += memo->head.n;
    }
}

static void keep_all(struct mf_h2_conn *h2, struct mf_h2_memos *memos)
{
    for (int i = 0; i < MF_H2_MEMOS; i++) {
        struct mf_slice block = i < MF_H2_MEMOS - 1 ? blocks.mixed : blocks.steady;
        struct mf_h2_head_in head = {.kind = MF_H2_REQUEST, .fields = fields, .marks = marks, .block = block};
        head.n = decode_one(block);
        head.generation = decoder.table.generation;
        bench_must(mf_h2_memo_keep(h2, memos, &head, mf_slice_of(scratch, sizeof scratch)) ? 0 : -ENOMEM, "a memory");
    }
}

/* A gRPC request of ten fields, as policy sees it. */
static const char *const typical[][2] = {
    {":method", "POST"},
    {":scheme", "http"},
    {":path", "/org.apache.dubbo.demo.GreeterService/sayHello"},
    {":authority", "greeter.demo.svc.cluster.local:50051"},
    {"content-type", "application/grpc"},
    {"te", "trailers"},
    {"user-agent", "grpc-java-netty/1.62.2"},
    {"grpc-accept-encoding", "gzip"},
    {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
    {"grpc-timeout", "2999871u"},
};
enum { TYPICAL = sizeof typical / sizeof *typical };

static struct mf_h2_request typical_request;
static struct mf_pair pairs[MF_H2_SHOWN_ROOM(BLOCKS_FIELDS)];

static uint32_t typical_fields(void)
{
    for (uint32_t i = 0; i < TYPICAL; i++) {
        fields[i] = blocks_pair(typical[i]);
        marks[i] = mf_h2_mark_judge(fields[i], (struct mf_h2_mark){0, 0});
    }
    bench_must(mf_h2_fields_request(fields, marks, TYPICAL, &typical_request), "a request");
    return TYPICAL;
}

static void view(void *arg, uint64_t n)
{
    uint32_t count = typical_fields();
    struct mf_h2_view out;
    (void)arg;
    for (uint64_t i = 0; i < n; i++) {
        struct mf_h2_scratch rest = {scratch, sizeof scratch, 0};
        mf_h2_view_of(fields, marks, count, &typical_request, &rest, &out);
        bench_must(mf_h2_view_path_check(&out), "a path");
        bench_sink += out.service.len;
    }
}

static void show(void *arg, uint64_t n)
{
    uint32_t count = typical_fields();
    struct mf_h2_scratch rest = {scratch, sizeof scratch, 0};
    struct mf_h2_view seen;
    struct mf_h2_shown out;
    (void)arg;
    mf_h2_view_of(fields, marks, count, &typical_request, &rest, &seen);
    for (uint64_t i = 0; i < n; i++) {
        mf_h2_shown_of(fields, marks, count, &typical_request, &seen, true, pairs, &rest, &out);
        bench_sink += out.n_headers;
    }
}

/* What was decoded, encoded again. */
static void encode(void *arg, uint64_t n)
{
    static uint8_t to[BLOCKS_ROOM];
    uint32_t count = decode_one(*(struct mf_slice *)arg);
    for (uint64_t i = 0; i < n; i++) {
        size_t len = 0;
        for (uint32_t k = 0; k < count; k++)
            len += mf_hpack_put(&blocks.encoder, to + len, fields[k], marks[k]);
        bench_sink += len;
    }
}

static void huffman_decode(void *arg, uint64_t n)
{
    uint8_t to[128];
    bool plain;
    for (uint64_t i = 0; i < n; i++)
        bench_sink += (uint64_t)mf_huffman_decode(*(struct mf_slice *)arg, to, sizeof to, &plain);
}

static void huffman_put(void *arg, uint64_t n)
{
    uint8_t to[128];
    for (uint64_t i = 0; i < n; i++)
        bench_sink += mf_huffman_put(to, *(struct mf_slice *)arg);
}

static void head(void *arg, uint64_t n)
{
    struct mf_h2_head out;
    struct mf_h2_headers headers;
    struct mf_slice in = *(struct mf_slice *)arg;
    for (uint64_t i = 0; i < n; i++) {
        bench_must(mf_h2_frame_head(in, MF_H2_FRAME_LEAST, &out), "a head");
        struct mf_slice payload = mf_slice_of(in.ptr + MF_H2_HEAD_LEN, out.len);
        bench_must(mf_h2_frame_headers(&out, payload, &headers), "a HEADERS frame");
        bench_sink += headers.block.len;
    }
}

#ifdef WITH_NGHTTP2
static nghttp2_hd_inflater *inflater;
static nghttp2_hd_deflater *deflater;

static void rival_decode(void *arg, uint64_t n)
{
    struct mf_slice block = *(struct mf_slice *)arg;
    for (uint64_t i = 0; i < n; i++) {
        const uint8_t *at = block.ptr, *end = at + block.len;
        for (int flags = 0; !(flags & NGHTTP2_HD_INFLATE_FINAL);) {
            nghttp2_nv nv;
            ssize_t took = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, at, (size_t)(end - at), 1);
            bench_must((int)took, "the rival's block");
            at += took;
            if (flags & NGHTTP2_HD_INFLATE_EMIT)
                bench_sink += nv.namelen;
        }
        nghttp2_hd_inflate_end_headers(inflater);
    }
}

static void rival_encode(void *arg, uint64_t n)
{
    static uint8_t to[BLOCKS_ROOM];
    uint32_t count = decode_one(*(struct mf_slice *)arg);
    nghttp2_nv nv[BLOCKS_FIELDS];
    for (uint32_t k = 0; k < count; k++)
        nv[k] = (nghttp2_nv){(uint8_t *)fields[k].key.ptr, (uint8_t *)fields[k].value.ptr, fields[k].key.len,
                             fields[k].value.len, NGHTTP2_NV_FLAG_NONE};
    for (uint64_t i = 0; i < n; i++)
        bench_sink += (uint64_t)nghttp2_hd_deflate_hd(deflater, to, sizeof to, nv, count);
}

static void rivals(struct mf_slice *mixed)
{
    bench_must(nghttp2_hd_inflate_new(&inflater), "nghttp2");
    bench_must(nghttp2_hd_deflate_new(&deflater, MF_HPACK_TABLE), "nghttp2");
    rival_decode(&blocks.first, 1);
    bench_op("nghttp2.decode_steady", rival_decode, &blocks.steady);
    bench_op("nghttp2.decode_mixed", rival_decode, &blocks.mixed);
    bench_op("nghttp2.decode_first", rival_decode, &blocks.first);
    bench_op("nghttp2.encode_mixed", rival_encode, mixed);
}
#else
static void rivals(struct mf_slice *mixed)
{
    (void)mixed;
}
#endif

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    blocks_build(&blocks);
    mf_hpack_decoder_init(&decoder, memory, MF_HPACK_TABLE);
    decode_one(blocks.first);
    bench_op("hpack.decode_steady", decode, &blocks.steady);
    bench_op("hpack.decode_mixed", decode, &blocks.mixed);
    bench_op("hpack.decode_first", decode, &blocks.first);
    bench_op("hpack.judge_mixed", judge, &blocks.mixed);
    bench_op("hpack.decode_judge_mixed", decode_and_judge, &blocks.mixed);
    bench_op("hpack.encode_steady", encode, &blocks.steady);
    bench_op("hpack.encode_mixed", encode, &blocks.mixed);
    rivals(&blocks.mixed);
    struct mf_h2_conn h2 = {.ops = &(struct mf_h2_ops){0}};
    struct mf_h2_memos memos = {0};
    keep_all(&h2, &memos);
    bench_op("h2.recalled", recall, &memos);
    mf_h2_memo_drop(&h2, &memos);
    bench_op("h2.view", view, NULL);
    bench_op("h2.shown", show, NULL);

    static uint8_t frame[BLOCKS_ROOM], coded[128];
    struct mf_h2_head put = {(uint32_t)blocks.mixed.len, 1, MF_H2_HEADERS, MF_H2_END_HEADERS};
    size_t n = mf_h2_put_head(frame, &put);
    memcpy(frame + n, blocks.mixed.ptr, blocks.mixed.len);
    struct mf_slice whole = mf_slice_of(frame, n + blocks.mixed.len), text = mf_slice_str(blocks_fresh[0][1]);
    bench_op("h2.headers", head, &whole);
    bench_op("huffman.put", huffman_put, &text);
    struct mf_slice in = mf_slice_of(coded, mf_huffman_put(coded, text));
    bench_op("huffman.decode", huffman_decode, &in);
    return 0;
}
