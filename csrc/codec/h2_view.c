#include "codec/h2_view.h"

#include "codec/percent.h"

static const uint64_t ones = UINT64_MAX / 255;

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* --- the authority */

/* Not 0 where a byte of `word` is 'A' to 'Z', or above 0x7f, perhaps. */
static uint64_t maybe_upper(uint64_t word)
{
    uint64_t low = word & ~(ones * 0x80);
    return ((low + ones * (0x80 - 'A')) & ~(low + ones * (0x7f - 'Z')) & ones * 0x80) | (word & ones * 0x80);
}

static bool has_upper(struct mf_slice text)
{
    uint64_t word, found = 0;
    size_t i = 0;
    for (; i + 8 <= text.len; i += 8) {
        memcpy(&word, text.ptr + i, 8);
        found |= maybe_upper(word);
    }
    for (; i < text.len; i++)
        found |= lower(text.ptr[i]) ^ text.ptr[i];
    return found != 0;
}

static void set_authority(struct mf_slice text, struct mf_h2_scratch *scratch, struct mf_h2_view *out)
{
    out->authority = text;
    if (!has_upper(text))
        return;
    out->lost = scratch->room - scratch->used < text.len;
    if (out->lost)
        return;
    uint8_t *to = scratch->to + scratch->used;
    for (size_t i = 0; i < text.len; i++)
        to[i] = lower(text.ptr[i]);
    scratch->used += text.len;
    out->authority.ptr = to;
}

static struct mf_slice without_port(struct mf_slice authority)
{
    size_t i = authority.len;
    while (i > 0 && authority.ptr[i - 1] >= '0' && authority.ptr[i - 1] <= '9')
        i--;
    return i > 0 && authority.ptr[i - 1] == ':' ? mf_slice_of(authority.ptr, i - 1) : authority;
}

/* --- the path */

static void cut_query(struct mf_slice whole, struct mf_h2_view *out)
{
    const uint8_t *mark = whole.len ? memchr(whole.ptr, '?', whole.len) : NULL;
    out->path = whole;
    out->query = mf_slice_of(NULL, 0);
    if (!mark)
        return;
    out->path.len = (size_t)(mark - whole.ptr);
    out->query = mf_slice_of(mark + 1, whole.len - out->path.len - 1);
}

/* The last two segments, empty where there are none; true where more is before them. */
static bool split(struct mf_slice path, struct mf_slice *service, struct mf_slice *method)
{
    const uint8_t *end = path.ptr + path.len, *last = path.len ? memrchr(path.ptr, '/', path.len) : NULL;
    *service = MF_SLICE("");
    *method = MF_SLICE("");
    if (!last)
        return false;
    *method = mf_slice_of(last + 1, (size_t)(end - last - 1));
    const uint8_t *before = last > path.ptr ? memrchr(path.ptr, '/', (size_t)(last - path.ptr)) : NULL;
    if (!before)
        return false;
    *service = mf_slice_of(before + 1, (size_t)(last - before - 1));
    return before > path.ptr;
}

/* --- the fields */

/* `text` begins with `type`, in any case, and there it ends, or a format or parameters follow. */
static bool is_type(struct mf_slice text, struct mf_slice type)
{
    if (text.len < type.len)
        return false;
    if (memcmp(text.ptr, type.ptr, type.len) != 0) /* mostly it is as it should be written */
        for (size_t i = 0; i < type.len; i++)
            if (lower(text.ptr[i]) != type.ptr[i])
                return false;
    uint8_t next = text.len > type.len ? text.ptr[type.len] : ';';
    return next == '+' || next == ';' || next == ' ' || next == '\t';
}

#define GRPC_TYPES(X)                                                                                                  \
    X("application/grpc") X("application/grpc+proto") X("application/grpc+json")                                       \
    X("application/triple") X("application/triple+wrapper") X("application/triple+proto") X("application/triple+json")
enum { GRPC = 1, TRIPLE = 4 }; /* numbers of those without a format; they follow it */

struct mf_slice mf_h2_view_type(uint8_t grpc)
{
    static const struct mf_slice types[] = {
        {NULL, 0},
#define X(text) {(const uint8_t *)(text), sizeof(text) - 1},
        GRPC_TYPES(X)
#undef X
    };
    return grpc < sizeof types / sizeof *types ? types[grpc] : types[GRPC];
}

/* Of a content type that begins like `first`. */
static uint8_t number_of(struct mf_slice text, uint8_t first)
{
    size_t plain = mf_h2_view_type(first).len, end = plain;
    if (text.len == plain || text.ptr[plain] != '+')
        return first;
    while (end < text.len && text.ptr[end] != ';' && text.ptr[end] != ' ' && text.ptr[end] != '\t')
        end++;
    for (uint8_t i = first + 1; i < first + 4; i++) {
        struct mf_slice type = mf_h2_view_type(i);
        size_t at = 0;
        while (at < end && at < type.len && lower(text.ptr[at]) == type.ptr[at])
            at++;
        if (at == end && at == type.len)
            return i;
    }
    return first;
}

