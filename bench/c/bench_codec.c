/* bench_codec: nanoseconds for each thing that the codec does. One JSON object a line (bench.h). */
#include "bench.h"
#include "frames.h"

#include "codec/traceid.h"

static struct mf_pair pairs[128 + MF_DUBBO_LEADING];
static uint8_t texts[1024];
static const struct mf_dubbo_room room = {pairs, 128, sizeof texts, texts};
static uint8_t bytes[16 << 20];

static void must_parse(struct mf_slice in, struct mf_dubbo_head *head, struct mf_dubbo_request *request)
{
    const char *why;
    bench_must(mf_dubbo_parse_head(in, 8 << 20, head), "a head");
    struct mf_slice body = mf_slice_of(in.ptr + MF_DUBBO_HEAD_LEN, head->body_len);
    bench_must(mf_dubbo_parse_request(head->serialization, body, NULL, &room, request, &why), "a request");
}

static void head(void *arg, uint64_t n)
{
    struct mf_slice in = *(struct mf_slice *)arg;
    struct mf_dubbo_head out;
    for (uint64_t i = 0; i < n; i++)
        bench_sink += (uint64_t)mf_dubbo_parse_head(in, 8 << 20, &out) + out.body_len;
}

/* Head and request. */
static void parse(void *arg, uint64_t n)
{
    struct mf_slice in = *(struct mf_slice *)arg;
    struct mf_dubbo_head out;
    struct mf_dubbo_request request;
    for (uint64_t i = 0; i < n; i++) {
        must_parse(in, &out, &request);
        bench_sink += request.n_attachments + request.method.len;
    }
}

static void stamp_only(void *arg, uint64_t n)
{
    struct mf_slice in = *(struct mf_slice *)arg, body = mf_slice_of(in.ptr + 16, in.len - 16);
    struct mf_dubbo_head out;
    struct mf_dubbo_request request;
    struct mf_pair label = {MF_SLICE("x-mesh-label"), MF_SLICE("dev1")};
    uint8_t tail[512];
    struct mf_dubbo_stamped stamped;
    must_parse(in, &out, &request);
    for (uint64_t i = 0; i < n; i++) {
        mf_dubbo_stamp(out.serialization, body, &request, &label, 1, tail, sizeof tail, &stamped);
        bench_sink += stamped.len;
    }
}

/* Parse, stamp, and the whole new frame: what `meshfast.dubbo.stamp` does. */
static void stamp_whole(void *arg, uint64_t n)
{
    static uint8_t to[4096];
    struct mf_slice in = *(struct mf_slice *)arg, body = mf_slice_of(in.ptr + 16, in.len - 16);
    struct mf_dubbo_head out;
    struct mf_dubbo_request request;
    struct mf_pair label = {MF_SLICE("x-mesh-label"), MF_SLICE("dev1")};
    uint8_t tail[512];
    struct mf_dubbo_stamped stamped;
    for (uint64_t i = 0; i < n; i++) {
        must_parse(in, &out, &request);
        bench_must(mf_dubbo_stamp(out.serialization, body, &request, &label, 1, tail, sizeof tail, &stamped), "a stamp");
        out.body_len = (uint32_t)stamped.len;
        mf_dubbo_put_head(to, &out);
        mf_dubbo_stamped_copy(&stamped, to + 16);
        bench_sink += to[out.body_len];
    }
}

static void build(void *arg, uint64_t n)
{
    static uint8_t to[8192];
    for (uint64_t i = 0; i < n; i++)
        bench_sink += frame_build(to, arg).len;
}

static void put_error(void *arg, uint64_t n)
{
    uint8_t to[MF_DUBBO_ERROR_ROOM];
    (void)arg;
    for (uint64_t i = 0; i < n; i++)
        bench_sink += mf_dubbo_put_error(to, i, MF_DUBBO_HESSIAN2, MF_DUBBO_SERVICE_NOT_FOUND, "no such service");
}

static void skip(void *arg, uint64_t n)
{
    struct mf_slice in = *(struct mf_slice *)arg;
    for (uint64_t i = 0; i < n; i++) {
        struct mf_hessian reader;
        mf_hessian_init(&reader, in, MF_HESSIAN_DEPTH, MF_HESSIAN_CLASSES);
        bench_must(mf_hessian_skip(&reader), "a skip");
        bench_sink += reader.at;
    }
}

static void put_string(void *arg, uint64_t n)
{
    struct mf_slice text = *(struct mf_slice *)arg;
    uint8_t to[512];
    for (uint64_t i = 0; i < n; i++)
        bench_sink += (uint64_t)mf_hessian_put_string(to, sizeof to, text);
}

static void traceparent(void *arg, uint64_t n)
{
    struct mf_slice key = MF_SLICE("traceparent");
    struct mf_slice value = MF_SLICE("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    (void)arg;
    for (uint64_t i = 0; i < n; i++)
        bench_sink += mf_traceid_of(mf_traceid_format_of(key), value).len;
}

static void on(const char *name, void (*run)(void *, uint64_t), struct frame_shape shape)
{
    if (!shape.serialization)
        shape.serialization = MF_DUBBO_HESSIAN2;
    struct mf_slice in = frame_build(bytes, &shape);
    bench_op(name, run, &in);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv);
    on("dubbo.head", head, (struct frame_shape){.attachments = 5});
    on("dubbo.strings", parse, (struct frame_shape){.attachments = -1});
    on("dubbo.no_attachments", parse, (struct frame_shape){.attachments = 0});
    on("dubbo.five", parse, (struct frame_shape){.attachments = 5});
    on("dubbo.argument", parse, (struct frame_shape){.attachments = 5, .argument = 64});
    on("dubbo.nested", parse, (struct frame_shape){.attachments = 5, .nested = true});
    on("dubbo.jsonb", parse, (struct frame_shape){.serialization = MF_DUBBO_FASTJSON2, .attachments = 5});
    on("dubbo.ascii_4MiB", parse, (struct frame_shape){.attachments = 5, .argument = 4 << 20});
    on("dubbo.chinese_4MiB", parse,
       (struct frame_shape){.attachments = 5, .argument = 4 << 20, .unit = "\xe4\xb8\x8a"});
    on("dubbo.stamp", stamp_only, (struct frame_shape){.attachments = 5, .argument = 64});
    on("dubbo.stamp_frame", stamp_whole, (struct frame_shape){.attachments = 5, .argument = 64});
    bench_op("dubbo.build", build,
             &(struct frame_shape){.serialization = MF_DUBBO_HESSIAN2, .attachments = 5, .argument = 64});
    bench_op("dubbo.error", put_error, NULL);

    struct mf_slice nested = mf_slice_of(bytes, frame_nested(bytes)), text = MF_SLICE(FRAMES_SERVICE);
    bench_op("hessian.skip_nested", skip, &nested);
    bench_op("hessian.put_string", put_string, &text);
    bench_op("traceid.traceparent", traceparent, NULL);
    return 0;
}
