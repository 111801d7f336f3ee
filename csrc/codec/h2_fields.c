#include "codec/h2_fields.h"

/* What is forbidden by a mark, said in full. */
static int diagnose(struct mf_pair field, struct mf_h2_mark mark)
{
    if (mark.flags & MF_H2_MARK_BAD_NAME) {
        if (field.key.len == 0)
            return MF_EH2_NAME_EMPTY;
        for (size_t i = 0; i < field.key.len; i++)
            if (field.key.ptr[i] >= 'A' && field.key.ptr[i] <= 'Z')
                return MF_EH2_NAME_CASE;
        return MF_EH2_NAME;
    }
    for (size_t i = 0; i < field.value.len; i++)
        if ((field.value.ptr[i] < 0x20 && field.value.ptr[i] != '\t') || field.value.ptr[i] == 0x7f)
            return MF_EH2_VALUE;
    return MF_EH2_VALUE_SPACE;
}

static bool is(struct mf_slice text, const char *what)
{
    return mf_slice_eq(text, mf_slice_str(what));
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

static bool is_folded(struct mf_slice text, const char *what)
{
    size_t i = 0;
    while (i < text.len && what[i] && lower(text.ptr[i]) == (uint8_t)what[i])
        i++;
    return i == text.len && !what[i];
}

static bool good_method(struct mf_slice method)
{
    for (size_t i = 0; i < method.len; i++)
        if (!mf_h2_name_token(method.ptr[i]))
            return false;
    return method.len > 0;
}

static bool letter(uint8_t c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* RFC 3986 3.1. */
static bool good_scheme(struct mf_slice scheme)
{
    for (size_t i = 0; i < scheme.len; i++) {
        uint8_t c = scheme.ptr[i];
        if (!letter(c) && (i == 0 || (!digit(c) && c != '+' && c != '-' && c != '.')))
            return false;
    }
    return scheme.len > 0;
}

/* Not 0 where a byte of `word` is that of each byte of `those`. */
static uint64_t has(uint64_t word, uint64_t those)
{
    word ^= those;
    return (word - UINT64_MAX / 255) & ~word & UINT64_MAX / 255 * 0x80;
}

/* Space, tab and '#'; other controls are no part of any value. */
static bool has_gap(const uint8_t *p, size_t n)
{
    const uint64_t ones = UINT64_MAX / 255;
    uint64_t word, found = 0;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        found |= has(word, ones * ' ') | has(word, ones * '\t') | has(word, ones * '#');
    }
    for (; n; p++, n--)
        found |= *p == ' ' || *p == '\t' || *p == '#';
    return found != 0;
}

static bool good_path(struct mf_slice path, struct mf_slice method)
{
    if (path.len == 1 && path.ptr[0] == '*')
        return is(method, "OPTIONS");
    return path.len > 0 && path.ptr[0] == '/' && !has_gap(path.ptr, path.len);
}

/* Where the port begins, behind its colon; the length where there is none. */
static size_t port_at(struct mf_slice authority)
{
    size_t i = authority.len;
    while (i > 0 && digit(authority.ptr[i - 1]))
        i--;
    return i > 0 && authority.ptr[i - 1] == ':' ? i : authority.len;
}

/* A host, and a port or none. Not which hosts there are: only what would make two readers see two different ones. */
static bool good_authority(struct mf_slice authority)
{
    enum { BAD = 1, COLON = 2, BRACKET = 4 };
    static const uint8_t kinds[256] = {
        [0 ... ' '] = BAD, [0x7f] = BAD, ['/'] = BAD, ['?'] = BAD, ['#'] = BAD, ['@'] = BAD, ['\\'] = BAD, ['"'] = BAD,
        ['<'] = BAD, ['>'] = BAD, ['^'] = BAD, ['`'] = BAD, ['{'] = BAD, ['|'] = BAD, ['}'] = BAD, [':'] = COLON,
        ['['] = BRACKET, [']'] = BRACKET,
    };
    size_t end = port_at(authority);
    const uint8_t *p = authority.ptr;
    uint8_t found = 0;
    if (end && p[end - 1] == ':')
        end--;
    bool ipv6 = end > 2 && p[0] == '[' && p[end - 1] == ']';
    for (size_t i = ipv6; i < end - ipv6; i++)
        found |= kinds[p[i]];
    return end > 0 && !(found & (ipv6 ? BAD | BRACKET : BAD | BRACKET | COLON));
}

/* Without the scheme's own port. */
static struct mf_slice plain(struct mf_slice scheme, struct mf_slice authority)
{
    size_t at = port_at(authority);
    struct mf_slice port = mf_slice_of(authority.ptr + at, authority.len - at);
    if (authority.len && authority.ptr[authority.len - 1] == ':')
        return mf_slice_of(authority.ptr, authority.len - 1);
    if (port.len && ((is_folded(scheme, "http") && is(port, "80")) || (is_folded(scheme, "https") && is(port, "443"))))
        return mf_slice_of(authority.ptr, at - 1);
    return authority;
}

bool mf_h2_fields_same_authority(struct mf_slice scheme, struct mf_slice a, struct mf_slice b)
{
    a = plain(scheme, a);
    b = plain(scheme, b);
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}

static int content_length(struct mf_slice value, int64_t *out)
{
    int64_t sum = 0;
    if (*out >= 0 || value.len == 0)
        return MF_EH2_CONTENT_LENGTH;
    for (size_t i = 0; i < value.len; i++) {
        if (!digit(value.ptr[i]) || sum > (INT64_MAX - 9) / 10)
            return MF_EH2_CONTENT_LENGTH;
        sum = sum * 10 + (value.ptr[i] - '0');
    }
    *out = sum;
    return 0;
}

/* For one connection of HTTP/1: gone in HTTP/2 (8.2.2). */
static bool of_connection(uint8_t name)
{
    static const bool hop[MF_H2_NAME_COUNT] = {
#define X(number, text, coded, index, one, changes, secret) [number] = one,
        MF_H2_NAME_LIST(X)
#undef X
    };
    return hop[name];
}

static bool is_pseudo(struct mf_pair field)
{
    return field.key.ptr[0] == ':';
}

static int once(struct mf_slice *slot, struct mf_slice value)
{
    if (slot->ptr)
        return MF_EH2_PSEUDO_TWICE;
    *slot = value.ptr ? value : MF_SLICE("");
    return 0;
}

static int pseudo_of_request(struct mf_pair field, struct mf_h2_mark mark, struct mf_h2_request *out)
{
    switch (mark.name) {
    case MF_H2_NAME_PSEUDO_METHOD: return once(&out->method, field.value);
    case MF_H2_NAME_PSEUDO_SCHEME: return once(&out->scheme, field.value);
    case MF_H2_NAME_PSEUDO_PATH: return once(&out->path, field.value);
    case MF_H2_NAME_PSEUDO_AUTHORITY: return once(&out->authority, field.value);
    default: return MF_EH2_PSEUDO;
    }
}

static int regular_of_request(struct mf_pair field, struct mf_h2_mark mark, struct mf_h2_request *out)
{
    switch (mark.name) {
    case MF_H2_NAME_OTHER:
        return 0;
    case MF_H2_NAME_TE:
        out->trailers = is_folded(field.value, "trailers");
        return out->trailers ? 0 : MF_EH2_TE;
    case MF_H2_NAME_HOST:
        if (out->host.ptr)
            return MF_EH2_HOST;
        out->host = field.value.ptr ? field.value : MF_SLICE("");
        return good_authority(out->host) ? 0 : MF_EH2_AUTHORITY;
    case MF_H2_NAME_CONTENT_LENGTH:
        return content_length(field.value, &out->content_length);
    default:
        return of_connection(mark.name) ? MF_EH2_CONNECTION : 0;
    }
}

/* What the pseudo-header fields must be together; `at` then names none. */
static int whole_request(struct mf_h2_request *out)
{
    if (!out->method.ptr)
        return MF_EH2_PSEUDO_MISSING;
    if (!good_method(out->method))
        return MF_EH2_METHOD;
    if (out->authority.ptr && !good_authority(out->authority))
        return MF_EH2_AUTHORITY;
    out->connect = is(out->method, "CONNECT");
    if (out->connect) {
        if (out->scheme.ptr || out->path.ptr)
            return MF_EH2_PSEUDO; /* 8.5 */
        return out->authority.ptr ? 0 : MF_EH2_PSEUDO_MISSING;
    }
    if (!out->scheme.ptr || !out->path.ptr)
        return MF_EH2_PSEUDO_MISSING;
    if (!good_scheme(out->scheme))
        return MF_EH2_SCHEME;
    if (!good_path(out->path, out->method))
        return MF_EH2_PATH;
    if (out->host.ptr && out->authority.ptr
        && !mf_h2_fields_same_authority(out->scheme, out->authority, out->host))
        return MF_EH2_HOST; /* 8.3.1 */
    return 0;
}

int mf_h2_fields_request(const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t n,
                         struct mf_h2_request *out)
{
    *out = (struct mf_h2_request){.content_length = MF_H2_NO_LENGTH};
    int rc = 0;
    for (uint32_t i = 0; i < n && rc == 0; i++) {
        out->at = i;
        if (marks[i].flags & (MF_H2_MARK_BAD_NAME | MF_H2_MARK_BAD_VALUE))
            rc = diagnose(fields[i], marks[i]);
        else if (!is_pseudo(fields[i]))
            rc = regular_of_request(fields[i], marks[i], out);
        else if (i > out->regular)
            rc = MF_EH2_PSEUDO_LATE;
        else if ((rc = pseudo_of_request(fields[i], marks[i], out)) == 0)
            out->regular = i + 1;
    }
    if (rc < 0)
        return rc;
    out->at = n;
    return whole_request(out);
}

int mf_h2_fields_response(const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t n,
                          struct mf_h2_response *out)
{
    *out = (struct mf_h2_response){.content_length = MF_H2_NO_LENGTH};
    for (uint32_t i = 0; i < n; i++) {
        struct mf_slice value = fields[i].value;
        out->at = i;
        if (marks[i].flags & (MF_H2_MARK_BAD_NAME | MF_H2_MARK_BAD_VALUE))
            return diagnose(fields[i], marks[i]);
        if (is_pseudo(fields[i])) {
            if (i > out->regular)
                return MF_EH2_PSEUDO_LATE;
            if (marks[i].name != MF_H2_NAME_PSEUDO_STATUS)
                return MF_EH2_PSEUDO;
            if (out->status)
                return MF_EH2_PSEUDO_TWICE;
            if (value.len != 3 || !digit(value.ptr[0]) || !digit(value.ptr[1]) || !digit(value.ptr[2]))
                return MF_EH2_STATUS;
            out->status = (uint16_t)((value.ptr[0] - '0') * 100 + (value.ptr[1] - '0') * 10 + value.ptr[2] - '0');
            if (out->status < 100 || out->status == 101)
                return MF_EH2_STATUS;
            out->regular = i + 1;
        } else if (marks[i].name == MF_H2_NAME_CONTENT_LENGTH) {
            int rc = content_length(value, &out->content_length);
            if (rc < 0)
                return rc;
        } else if (of_connection(marks[i].name)) {
            return MF_EH2_CONNECTION;
        }
    }
    out->at = n;
    return out->status ? 0 : MF_EH2_PSEUDO_MISSING;
}

int mf_h2_fields_trailers(const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t n, uint32_t *at)
{
    for (*at = 0; *at < n; ++*at) {
        struct mf_h2_mark mark = marks[*at];
        if (mark.flags & (MF_H2_MARK_BAD_NAME | MF_H2_MARK_BAD_VALUE))
            return diagnose(fields[*at], mark);
        if (is_pseudo(fields[*at]))
            return MF_EH2_PSEUDO;
        if (of_connection(mark.name))
            return MF_EH2_CONNECTION;
    }
    return 0;
}

int64_t mf_h2_fields_expect(const struct mf_h2_response *response, struct mf_slice method)
{
    unsigned status = response->status;
    if (status < 200 || status == 204 || status == 304 || is(method, "HEAD") || (is(method, "CONNECT") && status < 300))
        return MF_H2_NO_LENGTH;
    return response->content_length;
}

int mf_h2_fields_content(int64_t length, uint64_t got, bool ended)
{
    if (length < 0 || (ended ? got == (uint64_t)length : got <= (uint64_t)length))
        return 0;
    return MF_EH2_CONTENT;
}
