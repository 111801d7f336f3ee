/* The frames of dubbo.h that a proxy writes or answers itself, and the names of ids and statuses. */
#include "codec/dubbo.h"
#include "codec/javaser.h"
#include "codec/jsonb.h"

void mf_dubbo_put_head(uint8_t *to, const struct mf_dubbo_head *head)
{
    to[0] = 0xda;
    to[1] = 0xbb;
    to[2] = (uint8_t)((head->flags & ~MF_DUBBO_SERIALIZATION) | (head->serialization & MF_DUBBO_SERIALIZATION));
    to[3] = head->status;
    mf_put64(to + 4, head->id);
    mf_put32(to + 12, head->body_len);
}

/* Copies `text` as plain one-line UTF-8 that takes the same bytes in every serialization: no pairs of surrogates, no
 * controls, nothing that JSON escapes. */
static size_t clean_text(uint8_t to[MF_DUBBO_TEXT], const char *text)
{
    const uint8_t *p = (const uint8_t *)(text ? text : "");
    size_t n = 0;
    while (*p) {
        size_t len = *p >= 0xe0 && *p < 0xf0 ? 3 : *p >= 0xc2 && *p < 0xe0 ? 2 : 1;
        for (size_t i = 1; i < len; i++)
            len = (p[i] & 0xc0) == 0x80 ? len : 1; /* the NUL stops this too */
        if (n + len > MF_DUBBO_TEXT)
            break;
        if (len == 1)
            to[n] = *p < 0x20 ? ' ' : *p >= 0x7f ? '?' : *p == '"' ? '\'' : *p == '\\' ? '/' : *p;
        else
            memcpy(to + n, p, len);
        n += len;
        p += len;
    }
    return n;
}

static size_t put_hessian_text(uint8_t *to, struct mf_slice text)
{
    size_t units = 0, n = 0;
    for (size_t i = 0; i < text.len; i++)
        units += (text.ptr[i] & 0xc0) != 0x80;
    if (units < 0x20) {
        to[n++] = (uint8_t)units;
    } else {
        to[n++] = (uint8_t)(0x30 + (units >> 8)); /* up to 1023 */
        to[n++] = (uint8_t)units;
    }
    memcpy(to + n, text.ptr, text.len);
    return n + text.len;
}

size_t mf_dubbo_put_error(uint8_t to[MF_DUBBO_ERROR_ROOM], uint64_t id, uint8_t serialization, uint8_t status,
                          const char *text)
{
    uint8_t clean[MF_DUBBO_TEXT], *body = to + MF_DUBBO_HEAD_LEN;
    struct mf_slice line = mf_slice_of(clean, clean_text(clean, text));
    size_t n;
    switch (serialization) {
    case MF_DUBBO_FASTJSON2:
        n = mf_jsonb_put_string(body + 4, line);
        mf_put32(body, (uint32_t)n);
        n += 4;
        break;
    case MF_DUBBO_JAVA:
    case MF_DUBBO_COMPACTED_JAVA:
        n = mf_javaser_put_utf(body, true, line);
        break;
    case MF_DUBBO_NATIVE_JAVA:
        n = mf_javaser_put_utf(body, false, line);
        break;
    case MF_DUBBO_FASTJSON:
        body[0] = '"';
        memcpy(body + 1, line.ptr, line.len);
        memcpy(body + 1 + line.len, "\"\n", 2);
        n = line.len + 3;
        break;
    default:
        /* A consumer that cannot tell the text still fails the right call at once, with CLIENT_ERROR. */
        serialization = MF_DUBBO_HESSIAN2;
        n = put_hessian_text(body, line);
    }
    struct mf_dubbo_head head = {
        .id = id, .body_len = (uint32_t)n, .status = status, .serialization = serialization};
    mf_dubbo_put_head(to, &head);
    return MF_DUBBO_HEAD_LEN + n;
}

static size_t put_event(uint8_t *to, uint8_t flags, uint64_t id, struct mf_slice body)
{
    struct mf_dubbo_head head = {
        .id = id, .body_len = (uint32_t)body.len, .flags = flags, .serialization = MF_DUBBO_HESSIAN2};
    mf_dubbo_put_head(to, &head);
    memcpy(to + MF_DUBBO_HEAD_LEN, body.ptr, body.len);
    return MF_DUBBO_HEAD_LEN + body.len;
}

size_t mf_dubbo_put_heartbeat(uint8_t to[MF_DUBBO_EVENT_ROOM], uint64_t id)
{
    return put_event(to, MF_DUBBO_REQUEST | MF_DUBBO_TWO_WAY | MF_DUBBO_EVENT, id, MF_SLICE("N"));
}

