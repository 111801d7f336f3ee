#include "codec/jsonb.h"
#include "codec/text.h"

enum {
    TAG_INT = 0x48,
    TAG_ASCII_FIX = 0x49, /* to 0x78: 0 to 47 bytes */
    TAG_ASCII = 0x79,     /* Java's Latin-1 strings too, so that it is not always ASCII */
    TAG_UTF8 = 0x7a,
    TAG_UTF16 = 0x7b, /* big-endian where it does not begin with its byte order */
    TAG_UTF16LE = 0x7c,
    TAG_UTF16BE = 0x7d,
    TAG_GB18030 = 0x7e,
    TAG_SYMBOL = 0x7f,
    TAG_CHAR = 0x90,
    TAG_BINARY = 0x91,
    TAG_TYPED = 0x92,
    TAG_REFERENCE = 0x93,
    TAG_ARRAY_FIX = 0x94, /* to 0xa3: 0 to 15 items */
    TAG_ARRAY = 0xa4,
};

static int refuse(struct mf_jsonb *reader, int rc, const char *why)
{
    reader->why = why;
    return rc;
}

static int too_short(struct mf_jsonb *reader)
{
    return refuse(reader, MF_EJSONB_SHORT, "a value runs past its frame");
}

static inline size_t left(const struct mf_jsonb *reader)
{
    return reader->body.len - reader->at;
}

static int pass(struct mf_jsonb *reader, size_t len)
{
    if (left(reader) < len)
        return too_short(reader);
    reader->at += len;
    return 0;
}

void mf_jsonb_init(struct mf_jsonb *reader, struct mf_slice body, uint32_t max_depth)
{
    *reader = (struct mf_jsonb){.body = body, .why = ""};
    reader->max_depth = max_depth < MF_JSONB_DEPTH ? max_depth : MF_JSONB_DEPTH;
}

/* How many bytes follow the tag of a whole number; 0xff for other tags. */
static uint8_t integer_size(uint8_t tag)
{
    if (tag < 0x30 || tag >= 0xd8)
        return 0;
    if (tag < 0x40 || (tag >= 0xc8 && tag < 0xd8) || tag == 0xbd)
        return 1;
    if (tag < 0x48 || (tag >= 0xc0 && tag < 0xc8) || tag == 0xbc)
        return 2;
    if (tag == TAG_INT || tag == 0xbf)
        return 4;
    return tag == 0xbe ? 8 : 0xff;
}

int mf_jsonb_integer(struct mf_jsonb *reader, int64_t *out)
{
    if (!left(reader))
        return too_short(reader);
    const uint8_t *p = reader->body.ptr + reader->at;
    uint8_t tag = *p, size = integer_size(tag);
    if (size == 0xff)
        return refuse(reader, MF_EJSONB_TYPE, "a whole number was expected");
    if (left(reader) < 1u + size)
        return too_short(reader);
    if (tag < 0x30)
        *out = tag;
    else if (tag >= 0xf0)
        *out = tag - 0x100;
    else if (tag < 0x40)
        *out = (tag - 0x38) * 256 + p[1];
    else if (tag < 0x48)
        *out = (tag - 0x44) * 65536 + mf_get16(p + 1);
    else if (tag >= 0xd8)
        *out = tag - 0xe0;
    else if (tag >= 0xc8)
        *out = (tag - 0xd0) * 256 + p[1];
    else if (tag >= 0xc0)
        *out = (tag - 0xc4) * 65536 + mf_get16(p + 1);
    else if (size == 1)
        *out = (int8_t)p[1];
    else if (size == 2)
        *out = (int16_t)mf_get16(p + 1);
    else
        *out = size == 4 ? (int32_t)mf_get32(p + 1) : (int64_t)mf_get64(p + 1);
    reader->at += 1u + size;
    return 0;
}

/* A count of bytes, or of things that take one at least. */
static int read_count(struct mf_jsonb *reader, uint32_t *out)
{
    int64_t count;
    int rc = mf_jsonb_integer(reader, &count);
    if (rc == MF_EJSONB_TYPE)
        return refuse(reader, MF_EJSONB_TAG, "a length that is not a number");
    if (rc)
        return rc;
    if (count < 0 || (uint64_t)count > left(reader))
        return refuse(reader, MF_EJSONB_SHORT, "a count is negative or larger than what is left of its frame");
    *out = (uint32_t)count;
    return 0;
}

