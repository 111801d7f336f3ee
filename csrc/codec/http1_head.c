#include "codec/http1_head.h"

#include "codec/h2_name.h"

int mf_http1_head_end(struct mf_slice in, size_t *seen)
{
    while (*seen < in.len) {
        const uint8_t *found = memchr(in.ptr + *seen, '\n', in.len - *seen);
        if (!found) {
            *seen = in.len;
            break;
        }
        size_t at = (size_t)(found - in.ptr);
        *seen = at + 1;
        if (at == 0 || in.ptr[at - 1] != '\r')
            return MF_EHTTP1_END;
        if (at >= 2 && in.ptr[at - 2] == '\n')
            return 0;
    }
    return MF_EMORE;
}

static uint8_t lower(uint8_t c)
{
    return (uint8_t)(c - 'A') < 26 ? c | 0x20 : c;
}

/* `text` is in lower case. */
static bool begins_folded(struct mf_slice in, struct mf_slice text)
{
    size_t i = 0;
    while (i < text.len && i < in.len && lower(in.ptr[i]) == text.ptr[i])
        i++;
    return i == text.len;
}

/* Takes what is before the first `c` off the front, and `c`. False: there is none. */
static bool take(struct mf_slice *in, uint8_t c, struct mf_slice *out)
{
    const uint8_t *at = in->len ? memchr(in->ptr, c, in->len) : NULL;
    if (!at)
        return false;
    *out = mf_slice_of(in->ptr, (size_t)(at - in->ptr));
    *in = mf_slice_of(at + 1, in->len - out->len - 1);
    return true;
}

/* The same for a whole line: a head has nothing but those. */
static struct mf_slice take_line(struct mf_slice *in)
{
    struct mf_slice line = {0};
    if (take(in, '\n', &line) && line.len)
        line.len--;
    return line;
}

/* --- hosts */

static bool digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10;
}

static bool host_byte(uint8_t c)
{
    return (uint8_t)(lower(c) - 'a') < 26 || digit(c) || (c && strchr("-._~!$&'()*+,;=%", c));
}

/* A host, and a port or none; `*host` is it without the port. Not which hosts there are: only what would make two readers
 * see two different ones is refused. */
static bool read_authority(struct mf_slice in, struct mf_slice *host)
{
    size_t end = 0;
    if (in.len > MF_HTTP1_HOST || in.len == 0)
        return false;
    if (in.ptr[0] == '[') {
        end = 1;
        while (end < in.len && (host_byte(in.ptr[end]) || in.ptr[end] == ':'))
            end++;
        if (end < 3 || end == in.len || in.ptr[end++] != ']')
            return false;
    } else {
        while (end < in.len && host_byte(in.ptr[end]))
            end++;
        if (end == 0)
            return false;
    }
    *host = mf_slice_of(in.ptr, end);
    if (end < in.len && in.ptr[end++] != ':')
        return false;
    while (end < in.len)
        if (!digit(in.ptr[end++]))
            return false;
    return true;
}

/* --- the line */

static bool plain_target(struct mf_slice target)
{
    for (size_t i = 0; i < target.len; i++)
        if (target.ptr[i] <= ' ' || target.ptr[i] >= 0x7f || target.ptr[i] == '#')
            return false;
    return target.len > 0;
}

static void split_path(struct mf_slice target, struct mf_http1_head *out)
{
    out->path = target;
    if (take(&target, '?', &out->path))
        out->query = target;
}

/* http://host:port/path?query */
static bool read_url(struct mf_slice target, struct mf_http1_head *out)
{
    size_t scheme = begins_folded(target, MF_SLICE("https://")) ? 5 : begins_folded(target, MF_SLICE("http://")) ? 4 : 0;
    if (!scheme)
        return false;
    out->scheme = mf_slice_of(target.ptr, scheme);
    target = mf_slice_of(target.ptr + scheme + 3, target.len - scheme - 3);
    size_t n = 0;
    while (n < target.len && target.ptr[n] != '/' && target.ptr[n] != '?')
        n++;
    out->authority = mf_slice_of(target.ptr, n);
    split_path(mf_slice_of(target.ptr + n, target.len - n), out);
    if (!out->path.len)
        out->path = MF_SLICE("/");
    return read_authority(out->authority, &out->host);
}

