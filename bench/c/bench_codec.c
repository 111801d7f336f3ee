/* bench_codec: nanoseconds per operation of the Dubbo2 codec, the best of seven rounds.
 *
 * cc -O2 -D_GNU_SOURCE -Icsrc bench/c/bench_codec.c build/opt/libmeshfast.a -o build/bench_codec && build/bench_codec */
#include "codec/dubbo.h"
#include "codec/hessian.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct mf_pair pairs[128];
static uint8_t frame[7 << 20];
static volatile uint64_t sink;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static size_t put(uint8_t *to, const char *text)
{
    return (size_t)mf_hessian_put_string(to, 4096, mf_slice_str(text));
}

/* A request with `n` attachments of the usual length (-1: not even the map), and one argument of about `argument` bytes
 * (0: none), made of `unit`. */
static struct mf_slice build_of(int n, size_t argument, const char *unit)
{
    static const char *const attachments[][2] = {{"path", "org.apache.dubbo.demo.DemoService"},
                                                 {"interface", "org.apache.dubbo.demo.DemoService"},
                                                 {"version", "1.0.0"},
                                                 {"timeout", "3000"},
                                                 {"remote.application", "demo-consumer"}};
    uint8_t *p = frame + MF_DUBBO_HEAD_LEN;
    const char *strings[] = {"2.0.2", "org.apache.dubbo.demo.DemoService", "1.0.0", "sayHello",
                             argument ? "Ljava/lang/String;" : ""};
    for (int i = 0; i < 5; i++)
        p += put(p, strings[i]);
    if (argument) {
        uint8_t *text = malloc(argument);
        size_t step = strlen(unit);
        argument -= argument % step;
        for (size_t i = 0; i < argument; i += step)
            memcpy(text + i, unit, step);
        p += mf_hessian_put_string(p, mf_hessian_string_room(argument), mf_slice_of(text, argument));
        free(text);
    }
    if (n >= 0) {
        *p++ = 'H';
        for (int i = 0; i < n; i++) {
            p += put(p, attachments[i][0]);
            p += put(p, attachments[i][1]);
        }
        *p++ = 'Z';
    }
    size_t len = (size_t)(p - frame);
    struct mf_dubbo_head head = {.id = 1, .body_len = (uint32_t)(len - 16), .flags = 0xc0, .serialization = 2};
    mf_dubbo_put_head(frame, &head);
    return mf_slice_of(frame, len);
}

static struct mf_slice build(int n, size_t argument)
{
    return build_of(n, argument, "x");
}

static void parse(struct mf_slice in)
{
    struct mf_dubbo_head head;
    struct mf_dubbo_request request;
    const char *why;
    mf_dubbo_parse_head(in, 8 << 20, &head);
    struct mf_slice body = mf_slice_of(in.ptr + 16, head.body_len);
    int rc = mf_dubbo_parse_request(head.serialization, body, NULL, pairs, 128, &request, &why);
    sink += (uint64_t)rc + request.n_attachments + request.method.len;
}

static void stamp(struct mf_slice in)
{
    static uint8_t tail[512];
    struct mf_dubbo_request request;
    const char *why;
    size_t cut;
    struct mf_slice body = mf_slice_of(in.ptr + 16, in.len - 16);
    struct mf_pair label = {MF_SLICE("x-mesh-label"), MF_SLICE("dev1")};
    mf_dubbo_parse_request(2, body, NULL, pairs, 128, &request, &why);
    sink += (uint64_t)mf_dubbo_stamp(2, body, &request, &label, 1, tail, sizeof(tail), &cut);
}

static void run(const char *name, void (*each)(struct mf_slice), struct mf_slice in, long times)
{
    double best = 1e18;
    for (int round = 0; round < 7; round++) {
        double start = now();
        for (long i = 0; i < times; i++)
            each(in);
        double took = (now() - start) / (double)times;
        best = took < best ? took : best;
    }
    printf("%-44s %10.1f ns\n", name, best);
}

int main(void)
{
    run("head and strings, nothing behind them", parse, build(-1, 0), 1000000);
    run("head, strings, no attachments", parse, build(0, 0), 1000000);
    run("head, strings, five attachments", parse, build(5, 0), 1000000);
    run("head, strings, a string argument, five", parse, build(5, 64), 1000000);
    run("the same, and a stamp", stamp, build(5, 64), 1000000);
    run("head, strings, 4 MiB of ASCII, five", parse, build(5, 4 << 20), 30);
    run("head, strings, 4 MiB of Chinese, five", parse, build_of(5, 4 << 20, "\xe4\xb8\x8a"), 30);
    return 0;
}