static bool is_ascii(struct mf_slice text)
{
    const uint8_t *p = text.ptr, *end = text.len ? p + text.len : p;
    uint64_t any = 0, eight;
    for (; end - p >= 8; p += 8) {
        memcpy(&eight, p, 8);
        any |= eight;
    }
    for (; p < end; p++)
        any |= *p;
    return !(any & UINT64_C(0x8080808080808080));
}

/* The bytes of a string of any encoding, whose tag is at hand. */
static int read_text(struct mf_jsonb *reader, struct mf_slice *out)
{
    uint32_t len = reader->body.ptr[reader->at++] - (uint32_t)TAG_ASCII_FIX;
    if (len > TAG_ASCII - 1 - TAG_ASCII_FIX) {
        int rc = read_count(reader, &len);
        if (rc)
            return rc;
    }
    *out = mf_slice_of(reader->body.ptr + reader->at, len);
    return pass(reader, len);
}

static inline int read_string(struct mf_jsonb *reader, struct mf_slice *out)
{
    *out = (struct mf_slice){0};
    if (!left(reader))
        return too_short(reader);
    size_t start = reader->at;
    uint8_t tag = reader->body.ptr[start];
    if (tag == MF_JSONB_NULL) {
        reader->at++;
        return 0;
    }
    if (tag < TAG_ASCII_FIX || tag > TAG_UTF8)
        return refuse(reader, MF_EJSONB_TYPE, "a UTF-8 string was expected");
    struct mf_slice text;
    int rc = read_text(reader, &text);
    if (rc)
        return rc;
    if (tag != TAG_UTF8 && !is_ascii(text)) {
        reader->at = start;
        return refuse(reader, MF_EJSONB_TYPE, "a UTF-8 string was expected, not Latin-1");
    }
    *out = text;
    return 1;
}

static bool convert(uint8_t tag, struct mf_slice raw, struct mf_text *text)
{
    bool big = tag != TAG_UTF16LE;
    if (tag <= TAG_ASCII)
        return mf_text_put_latin1(text, raw);
    if (tag == TAG_GB18030) /* its table would be larger than all of this */
        return false;
    if (tag == TAG_UTF16 && raw.len >= 2 && (mf_get16(raw.ptr) == 0xfeff || mf_get16(raw.ptr) == 0xfffe)) {
        big = mf_get16(raw.ptr) == 0xfeff;
        raw = mf_slice_of(raw.ptr + 2, raw.len - 2);
    }
    return mf_text_put_utf16(text, raw, big);
}

/* A string that is not UTF-8 as it lies. */
__attribute__((noinline)) static int read_converted(struct mf_jsonb *reader, struct mf_text *text, struct mf_slice *out)
{
    uint8_t tag = reader->body.ptr[reader->at];
    struct mf_slice raw;
    int rc = read_text(reader, &raw);
    if (rc)
        return rc;
    mf_text_begin(text);
    if ((tag == TAG_GB18030 && is_ascii(raw)) || !raw.len)
        *out = raw;
    else if (convert(tag, raw, text))
        *out = mf_text_end(text);
    else
        return refuse(reader, MF_ELIMIT, "a text has no room, or is written in an encoding that is not read");
    return 1;
}

int mf_jsonb_string(struct mf_jsonb *reader, struct mf_slice *out)
{
    return read_string(reader, out);
}

int mf_jsonb_text(struct mf_jsonb *reader, struct mf_text *text, struct mf_slice *out)
{
    int rc = read_string(reader, out);
    if (rc != MF_EJSONB_TYPE || !mf_jsonb_is_string(reader->body.ptr[reader->at]))
        return rc;
    return read_converted(reader, text, out);
}

static int skip_integer(struct mf_jsonb *reader)
{
    int64_t unused;
    return mf_jsonb_integer(reader, &unused);
}

static int skip_text(struct mf_jsonb *reader)
{
    struct mf_slice unused;
    if (!left(reader))
        return too_short(reader);
    if (!mf_jsonb_is_string(reader->body.ptr[reader->at]))
        return refuse(reader, MF_EJSONB_TYPE, "a string was expected");
    return read_text(reader, &unused);
}