static bool read_target(struct mf_slice target, struct mf_http1_head *out)
{
    if (!plain_target(target))
        return false;
    if (out->connect) {
        out->authority = target;
        return read_authority(target, &out->host);
    }
    if (target.ptr[0] == '/')
        split_path(target, out);
    else if (mf_slice_eq(target, MF_SLICE("*")) && mf_slice_eq(out->method, MF_SLICE("OPTIONS")))
        out->path = target;
    else
        return read_url(target, out);
    return true;
}

static bool token(struct mf_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!mf_h2_name_token(text.ptr[i]))
            return false;
    return text.len > 0;
}

static int read_line(struct mf_slice line, struct mf_http1_head *out)
{
    struct mf_slice target;
    if (!take(&line, ' ', &out->method) || !token(out->method) || !take(&line, ' ', &target))
        return MF_EHTTP1_LINE;
    if (line.len != 8 || memcmp(line.ptr, "HTTP/1.", 7) != 0 || !digit(line.ptr[7]))
        return MF_EHTTP1_LINE;
    out->minor = line.ptr[7] - '0';
    out->connect = mf_slice_eq(out->method, MF_SLICE("CONNECT"));
    return read_target(target, out) ? 0 : MF_EHTTP1_TARGET;
}

/* --- fields */

static bool space(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static struct mf_pair pair_of(struct mf_slice line)
{
    struct mf_pair field = {0};
    if (!take(&line, ':', &field.key))
        return field;
    while (line.len && space(line.ptr[0]))
        line = mf_slice_of(line.ptr + 1, line.len - 1);
    while (line.len && space(line.ptr[line.len - 1]))
        line.len--;
    field.value = line;
    return field;
}

static bool plain_value(struct mf_slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((value.ptr[i] < ' ' && value.ptr[i] != '\t') || value.ptr[i] == 0x7f)
            return false;
    return true;
}

static int read_fields(struct mf_http1_head *out)
{
    struct mf_slice rest = out->fields, host = {0}, unused;
    int n_hosts = 0;
    while (rest.len) {
        struct mf_pair field = pair_of(take_line(&rest));
        if (!token(field.key)) /* a folded line has none: it begins with a space */
            return MF_EHTTP1_FIELD;
        if (!plain_value(field.value))
            return MF_EHTTP1_VALUE;
        out->n_fields++;
        if (field.key.len != 4 || !begins_folded(field.key, MF_SLICE("host")))
            continue;
        host = field.value;
        n_hosts++;
        if (host.len && !read_authority(host, &unused))
            return MF_EHTTP1_HOST;
    }
    if (n_hosts > 1 || (n_hosts == 0 && out->minor >= 1))
        return MF_EHTTP1_HOST;
    if (!out->authority.len && host.len) {
        out->authority = host;
        read_authority(host, &out->host);
    }
    return 0;
}

int mf_http1_head_read(struct mf_slice head, struct mf_http1_head *out)
{
    *out = (struct mf_http1_head){0};
    int rc = read_line(take_line(&head), out);
    if (rc < 0)
        return rc;
    out->fields = mf_slice_of(head.ptr, head.len > 2 ? head.len - 2 : 0); /* without the empty line */
    return read_fields(out);
}

void mf_http1_head_fields(const struct mf_http1_head *head, struct mf_pair *to)
{
    struct mf_slice rest = head->fields;
    for (uint32_t i = 0; i < head->n_fields; i++)
        to[i] = pair_of(take_line(&rest));
}

struct mf_slice mf_http1_head_service(const struct mf_http1_head *head, uint8_t room[MF_HTTP1_HOST])
{
    for (size_t i = 0; i < head->host.len; i++)
        room[i] = lower(head->host.ptr[i]);
    return mf_slice_of(room, head->host.len);
}

bool mf_http1_head_call(const struct mf_http1_head *head, struct mf_slice *service, struct mf_slice *method)
{
    struct mf_slice path = head->path;
    size_t end = path.len, begin;
    while (end > 0 && path.ptr[end - 1] != '/')
        end--;
    if (end < 2)
        return false;
    *method = mf_slice_of(path.ptr + end, path.len - end);
    for (begin = --end; begin > 0 && path.ptr[begin - 1] != '/'; begin--)
        ;
    *service = mf_slice_of(path.ptr + begin, end - begin);
    return service->len > 0 && method->len > 0;
}