static void deadline(int64_t ns, int64_t *least, int32_t *at, uint32_t i, struct mf_h2_view *out)
{
    if (ns < 0) {
        out->bad_timeout = true;
        return;
    }
    out->n_timeouts += out->n_timeouts < UINT8_MAX;
    if (*at < 0 || ns < *least) {
        *least = ns;
        *at = (int32_t)i;
    }
}

static bool dubbo_speaks(struct mf_slice name, bool *tri)
{
    if (name.len > 4 && memcmp(name.ptr, "tri-", 4) == 0)
        *tri = true;
    return *tri || (name.len == 9 && memcmp(name.ptr, "interface", 9) == 0);
}

void mf_h2_view_of(const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t n,
                   const struct mf_h2_request *request, struct mf_h2_scratch *scratch, struct mf_h2_view *out)
{
    bool tri = false, dubbo = false;
    int64_t grpc_ns = INT64_MAX, tri_ns = INT64_MAX, ns;
    out->bad_timeout = out->mixed = out->lost = false; /* one by one, as clearing all takes longer */
    out->alias = MF_SLICE("");
    out->content_type = mf_slice_of(NULL, 0);
    out->version = MF_SLICE("");
    out->group = MF_SLICE("");
    out->http_method = request->method;
    out->scheme = request->scheme;
    out->timeout_ms = -1;
    out->timeout_at = out->tri_timeout_at = out->baggage_at = -1;
    out->n_timeouts = 0;
    for (uint32_t i = request->regular; i < n; i++) {
        struct mf_slice value = fields[i].value;
        switch (marks[i].name) {
        case MF_H2_NAME_OTHER:
            dubbo |= dubbo_speaks(fields[i].key, &tri);
            break;
        case MF_H2_NAME_CONTENT_TYPE:
            if (!out->content_type.ptr)
                out->content_type = value.ptr ? value : MF_SLICE("");
            else
                out->mixed = out->mixed || !mf_slice_eq(out->content_type, value);
            break;
        case MF_H2_NAME_GRPC_TIMEOUT:
            deadline(mf_h2_grpc_timeout_read(value), &grpc_ns, &out->timeout_at, i, out);
            break;
        case MF_H2_NAME_TRI_SERVICE_TIMEOUT:
            ns = mf_h2_grpc_ms_read(value);
            if (ns != 0)
                deadline(ns, &tri_ns, &out->tri_timeout_at, i, out);
            tri = true;
            break;
        case MF_H2_NAME_TRI_SERVICE_VERSION:
            out->version = value;
            tri = true;
            break;
        case MF_H2_NAME_TRI_SERVICE_GROUP:
            out->group = value;
            tri = true;
            break;
        case MF_H2_NAME_TRI_CONSUMER_APPNAME:
        case MF_H2_NAME_TRI_HEADER_CONVERT:
        case MF_H2_NAME_TRI_EXCEPTION_CODE:
            tri = true;
            break;
        case MF_H2_NAME_BAGGAGE:
            if (out->baggage_at < 0)
                out->baggage_at = (int32_t)i;
            break;
        default:
            break;
        }
    }
    ns = grpc_ns < tri_ns ? grpc_ns : tri_ns;
    if (out->timeout_at >= 0 || out->tri_timeout_at >= 0)
        out->timeout_ms = ns / 1000000 + (ns % 1000000 > 0);
    set_authority(request->authority.ptr ? request->authority : request->host, scratch, out);
    cut_query(request->path, out);
    bool context = split(out->path, &out->service, &out->method);
    bool triple = is_type(out->content_type, MF_SLICE("application/triple"));
    bool grpc = !triple && is_type(out->content_type, MF_SLICE("application/grpc"));
    out->grpc = (triple || grpc) && !out->mixed ? number_of(out->content_type, triple ? TRIPLE : GRPC) : 0;
    if (out->grpc || (tri && out->service.len && out->method.len)) {
        bool is_triple = triple || tri || dubbo || context;
        out->flavour = is_triple ? MF_H2_TRIPLE : MF_H2_GRPC;
        out->alias = without_port(out->authority);
    } else {
        out->flavour = MF_H2_PLAIN;
        out->service = without_port(out->authority);
        out->method = request->method;
    }
}

bool mf_h2_view_dubbo(const struct mf_h2_mark *marks, uint32_t n)
{
    while (n > 0 && marks[n - 1].name != MF_H2_NAME_TRI_CONSUMER_APPNAME)
        n--;
    return n > 0;
}