/* A name that may be given a number, or be one given before: text and number, or number alone. */
static int skip_symbol(struct mf_jsonb *reader)
{
    if (left(reader) && mf_jsonb_is_string(reader->body.ptr[reader->at])) {
        int rc = skip_text(reader);
        if (rc)
            return rc;
    }
    return skip_integer(reader);
}

/* `fixed` bytes, then a number. */
static int skip_then_integer(struct mf_jsonb *reader, size_t fixed)
{
    int rc = pass(reader, fixed);
    return rc ? rc : skip_integer(reader);
}

static int skip_bytes(struct mf_jsonb *reader)
{
    uint32_t len;
    int rc = read_count(reader, &len);
    return rc ? rc : pass(reader, len);
}

/* The rest of a value that contains no other; the tag is passed already. */
static int skip_scalar(struct mf_jsonb *reader, uint8_t tag)
{
    int rc;
    switch (tag) {
    case MF_JSONB_NULL:
    case 0xb0: /* false, true, 0.0, 1.0 */
    case 0xb1:
    case 0xb2:
    case 0xb3:
        return 0;
    case 0xa9: /* date */
    case 0xac: /* time in seconds, in minutes */
    case 0xad:
    case 0xb7: /* float */
        return pass(reader, 4);
    case 0xab: /* time in milliseconds */
    case 0xb5: /* double */
        return pass(reader, 8);
    case 0xb4: /* double, float, decimal and big integer that are whole; a character */
    case 0xb6:
    case 0xb8:
    case 0xba:
    case TAG_CHAR:
        return skip_integer(reader);
    case 0xa7: /* time, date and time; nanoseconds */
        return skip_then_integer(reader, 3);
    case 0xa8:
        return skip_then_integer(reader, 7);
    case 0xaa: /* with the name of a zone */
        rc = skip_then_integer(reader, 7);
        return rc ? rc : skip_text(reader);
    case 0xae: /* seconds, nanoseconds */
        rc = skip_integer(reader);
        return rc ? rc : skip_integer(reader);
    case 0xb9: /* decimal: its scale, then a whole number or a big integer */
        rc = skip_integer(reader);
        if (rc || !left(reader) || reader->body.ptr[reader->at] != 0xbb)
            return rc ? rc : skip_integer(reader);
        reader->at++;
        return skip_bytes(reader);
    case 0xbb: /* big integer */
    case TAG_BINARY:
        return skip_bytes(reader);
    case TAG_REFERENCE:
        return skip_text(reader);
    case TAG_SYMBOL:
        return skip_symbol(reader);
    }
    return refuse(reader, MF_EJSONB_TAG, tag == MF_JSONB_OBJECT_END ? "an end where a value is due" : "no value starts so");
}

/* What a container on the stack still waits for: a number of items, or one of these. */
enum { AT_KEY = 0xffffffff, AT_VALUE = 0xfffffffe };

/* Passes over the head of one value; `*inside` is what it contains, 0 for nothing. */
static int skip_head(struct mf_jsonb *reader, uint32_t *inside)
{
    *inside = 0;
    if (!left(reader))
        return too_short(reader);
    uint8_t tag = reader->body.ptr[reader->at];
    if (mf_jsonb_is_string(tag))
        return skip_text(reader);
    if (integer_size(tag) != 0xff)
        return skip_integer(reader);
    reader->at++;
    if (tag == MF_JSONB_OBJECT) {
        *inside = AT_KEY;
        return 0;
    }
    if (tag == TAG_ARRAY)
        return read_count(reader, inside);
    if (tag >= TAG_ARRAY_FIX && tag < TAG_ARRAY) {
        *inside = tag - TAG_ARRAY_FIX;
        return 0;
    }
    if (tag == TAG_TYPED) {
        *inside = 1; /* a container too, so that a run of types counts as depth */
        return skip_symbol(reader);
    }
    return skip_scalar(reader, tag);
}

