#pragma once
/* blocks: header blocks as a gRPC client of a mesh sends them, for what is measured of HTTP/2: the first on a connection,
 * one whose fields are all known, and one with a fresh trace id and deadline. */
#include "bench.h"

#include "codec/hpack.h"

enum { BLOCKS_FIELDS = 32, BLOCKS_ROOM = 2048 };

static const char *const blocks_constant[][2] = {
    {":method", "POST"},
    {":scheme", "http"},
    {":path", "/org.apache.dubbo.demo.GreeterService/sayHello"},
    {":authority", "greeter.demo.svc.cluster.local:50051"},
    {"te", "trailers"},
    {"content-type", "application/grpc"},
    {"user-agent", "grpc-java-netty/1.62.2"},
    {"grpc-accept-encoding", "gzip"},
    {"tri-service-version", "1.0.0"},
    {"tri-service-group", "blue"},
    {"tri-consumer-appname", "storefront"},
    {"baggage-env", "dev1"},
};
static const char *const blocks_fresh[][2] = {
    {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
    {"grpc-timeout", "2999871u"},
};
enum { BLOCKS_CONSTANT = sizeof blocks_constant / sizeof *blocks_constant, BLOCKS_FRESH = 2 };

struct blocks {
    struct mf_slice first, steady, mixed; /* the first empties the table before it: the same each time */
    uint8_t bytes[3][BLOCKS_ROOM];
    struct mf_hpack_encoder encoder;
    _Alignas(8) uint8_t memory[16384];
};

static inline struct mf_pair blocks_pair(const char *const field[2])
{
    return (struct mf_pair){mf_slice_str(field[0]), mf_slice_str(field[1])};
}

static inline size_t blocks_put(struct blocks *it, uint8_t *to, bool fresh)
{
    size_t n = 0;
    for (int i = 0; i < BLOCKS_CONSTANT + (fresh ? BLOCKS_FRESH : 0); i++) {
        struct mf_pair field = blocks_pair(i < BLOCKS_CONSTANT ? blocks_constant[i] : blocks_fresh[i - BLOCKS_CONSTANT]);
        n += mf_hpack_put(&it->encoder, to + n, field, mf_h2_mark_of(field));
    }
    return n;
}

static inline void blocks_build(struct blocks *it)
{
    static const uint8_t empties[] = {0x20, 0x3f, 0xe1, 0x1f}; /* size 0, size 4096 */
    mf_hpack_encoder_init(&it->encoder, it->memory, MF_HPACK_TABLE);
    memcpy(it->bytes[0], empties, sizeof empties);
    it->first = mf_slice_of(it->bytes[0], sizeof empties + blocks_put(it, it->bytes[0] + sizeof empties, true));
    it->steady = mf_slice_of(it->bytes[1], blocks_put(it, it->bytes[1], false));
    it->mixed = mf_slice_of(it->bytes[2], blocks_put(it, it->bytes[2], true));
}