size_t mf_h2_view_deadline_put(struct mf_pair field, struct mf_h2_mark mark, bool dubbo, uint64_t left, uint8_t *to)
{
    bool grpc = mark.name == MF_H2_NAME_GRPC_TIMEOUT;
    if (!grpc && mark.name != MF_H2_NAME_TRI_SERVICE_TIMEOUT && !(dubbo && mf_slice_eq(field.key, MF_SLICE("_to"))))
        return 0;
    int64_t ns = grpc ? mf_h2_grpc_timeout_read(field.value) : mf_h2_grpc_ms_read(field.value);
    if (ns <= 0)
        return 0;
    left = left < (uint64_t)ns ? left : (uint64_t)ns;
    return grpc ? mf_h2_grpc_timeout_put(to, left) : mf_h2_grpc_ms_put(to, left);
}

/* --- what a path may not have */

/* Not 0 where a byte of `word` is `c`. */
static uint64_t has(uint64_t word, uint8_t c)
{
    word ^= ones * c;
    return (word - ones) & ~word & ones * 0x80;
}

/* True where it has a '%' or a '\\'. */
static bool has_escape(struct mf_slice path)
{
    uint64_t word, found = 0;
    size_t i = 0;
    if (path.len >= 8) {
        for (; i + 8 < path.len; i += 8) {
            memcpy(&word, path.ptr + i, 8);
            found |= has(word, '%') | has(word, '\\');
        }
        memcpy(&word, path.ptr + path.len - 8, 8);
        return (found | has(word, '%') | has(word, '\\')) != 0;
    }
    for (; i < path.len; i++)
        found |= path.ptr[i] == '%' || path.ptr[i] == '\\';
    return found != 0;
}

/* True where it has a segment that is empty, or begins with a dot; the last one may be empty. */
static bool has_dot(struct mf_slice path)
{
    const uint8_t *p = path.ptr, *end = p + path.len;
    while ((p = memchr(p, '/', (size_t)(end - p))) && ++p < end)
        if (*p == '/' || *p == '.')
            return true;
    return false;
}

/* Of one segment: 0 or MF_EH2_PATH_TRICK. */
static int check_segment(struct mf_slice segment)
{
    size_t dots = 0, len;
    bool name = false, parameters = false;
    for (size_t i = 0; i < segment.len; i += len) {
        uint8_t c = mf_percent_at(segment, i, &len);
        if (c == '/' || c == '\\' || c == 0)
            return MF_EH2_PATH_TRICK;
        parameters |= c == ';';
        if (!parameters) {
            dots += c == '.';
            name |= c != '.';
        }
    }
    return !name && (dots == 1 || dots == 2) ? MF_EH2_PATH_TRICK : 0;
}

static int check_path(const struct mf_h2_view *view)
{
    struct mf_slice rest = mf_slice_of(view->path.ptr + 1, view->path.len - 1);
    uint32_t segments = 0, empty = 0; /* the last one left out */
    for (;;) {
        const uint8_t *end = rest.len ? memchr(rest.ptr, '/', rest.len) : NULL;
        size_t len = end ? (size_t)(end - rest.ptr) : rest.len;
        int rc = check_segment(mf_slice_of(rest.ptr, len));
        if (rc < 0)
            return rc;
        if (!end)
            break;
        segments++;
        empty += len == 0;
        rest = mf_slice_of(end + 1, rest.len - len - 1);
    }
    if (view->flavour == MF_H2_PLAIN)
        return 0;
    if (view->method.len == 0 || (view->service.len == 0 && segments < 2))
        return MF_EH2_PATH_SERVICE;
    return empty ? MF_EH2_PATH_TRICK : 0;
}

int mf_h2_view_path_check(const struct mf_h2_view *view)
{
    struct mf_slice path = view->path;
    bool plain = view->flavour == MF_H2_PLAIN;
    if (view->mixed)
        return MF_EH2_TYPE;
    if (path.len == 0)
        return mf_slice_eq(view->http_method, MF_SLICE("CONNECT")) ? 0 : MF_EH2_PATH;
    if (path.ptr[0] != '/') {
        bool all = path.len == 1 && path.ptr[0] == '*' && mf_slice_eq(view->http_method, MF_SLICE("OPTIONS"));
        return !all ? MF_EH2_PATH : plain ? 0 : MF_EH2_PATH_SERVICE;
    }
    if ((plain || (view->service.len && view->method.len)) && !has_escape(path) && !has_dot(path))
        return 0; /* as nearly all */
    return check_path(view);
}

bool mf_h2_view_param(struct mf_slice query, struct mf_slice name, struct mf_slice *value)
{
    while (query.len) {
        const uint8_t *end = memchr(query.ptr, '&', query.len);
        size_t len = end ? (size_t)(end - query.ptr) : query.len;
        const uint8_t *is = memchr(query.ptr, '=', len);
        size_t key = is ? (size_t)(is - query.ptr) : len;
        if (len && mf_slice_eq(mf_slice_of(query.ptr, key), name)) {
            *value = is ? mf_slice_of(is + 1, len - key - 1) : MF_SLICE("");
            return true;
        }
        query = mf_slice_of(query.ptr + len, query.len - len);
        if (end)
            query = mf_slice_of(end + 1, query.len - 1);
    }
    return false;
}