size_t mf_dubbo_put_readonly(uint8_t to[MF_DUBBO_EVENT_ROOM])
{
    return put_event(to, MF_DUBBO_REQUEST | MF_DUBBO_EVENT, 0, MF_SLICE("\001R"));
}

size_t mf_dubbo_put_writeable(uint8_t to[MF_DUBBO_EVENT_ROOM])
{
    return put_event(to, MF_DUBBO_REQUEST | MF_DUBBO_EVENT, 0, MF_SLICE("\001W"));
}

struct mf_dubbo_head mf_dubbo_event_answer(const struct mf_dubbo_head *event)
{
    return (struct mf_dubbo_head){
        .id = event->id,
        .body_len = event->body_len,
        .flags = MF_DUBBO_EVENT,
        .status = MF_DUBBO_OK,
        .serialization = event->serialization,
    };
}

/* Null, and a string of one letter at the end, as each serialization writes them. Null is Dubbo's heartbeat; a
 * serializer that has no null writes nothing at all (CodecSupport.getNullBytesOf). */
static const struct {
    uint8_t serialization;
    struct mf_slice null, string;
} events[] = {
    {MF_DUBBO_HESSIAN2, MF_SLICE("N"), MF_SLICE("\001")},
    {MF_DUBBO_FASTJSON2, MF_SLICE("\0\0\0\001\xaf"), MF_SLICE("\0\0\0\002\x4a")},
    {MF_DUBBO_JAVA, MF_SLICE("\xac\xed\0\005\x77\001\0"), MF_SLICE("\xac\xed\0\005\x77\001\001\x74\0\001")},
    {MF_DUBBO_COMPACTED_JAVA, MF_SLICE("\xac\xed\0\005\x77\001\0"), MF_SLICE("\xac\xed\0\005\x77\001\001\x74\0\001")},
    {MF_DUBBO_NATIVE_JAVA, MF_SLICE("\xac\xed\0\005\x70"), MF_SLICE("\xac\xed\0\005\x74\0\001")},
    {MF_DUBBO_FASTJSON, MF_SLICE("null"), MF_SLICE("\"")},
};

static enum mf_dubbo_event letter(uint8_t c)
{
    return c == 'R' ? MF_DUBBO_EVENT_READONLY : c == 'W' ? MF_DUBBO_EVENT_WRITEABLE : MF_DUBBO_EVENT_OTHER;
}

enum mf_dubbo_event mf_dubbo_event_of(uint8_t serialization, struct mf_slice body)
{
    if (!body.len)
        return MF_DUBBO_EVENT_HEARTBEAT;
    if (serialization == MF_DUBBO_FASTJSON) {
        while (body.len && (body.ptr[body.len - 1] == '\n' || body.ptr[body.len - 1] == '\r'))
            body.len--;
        if (body.len == 3 && body.ptr[2] == '"')
            body.len--;
    }
    for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
        if (events[i].serialization != serialization)
            continue;
        if (mf_slice_eq(body, events[i].null))
            return MF_DUBBO_EVENT_HEARTBEAT;
        size_t n = events[i].string.len;
        if (body.len == n + 1 && mf_slice_eq(mf_slice_of(body.ptr, n), events[i].string))
            return letter(body.ptr[n]);
    }
    return MF_DUBBO_EVENT_OTHER;
}

const char *mf_dubbo_serialization_name(uint8_t serialization)
{
    static const char *const names[32] = {
        [2] = "hessian2",   [3] = "java",           [4] = "compactedjava", [6] = "fastjson",  [7] = "nativejava",
        [8] = "kryo",       [9] = "fst",            [10] = "nativehessian", [11] = "avro",    [12] = "protostuff",
        [16] = "gson",      [18] = "jackson",       [21] = "protobufjson", [22] = "protobuf", [23] = "fastjson2",
        [25] = "kryo2",     [27] = "msgpack",       [28] = "fury",         [31] = "custom",
    };
    const char *name = serialization < 32 ? names[serialization] : NULL;
    return name ? name : "unknown";
}

const char *mf_dubbo_status_name(uint8_t status)
{
    switch (status) {
    case 20:
        return "ok";
    case 25:
        return "serialization_error";
    case 30:
        return "client_timeout";
    case 31:
        return "server_timeout";
    case 35:
        return "channel_inactive";
    case 40:
        return "bad_request";
    case 50:
        return "bad_response";
    case 60:
        return "service_not_found";
    case 70:
        return "service_error";
    case 80:
        return "server_error";
    case 90:
        return "client_error";
    case 100:
        return "overload";
    }
    return "other";
}