int mf_jsonb_skip(struct mf_jsonb *reader)
{
    uint32_t stack[MF_JSONB_DEPTH], depth = 0, inside;
    for (;;) {
        int rc = skip_head(reader, &inside);
        if (rc)
            return rc;
        if (inside) {
            if (depth == reader->max_depth)
                return refuse(reader, MF_EJSONB_DEPTH, "values are nested too deep");
            stack[depth++] = inside;
        }
        for (;;) {
            if (!depth)
                return 0;
            uint32_t *wants = &stack[depth - 1];
            if (*wants == AT_VALUE) {
                *wants = AT_KEY;
                break;
            }
            if (*wants == AT_KEY) {
                if (!left(reader))
                    return too_short(reader);
                if (reader->body.ptr[reader->at] != MF_JSONB_OBJECT_END) {
                    *wants = AT_VALUE;
                    break;
                }
                reader->at++;
                depth--;
            } else if (*wants) {
                --*wants;
                break;
            } else {
                depth--;
            }
        }
    }
}

/* Enters an array of one value: 1; 0 for anything else. */
static int enter_array(struct mf_jsonb *reader)
{
    uint32_t n = 1;
    int rc = 0;
    if (reader->body.ptr[reader->at] == TAG_TYPED) {
        reader->at++;
        rc = skip_symbol(reader);
    }
    if (rc || !left(reader))
        return rc;
    uint8_t tag = reader->body.ptr[reader->at];
    if (tag != TAG_ARRAY && tag != TAG_ARRAY_FIX + 1)
        return 0;
    reader->at++;
    if (tag == TAG_ARRAY)
        rc = read_count(reader, &n);
    return rc ? rc : n == 1;
}

int mf_jsonb_only_text(struct mf_jsonb *reader, struct mf_text *text, struct mf_slice *out)
{
    size_t start = reader->at;
    int rc = left(reader) ? enter_array(reader) : 0;
    if (rc == 1)
        rc = mf_jsonb_text(reader, text, out);
    if (rc == 1 || rc == MF_ELIMIT)
        return rc;
    reader->at = start; /* whatever it is, it is passed over as one value */
    *out = (struct mf_slice){0};
    return refuse(reader, MF_EJSONB_TYPE, "an array of one string was expected");
}

int mf_jsonb_map_begin(struct mf_jsonb *reader)
{
    if (!left(reader))
        return too_short(reader);
    uint8_t tag = reader->body.ptr[reader->at];
    if (tag == MF_JSONB_NULL) {
        reader->at++;
        return 0;
    }
    if (tag == TAG_TYPED) {
        reader->at++;
        int rc = skip_symbol(reader);
        if (rc)
            return rc;
        if (!left(reader))
            return too_short(reader);
        tag = reader->body.ptr[reader->at];
    }
    if (tag != MF_JSONB_OBJECT)
        return refuse(reader, MF_EJSONB_TYPE, "an object was expected");
    reader->at++;
    return 1;
}

int mf_jsonb_map_next(struct mf_jsonb *reader)
{
    if (!left(reader))
        return too_short(reader);
    if (reader->body.ptr[reader->at] != MF_JSONB_OBJECT_END)
        return 1;
    reader->at++;
    return 0;
}

static size_t put_integer(uint8_t *to, uint32_t value)
{
    if (value < 0x30) {
        to[0] = (uint8_t)value;
        return 1;
    }
    if (value < 0x800) {
        mf_put16(to, (uint16_t)(0x3800 + value));
        return 2;
    }
    if (value < 0x40000) {
        to[0] = (uint8_t)(0x44 + (value >> 16));
        mf_put16(to + 1, (uint16_t)value);
        return 3;
    }
    to[0] = TAG_INT;
    mf_put32(to + 1, value);
    return 5;
}

size_t mf_jsonb_put_string(uint8_t *to, struct mf_slice text)
{
    size_t n = 1;
    bool ascii = is_ascii(text);
    if (ascii && text.len < TAG_ASCII - TAG_ASCII_FIX) {
        to[0] = (uint8_t)(TAG_ASCII_FIX + text.len);
    } else {
        to[0] = ascii ? TAG_ASCII : TAG_UTF8;
        n += put_integer(to + 1, (uint32_t)text.len);
    }
    if (text.len)
        memcpy(to + n, text.ptr, text.len);
    return n + text.len;
}
