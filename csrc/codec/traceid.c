#include "codec/traceid.h"

#include <strings.h>

enum { MF_TRACEID_DECODED = 192 };

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

/* What names nothing: who has no id sends a word for that, and all who have none send the same. */
static bool is_word(struct mf_slice text)
{
    static const char *const words[] = {"null", "undefined", "nil",           "none",          "unknown",
                                        "n/a",  "nan",       "ignored_trace", "ignored trace", "object object"};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (text.len == strlen(words[i]) && strncasecmp((const char *)text.ptr, words[i], text.len) == 0)
            return true;
    }
    return false;
}

static bool is_mark(uint8_t c)
{
    return c < 0x80 && !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'));
}

/* Whether it can name one trace among others: between marks, blanks and zeros there is something, and no such word. */
static bool names(struct mf_slice text)
{
    while (text.len && is_mark(text.ptr[0]))
        text = after(text, 1);
    while (text.len && is_mark(text.ptr[text.len - 1]))
        text.len--;
    bool any = false;
    for (size_t i = 0; i < text.len && !any; i++)
        any = text.ptr[i] != '0' && !is_mark(text.ptr[i]);
    return any && text.len >= MF_TRACEID_LEAST && !is_word(text);
}

static int base64_digit(uint8_t c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* What base64 text stands for; the text itself where it is none, or longer than any id that says nothing. */
static struct mf_slice decoded(struct mf_slice text, uint8_t out[MF_TRACEID_DECODED])
{
    size_t len = text.len, n = 0;
    uint32_t bits = 0;
    while (len && text.len - len < 2 && text.ptr[len - 1] == '=')
        len--;
    if (len / 4 * 3 + 3 > MF_TRACEID_DECODED || len % 4 == 1)
        return text;
    for (size_t i = 0; i < len; i++) {
        int digit = base64_digit(text.ptr[i]);
        if (digit < 0)
            return text;
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4)
            out[n++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return mf_slice_of(out, n);
}

static struct mf_slice sw8(struct mf_slice value)
{
    uint8_t text[MF_TRACEID_DECODED];
    struct mf_slice sampled = until_dash(value);
    if (sampled.len != 1 || (sampled.ptr[0] != '0' && sampled.ptr[0] != '1'))
        return (struct mf_slice){0};
    struct mf_slice id = until_dash(after(value, 2));
    return names(id) && names(decoded(id, text)) ? id : (struct mf_slice){0};
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
    return names(value) ? value : (struct mf_slice){0};
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
