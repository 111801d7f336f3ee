#include "codec/sniff.h"

#include "base/err.h"
#include "codec/h2_frame.h"
#include "codec/h2_name.h"

static enum mf_protocol dubbo(struct mf_slice in)
{
    if (in.len < 2)
        return MF_PROTOCOL_MORE;
    return in.ptr[1] == 0xbb ? MF_PROTOCOL_DUBBO : MF_PROTOCOL_OPAQUE;
}

/* How many bytes of `in` are those of `text`, from the first on. */
static size_t same(struct mf_slice in, struct mf_slice text)
{
    size_t n = 0;
    while (n < in.len && n < text.len && in.ptr[n] == text.ptr[n])
        n++;
    return n;
}

static struct mf_slice behind(struct mf_slice in, size_t n)
{
    return mf_slice_of(in.ptr + n, in.len - n);
}

/* A path, `*`, or an absolute URL; of CONNECT a host. Redis, NATS, RTSP and SIP have words like HTTP's methods, and mostly
 * none of these behind them. */
static bool begins_target(uint8_t c, bool connect)
{
    bool letter = (uint8_t)((c | 0x20) - 'a') < 26;
    if (connect)
        return letter || c == '[' || (uint8_t)(c - '0') < 10;
    return c == '/' || c == '*' || (c | 0x20) == 'h';
}

static enum mf_protocol request(struct mf_slice in, bool connect)
{
    const struct mf_slice version = MF_SLICE(" HTTP/1.");
    size_t n = 0;
    if (!in.len)
        return MF_PROTOCOL_MORE;
    if (!begins_target(in.ptr[0], connect))
        return MF_PROTOCOL_OPAQUE;
    while (n < in.len && n < MF_SNIFF_TARGET && in.ptr[n] > ' ' && in.ptr[n] != 0x7f)
        n++;
    if (n == MF_SNIFF_TARGET)
        return MF_PROTOCOL_HTTP1;
    in = behind(in, n);
    n = same(in, version);
    if (n == version.len)
        return MF_PROTOCOL_HTTP1;
    return n == in.len ? MF_PROTOCOL_MORE : MF_PROTOCOL_OPAQUE;
}

static enum mf_protocol http(struct mf_slice in)
{
    const struct mf_slice methods[] = {
        MF_SLICE("CONNECT "), MF_SLICE("GET "), MF_SLICE("HEAD "), MF_SLICE("POST "), MF_SLICE("PUT "),
        MF_SLICE("DELETE "), MF_SLICE("OPTIONS "), MF_SLICE("PATCH "), MF_SLICE("TRACE "),
    };
    int rc = mf_h2_frame_preface(in);
    if (rc > 0)
        return MF_PROTOCOL_HTTP2;
    if (rc == MF_EMORE)
        return MF_PROTOCOL_MORE;
    if (in.len > 3 && memcmp(in.ptr, "PRI", 3) == 0 && !mf_h2_name_token(in.ptr[3]))
        return MF_PROTOCOL_HTTP2; /* which will say what is wrong with its preface */
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        size_t n = same(in, methods[i]);
        if (n == methods[i].len)
            return request(behind(in, n), i == 0);
        if (n == in.len)
            return MF_PROTOCOL_MORE;
    }
    return MF_PROTOCOL_OPAQUE;
}

enum mf_protocol mf_sniff(struct mf_slice in)
{
    if (!in.len)
        return MF_PROTOCOL_MORE;
    return in.ptr[0] == 0xda ? dubbo(in) : http(in);
}

/* SETTINGS that are no acknowledgement: with what a server of HTTP/2 begins (RFC 9113 3.4). */
static enum mf_protocol settings(struct mf_slice in)
{
    static const uint8_t head[] = {0, 0, 0, MF_H2_SETTINGS, 0, 0, 0, 0, 0};
    for (size_t i = 0; i < in.len && i < sizeof head; i++)
        if (i != 1 && i != 2 && in.ptr[i] != head[i])
            return MF_PROTOCOL_OPAQUE;
    if (in.len < sizeof head)
        return MF_PROTOCOL_MORE;
    return ((in.ptr[1] << 8) | in.ptr[2]) % MF_H2_SETTING_LEN ? MF_PROTOCOL_OPAQUE : MF_PROTOCOL_HTTP2;
}

enum mf_protocol mf_sniff_first(struct mf_slice in)
{
    const struct mf_slice http1 = MF_SLICE("HTTP/1.");
    if (!in.len)
        return MF_PROTOCOL_MORE;
    if (in.ptr[0] == 0xda)
        return dubbo(in);
    if (in.ptr[0] == 0)
        return settings(in);
    size_t n = same(in, http1);
    if (n == http1.len)
        return MF_PROTOCOL_HTTP1;
    return n == in.len ? MF_PROTOCOL_MORE : MF_PROTOCOL_OPAQUE;
}
