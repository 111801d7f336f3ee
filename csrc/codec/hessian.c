#include "codec/hessian_in.h"

/* How one tag is passed over. Below K_FIRST it is the number of bytes that follow the tag. */
enum {
    K_FIRST = 16,
    K_BAD = K_FIRST, /* starts no value; 'Z' too */
    K_STRING_SHORT,
    K_STRING_MEDIUM,
    K_STRING,
    K_STRING_CHUNK,
    K_BINARY_SHORT,
    K_BINARY_MEDIUM,
    K_BINARY,
    K_BINARY_CHUNK,
    K_CLASS,
    K_OBJECT,
    K_OBJECT_DIRECT,
    K_REF,
    K_MAP,
    K_MAP_TYPED,
    K_LIST_TYPED,
    K_LIST_TYPED_FIXED,
    K_LIST,
    K_LIST_FIXED,
    K_LIST_TYPED_DIRECT,
    K_LIST_DIRECT,
};

static const uint8_t kinds[256] = {
    [0x00 ... 0x1f] = K_STRING_SHORT,
    [0x20 ... 0x2f] = K_BINARY_SHORT,
    [0x30 ... 0x33] = K_STRING_MEDIUM,
    [0x34 ... 0x37] = K_BINARY_MEDIUM,
    [0x38 ... 0x3f] = 2, /* long */
    [0x40] = K_BAD,
    ['A'] = K_BINARY_CHUNK,
    ['B'] = K_BINARY,
    ['C'] = K_CLASS,
    ['D'] = 8,
    ['E'] = K_BAD,
    ['F'] = 0,
    ['G'] = K_BAD,
    ['H'] = K_MAP,
    ['I'] = 4,
    [0x4a] = 8, /* date */
    [0x4b] = 4, /* date in minutes */
    ['L'] = 8,
    ['M'] = K_MAP_TYPED,
    ['N'] = 0,
    ['O'] = K_OBJECT,
    ['P'] = K_BAD,
    ['Q'] = K_REF,
    ['R'] = K_STRING_CHUNK,
    ['S'] = K_STRING,
    ['T'] = 0,
    [0x55] = K_LIST_TYPED,
    ['V'] = K_LIST_TYPED_FIXED,
    [0x57] = K_LIST,
    [0x58] = K_LIST_FIXED,
    [0x59] = 4, /* long as int */
    ['Z'] = K_BAD,
    [0x5b ... 0x5c] = 0, /* doubles 0 and 1 */
    [0x5d] = 1,
    [0x5e] = 2,
    [0x5f] = 4,
    [0x60 ... 0x6f] = K_OBJECT_DIRECT,
    [0x70 ... 0x77] = K_LIST_TYPED_DIRECT,
    [0x78 ... 0x7f] = K_LIST_DIRECT,
    [0x80 ... 0xbf] = 0, /* int */
    [0xc0 ... 0xcf] = 1,
    [0xd0 ... 0xd7] = 2,
    [0xd8 ... 0xef] = 0, /* long */
    [0xf0 ... 0xff] = 1,
};

void mf_hessian_init(struct mf_hessian *reader, struct mf_slice body, uint32_t max_depth, uint32_t max_classes)
{
    reader->body = body;
    reader->at = 0;
    reader->why = "";
    reader->wide = false;
    reader->max_depth = max_depth < MF_HESSIAN_DEPTH ? max_depth : MF_HESSIAN_DEPTH;
    reader->max_classes = max_classes < MF_HESSIAN_CLASSES ? max_classes : MF_HESSIAN_CLASSES;
    reader->_n_classes = 0;
}

/* --- strings: lengths count UTF-16 units, so their end is found only by looking at every byte */

#define HIGH_BITS UINT64_C(0x8080808080808080)
/* Two characters of three bytes each, as most of Chinese, Japanese and Korean text is. */
#define WIDE_MASK UINT64_C(0x0000c0c0f0c0c0f0)
#define WIDE_PAIR UINT64_C(0x00008080e08080e0)

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    v = __builtin_bswap64(v);
#endif
    return v; /* the first byte lowest */
}

