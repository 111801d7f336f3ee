/* h2_core's tables, h2_share, h2_down: what the engine holds of an HTTP/2 connection that made calls and is quiet, and of a
 * stream that is open and quiet, as libc's allocator takes it; and that all of it comes back. */
#define FAKE_CONNS 128
#define TOLD 1024
#include "h2_mesh.h"

enum { CALLERS = 100, CALLS = 4, STREAMS = 59, ROOM = 16 };

static size_t held;

static size_t taken(size_t size)
{
    size = (size + 8 + 15) / 16 * 16;
    return size < 32 ? 32 : size;
}

static void *counting_alloc(size_t size)
{
    char *ptr = malloc(size + ROOM);
    if (!ptr)
        return NULL;
    memcpy(ptr, &size, sizeof size);
    held += taken(size);
    return ptr + ROOM;
}

static void counting_release(void *ptr)
{
    size_t size;
    memcpy(&size, (char *)ptr - ROOM, sizeof size);
    held -= taken(size);
    free((char *)ptr - ROOM);
}

static void *counting_resize(void *ptr, size_t size)
{
    size_t before = 0;
    void *moved = counting_alloc(size);
    if (!moved || !ptr)
        return moved;
    memcpy(&before, (char *)ptr - ROOM, sizeof before);
    memcpy(moved, ptr, before < size ? before : size);
    counting_release(ptr);
    return moved;
}

/* --- callers that put what they say into the table of fields, as any does */

static struct {
    struct mf_hpack_encoder encoder;
    _Alignas(8) uint8_t memory[16384];
    struct peer *peer;
    uint32_t next;
} callers[CALLERS + 2]; /* and the provider, last */

static const char *const asked[][2] = {
    {":method", "POST"}, {":scheme", "http"}, {":path", "/svc/hi"}, {":authority", "svc"}, {"te", "trailers"},
    {"content-type", "application/grpc"}, {"grpc-timeout", "900S"}, {"user-agent", "grpc-java-netty/1.62.2"},
    {"grpc-accept-encoding", "identity,deflate,gzip"}, {"x-user", "somebody"},
}, *const answered[][2] = {{":status", "200"}, {"content-type", "application/grpc"}, {"server", "one"}},
  *const done[][2] = {{"grpc-status", "0"}};

static void join_at(int i, struct peer *peer)
{
    callers[i].peer = peer;
    callers[i].next = 1;
    mf_hpack_encoder_init(&callers[i].encoder, callers[i].memory, MF_HPACK_TABLE);
}

static void say(int i, uint32_t stream, const char *const fields[][2], size_t n, bool end)
{
    uint8_t block[1024];
    size_t len = mf_hpack_put_begin(&callers[i].encoder, block);
    for (size_t k = 0; k < n; k++) {
        struct mf_pair field = {mf_slice_str(fields[k][0]), mf_slice_str(fields[k][1])};
        len += mf_hpack_put(&callers[i].encoder, block + len, field, (struct mf_h2_mark){mf_h2_name_of(field.key), 0});
    }
    say_frame(callers[i].peer, MF_H2_HEADERS, MF_H2_END_HEADERS | (end ? MF_H2_END_STREAM : 0), stream, block, len);
}
#define SAY(i, stream, fields, end) say(i, stream, fields, sizeof(fields) / sizeof *(fields), end)

static uint32_t begin(int i)
{
    callers[i].next += 2;
    SAY(i, callers[i].next - 2, asked, false);
    return callers[i].next - 2;
}

static void call(int i)
{
    uint32_t id = begin(i);
    say_data(callers[i].peer, id, "hello", true);
    settle();
    struct peer *provider = callers[CALLERS + 1].peer;
    if (!provider) {
        provider = provider_with(NULL);
        join_at(CALLERS + 1, provider);
    }
    hear(provider);
    struct told *told = &provider->told[provider->n_told - 1];
    CHECK(told->ended);
    SAY(CALLERS + 1, told->id, answered, false);
    say_data(provider, told->id, "hello", false);
    SAY(CALLERS + 1, told->id, done, true);
    settle();
    hear(callers[i].peer);
    CHECK(callers[i].peer->told[callers[i].peer->n_told - 1].ended);
}

int main(void)
{
    static const struct mf_mem_ops counting = {counting_alloc, counting_resize, counting_release};
    mf_mem_use(&counting);
    mesh_open(MF_OUTBOUND, 1, NULL);
    join_at(CALLERS, caller());
    call(CALLERS);
    pass(3000);

    size_t base = held;
    for (int i = 0; i < CALLERS; i++) {
        join_at(i, caller());
        for (int k = 0; k < CALLS; k++)
            call(i);
    }
    size_t busy = (held - base) / CALLERS;
    pass(3000);
    size_t idle = (held - base) / CALLERS;
    CHECK(idle <= 3072);

    for (int i = 0; i < 10; i++)
        call(i);
    base = held;
    for (int i = 0; i < 10; i++)
        for (int k = 0; k < STREAMS; k++)
            begin(i);
    settle();
    CHECK_INT(COUNTED(calls_active), 10 * STREAMS);
    size_t streams = (held - base) / (10 * STREAMS);
    CHECK(streams <= 1024);
    printf("h2_idle: a connection %zu bytes, busy %zu; a quiet stream %zu\n", idle, busy, streams);
    mesh_close();
    CHECK_INT(held, 0);
    return test_end("h2_idle");
}
