#include "codec/traceid.h"

#include <strings.h>

/* The bytes before the first '-'; empty when there is none. */
static struct mf_slice until_dash(struct mf_slice text)
{
    const uint8_t *dash = text.len ? memchr(text.ptr, '-', text.len) : NULL;
    return mf_slice_of(text.ptr, dash ? (size_t)(dash - text.ptr) : 0);
}

static struct mf_slice after(struct mf_slice text, size_t n)
{
    return mf_slice_of(text.ptr + n, text.len - n);
}

/* Lower-case hexadecimal digits, not all of them zero. */
static bool is_id(struct mf_slice text)
{
    uint8_t any = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        any |= (uint8_t)(c != '0');
    }
    return any;
}

/* W3C Trace Context, section 3.2: two digits of version (not ff), 32 of trace id, then more. */
static struct mf_slice traceparent(struct mf_slice value)
{
    struct mf_slice version = until_dash(value);
    if (version.len != 2 || (version.ptr[0] == 'f' && version.ptr[1] == 'f'))
        return (struct mf_slice){0};
    struct mf_slice id = until_dash(after(value, 3));
    return id.len == 32 && is_id(id) ? id : (struct mf_slice){0};
}

static struct mf_slice b3(struct mf_slice value)
{
    struct mf_slice id = until_dash(value);
    return (id.len == 16 || id.len == 32) && is_id(id) ? id : (struct mf_slice){0};
}

static struct mf_slice sw8(struct mf_slice value)
{
    struct mf_slice sampled = until_dash(value);
    if (sampled.len != 1 || (sampled.ptr[0] != '0' && sampled.ptr[0] != '1'))
        return (struct mf_slice){0};
    return until_dash(after(value, 2));
}

struct mf_slice mf_traceid_of(enum mf_traceid_format format, struct mf_slice value)
{
    switch (format) {
    case MF_TRACEID_TRACEPARENT:
        return traceparent(value);
    case MF_TRACEID_B3:
        return b3(value);
    case MF_TRACEID_SW8:
        return sw8(value);
    case MF_TRACEID_PLAIN:
        break;
    }
    return value;
}

enum mf_traceid_format mf_traceid_format_of(struct mf_slice key)
{
    static const struct {
        const char *name;
        enum mf_traceid_format format;
    } known[] = {{"traceparent", MF_TRACEID_TRACEPARENT}, {"b3", MF_TRACEID_B3}, {"sw8", MF_TRACEID_SW8}};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        if (key.len == strlen(known[i].name) && strncasecmp((const char *)key.ptr, known[i].name, key.len) == 0)
            return known[i].format;
    }
    return MF_TRACEID_PLAIN;
}