/* Passes `units` UTF-16 units that start at `*at`, and moves it. Java reads by the first byte of each sequence; the
 * bytes behind it are checked here too, so that both always agree on where a string ends. 1: there was more than ASCII. */
static int pass_units(const uint8_t **at, const uint8_t *end, uint32_t units)
{
    const uint8_t *p = *at;
    int wide = 0;
    while (units) {
        while (units >= 32 && end - p >= 32 &&
               !((load64(p) | load64(p + 8) | load64(p + 16) | load64(p + 24)) & HIGH_BITS)) {
            p += 32;
            units -= 32;
        }
        if (!units)
            break;
        if (end - p >= 8) {
            uint32_t most = units < 8 ? units : 8;
            uint64_t high = load64(p) & HIGH_BITS;
            uint32_t ascii = high ? (uint32_t)__builtin_ctzll(high) / 8 : 8;
            if (ascii >= most) {
                p += most;
                units -= most;
                continue;
            }
            p += ascii;
            units -= ascii;
        } else if (p == end) {
            return MF_EHESSIAN_SHORT;
        }
        uint8_t lead = *p;
        size_t more = (size_t)(end - p) - 1;
        if (lead < 0x80) {
            p++;
            units--;
            continue;
        }
        wide = 1;
        if (lead >= 0xe0 && lead < 0xf0) {
            if (more < 2)
                return MF_EHESSIAN_SHORT;
            if ((p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80)
                return MF_EHESSIAN_UTF8;
            p += 3;
            units--;
            while (units >= 2 && end - p >= 8 && (load64(p) & WIDE_MASK) == WIDE_PAIR) {
                p += 6;
                units -= 2;
            }
        } else if (lead >= 0xc0 && lead < 0xe0) {
            if (more < 1)
                return MF_EHESSIAN_SHORT;
            if ((p[1] & 0xc0) != 0x80)
                return MF_EHESSIAN_UTF8;
            p += 2;
            units--;
        } else if (lead >= 0xf0 && lead < 0xf8 && units >= 2) {
            /* Java refuses these; other languages write them for a pair of units. */
            if (more < 3)
                return MF_EHESSIAN_SHORT;
            if ((p[1] & 0xc0) != 0x80 || (p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80)
                return MF_EHESSIAN_UTF8;
            p += 4;
            units -= 2;
        } else {
            return MF_EHESSIAN_UTF8;
        }
    }
    *at = p;
    return wide;
}

/* Passes `units` units after `header` bytes; `out` is where they lay. */
static inline __attribute__((always_inline)) int pass_text(struct mf_hessian *reader, size_t header, uint32_t units,
                                                            struct mf_slice *out)
{
    if (mf_hessian_left(reader) < header + units) /* a unit is one byte at least */
        return mf_hessian_short(reader);
    const uint8_t *start = reader->body.ptr + reader->at + header, *p = start;
    int rc = pass_units(&p, reader->body.ptr + reader->body.len, units);
    if (rc == MF_EHESSIAN_SHORT)
        return mf_hessian_short(reader);
    if (rc < 0)
        return mf_hessian_refuse(reader, rc, "a string is not UTF-8");
    reader->wide = rc;
    *out = mf_slice_of(start, (size_t)(p - start));
    reader->at = (size_t)(p - reader->body.ptr);
    return 0;
}

/* True when the first `n` bytes are ASCII; reads whole words, so up to 7 bytes behind them must be readable. */
static inline bool all_ascii(const uint8_t *p, uint32_t n)
{
    uint64_t seen = 0;
    for (; n >= 8; n -= 8, p += 8)
        seen |= load64(p);
    if (n)
        seen |= load64(p) << (64 - 8 * n);
    return !(seen & HIGH_BITS);
}

/* Nearly every string of a request: short, ASCII, and not at the body's very end. */
static inline bool short_ascii(struct mf_hessian *reader, struct mf_slice *out)
{
    const uint8_t *p = reader->body.ptr + reader->at;
    if (mf_hessian_left(reader) < 1 + 0x20 + 7 || *p >= 0x20 || !all_ascii(p + 1, *p))
        return false;
    *out = mf_slice_of(p + 1, *p);
    reader->at += 1u + *p;
    return true;
}

static inline int read_piece(struct mf_hessian *reader, struct mf_slice *out)
{
    size_t room = mf_hessian_left(reader);
    const uint8_t *p = reader->body.ptr + reader->at;
    *out = (struct mf_slice){0};
    if (!room)
        return mf_hessian_short(reader);
    uint8_t tag = *p;
    size_t header;
    uint32_t units;
    if (tag < 0x20) {
        header = 1;
        units = tag;
    } else if (tag >= 0x30 && tag < 0x34) {
        if (room < 2)
            return mf_hessian_short(reader);
        header = 2;
        units = (uint32_t)(tag - 0x30) << 8 | p[1];
    } else if (tag == 'S' || tag == 'R') {
        if (room < 3)
            return mf_hessian_short(reader);
        header = 3;
        units = mf_get16(p + 1);
    } else if (tag == 'N') {
        reader->at++;
        return 0;
    } else {
        return mf_hessian_refuse(reader, MF_EHESSIAN_TYPE, "a string was expected");
    }
    int rc = pass_text(reader, header, units, out);
    return rc ? rc : tag == 'R' ? 2 : 1;
}

int mf_hessian_piece(struct mf_hessian *reader, struct mf_slice *out)
{
    return read_piece(reader, out);
}

int mf_hessian_string(struct mf_hessian *reader, struct mf_slice *out)
{
    if (short_ascii(reader, out))
        return 1;
    size_t start = reader->at;
    int rc = mf_hessian_piece(reader, out);
    if (rc != 2)
        return rc;
    reader->at = start;
    *out = (struct mf_slice){0};
    return mf_hessian_refuse(reader, MF_EHESSIAN_TYPE, "a string in one piece was expected");
}

int mf_hessian_text(struct mf_hessian *reader, struct mf_text *text, struct mf_slice *out)
{
    if (short_ascii(reader, out))
        return 1;
    int rc = read_piece(reader, out);
    return rc <= 0 || (rc == 1 && !reader->wide) ? rc : mf_hessian_convert(reader, rc, text, out);
}

/* A string of any form, chunks too, where only a string may be. */
static int skip_string(struct mf_hessian *reader)
{
    struct mf_slice piece;
    int rc = short_ascii(reader, &piece) ? 1 : mf_hessian_piece(reader, &piece);
    while (rc == 2)
        rc = mf_hessian_next_piece(reader, &piece);
    return rc < 0 ? rc : 0;
}

/* --- numbers */

int mf_hessian_integer(struct mf_hessian *reader, int64_t *out)
{
    size_t room = mf_hessian_left(reader);
    if (!room)
        return mf_hessian_short(reader);
    const uint8_t *p = reader->body.ptr + reader->at;
    uint8_t tag = *p;
    bool number = (tag >= 0x38 && tag < 0x40) || tag == 'I' || tag == 'L' || tag == 0x59 || tag >= 0x80;
    if (!number)
        return mf_hessian_refuse(reader, MF_EHESSIAN_TYPE, "a whole number was expected");
    size_t size = 1u + kinds[tag];
    if (room < size)
        return mf_hessian_short(reader);
    if (tag == 'L')
        *out = (int64_t)mf_get64(p + 1);
    else if (tag == 'I' || tag == 0x59)
        *out = (int32_t)mf_get32(p + 1);
    else if (tag < 0x40)
        *out = (tag - 0x3c) * 65536 + mf_get16(p + 1);
    else if (tag < 0xc0)
        *out = tag - 0x90;
    else if (tag < 0xd0)
        *out = (tag - 0xc8) * 256 + p[1];
    else if (tag < 0xd8)
        *out = (tag - 0xd4) * 65536 + mf_get16(p + 1);
    else if (tag < 0xf0)
        *out = tag - 0xe0;
    else
        *out = (tag - 0xf8) * 256 + p[1];
    reader->at += size;
    return 0;
}

int mf_hessian_count(struct mf_hessian *reader, uint32_t *out)
{
    int64_t count;
    int rc = mf_hessian_integer(reader, &count);
    if (rc)
        return rc;
    if (count < 0 || (uint64_t)count > mf_hessian_left(reader))
        return mf_hessian_refuse(reader, MF_EHESSIAN_SHORT, "a count is negative or larger than what is left of the body");
    *out = (uint32_t)count;
    return 0;
}

/* --- values */

int mf_hessian_skip_type(struct mf_hessian *reader)
{
    int64_t ref;
    int rc = mf_hessian_integer(reader, &ref);
    return rc == MF_EHESSIAN_TYPE ? skip_string(reader) : rc;
}

static int skip_class(struct mf_hessian *reader)
{
    uint32_t n;
    int rc = skip_string(reader);
    if (!rc)
        rc = mf_hessian_count(reader, &n);
    if (rc)
        return rc;
    if (reader->_n_classes >= reader->max_classes)
        return mf_hessian_refuse(reader, MF_EHESSIAN_SIZE, "too many class definitions");
    for (uint32_t i = 0; i < n; i++) {
        rc = skip_string(reader);
        if (rc)
            return rc;
    }
    reader->_fields[reader->_n_classes++] = n;
    return 0;
}

static int skip_bytes(struct mf_hessian *reader, size_t header, size_t len)
{
    if (mf_hessian_left(reader) < header + len)
        return mf_hessian_short(reader);
    reader->at += header + len;
    return 0;
}

/* Binary pieces up to the last; `at` is on the first. */
static int skip_binary(struct mf_hessian *reader)
{
    for (;;) {
        if (!mf_hessian_left(reader))
            return mf_hessian_short(reader);
        const uint8_t *p = reader->body.ptr + reader->at;
        uint8_t kind = kinds[*p];
        size_t header = kind == K_BINARY_SHORT ? 1 : kind == K_BINARY_MEDIUM ? 2 : 3;
        if (kind < K_BINARY_SHORT || kind > K_BINARY_CHUNK)
            return mf_hessian_refuse(reader, MF_EHESSIAN_TAG, "a chunk of bytes is not followed by another");
        if (mf_hessian_left(reader) < header)
            return mf_hessian_short(reader);
        size_t len = kind == K_BINARY_SHORT    ? *p - 0x20u
                     : kind == K_BINARY_MEDIUM ? (*p - 0x34u) << 8 | p[1]
                                               : mf_get16(p + 1);
        int rc = skip_bytes(reader, header, len);
        if (rc || kind != K_BINARY_CHUNK)
            return rc;
    }
}

/* What a container on the stack still waits for: a number of values, or one of these. */
enum { UNTIL_END = 0xffffffff, AT_KEY = 0xfffffffe, AT_VALUE = 0xfffffffd };

/* Passes over the head of one value. `*inside` is what it contains, 0 for nothing. MF_EMORE: that was a class
 * definition, the value comes after it. */
static int skip_head(struct mf_hessian *reader, uint32_t *inside)
{
    *inside = 0;
    if (!mf_hessian_left(reader))
        return mf_hessian_short(reader);
    uint8_t tag = reader->body.ptr[reader->at], kind = kinds[tag];
    int64_t class = 0;
    int rc = 0;
    if (kind < K_FIRST)
        return skip_bytes(reader, 1, kind);
    switch (kind) {
    case K_STRING_SHORT:
    case K_STRING_MEDIUM:
    case K_STRING:
    case K_STRING_CHUNK:
        return skip_string(reader);
    case K_BINARY_SHORT:
    case K_BINARY_MEDIUM:
    case K_BINARY:
    case K_BINARY_CHUNK:
        return skip_binary(reader);
    case K_BAD:
        return mf_hessian_refuse(reader, MF_EHESSIAN_TAG, tag == 'Z' ? "an end where a value is due" : "no value starts so");
    }
    reader->at++;
    switch (kind) {
    case K_CLASS:
        rc = skip_class(reader);
        return rc ? rc : MF_EMORE;
    case K_REF:
        return mf_hessian_integer(reader, &class);
    case K_OBJECT:
        rc = mf_hessian_integer(reader, &class);
        break;
    case K_OBJECT_DIRECT:
        class = tag - 0x60;
        break;
    case K_MAP_TYPED:
        rc = mf_hessian_skip_type(reader);
        *inside = AT_KEY;
        return rc;
    case K_MAP:
        *inside = AT_KEY;
        return 0;
    case K_LIST_TYPED:
        rc = mf_hessian_skip_type(reader);
        *inside = UNTIL_END;
        return rc;
    case K_LIST:
        *inside = UNTIL_END;
        return 0;
    case K_LIST_TYPED_FIXED:
        rc = mf_hessian_skip_type(reader);
        return rc ? rc : mf_hessian_count(reader, inside);
    case K_LIST_FIXED:
        return mf_hessian_count(reader, inside);
    case K_LIST_TYPED_DIRECT:
        *inside = tag - 0x70;
        return mf_hessian_skip_type(reader);
    case K_LIST_DIRECT:
        *inside = tag - 0x78;
        return 0;
    }
    if (rc)
        return rc;
    if (class < 0 || class >= reader->_n_classes)
        return mf_hessian_refuse(reader, MF_EHESSIAN_CLASS, "an object of a class that was not defined");
    *inside = reader->_fields[class];
    return 0;
}

static int skip_any(struct mf_hessian *reader)
{
    uint32_t stack[MF_HESSIAN_DEPTH], depth = 0, inside;
    for (;;) {
        int rc = skip_head(reader, &inside);
        if (rc == MF_EMORE)
            continue;
        if (rc)
            return rc;
        if (inside) {
            if (depth == reader->max_depth)
                return mf_hessian_refuse(reader, MF_EHESSIAN_DEPTH, "values are nested too deep");
            stack[depth++] = inside;
        }
        /* Leave every container that is full; stop at the first that wants another value. */
        for (;;) {
            if (!depth)
                return 0;
            uint32_t *wants = &stack[depth - 1];
            if (*wants == AT_VALUE) {
                *wants = AT_KEY;
                break;
            }
            if (*wants >= AT_KEY) {
                if (!mf_hessian_left(reader))
                    return mf_hessian_short(reader);
                if (reader->body.ptr[reader->at] != 'Z') {
                    if (*wants == AT_KEY)
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

int mf_hessian_skip(struct mf_hessian *reader)
{
    size_t room = mf_hessian_left(reader);
    if (room) { /* most arguments are a string or a number, which need no stack */
        const uint8_t *p = reader->body.ptr + reader->at;
        uint8_t kind = kinds[*p];
        if (kind == K_STRING_MEDIUM && room >= 2) {
            uint32_t units = (uint32_t)(p[0] - 0x30) << 8 | p[1];
            p += 2;
            if (pass_units(&p, reader->body.ptr + reader->body.len, units) >= 0) {
                reader->at = (size_t)(p - reader->body.ptr);
                return 0;
            } /* else what is wrong is said below */
        }
        if (kind < K_FIRST)
            return skip_bytes(reader, 1, kind);
        if (kind >= K_STRING_SHORT && kind <= K_STRING_CHUNK)
            return skip_string(reader);
    }
    return skip_any(reader);
}

int mf_hessian_map_begin(struct mf_hessian *reader)
{
    if (!mf_hessian_left(reader))
        return mf_hessian_short(reader);
    uint8_t tag = reader->body.ptr[reader->at];
    if (tag != 'H' && tag != 'M' && tag != 'N')
        return mf_hessian_refuse(reader, MF_EHESSIAN_TYPE, "a map was expected");
    reader->at++;
    if (tag == 'N')
        return 0;
    int rc = tag == 'M' ? mf_hessian_skip_type(reader) : 0;
    return rc ? rc : 1;
}

int mf_hessian_map_next(struct mf_hessian *reader)
{
    if (!mf_hessian_left(reader))
        return mf_hessian_short(reader);
    if (reader->body.ptr[reader->at] != 'Z')
        return 1;
    reader->at++;
    return 0;
}
