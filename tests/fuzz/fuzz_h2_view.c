/* fuzz_h2_view: a list of fields, each a byte for its name and one for its value's length, behind a byte for the scratch's
 * room. Slices lie inside the fields or the scratch, windows inside their room, and each is what a slow reading by the
 * rules' words says. */
#include "codec/h2_grpc.h"
#include "codec/h2_shown.h"

#include <stdlib.h>

enum { FIELDS = 128 };

static struct mf_pair fields[FIELDS], pairs[MF_H2_SHOWN_ROOM(FIELDS)];
static struct mf_h2_mark marks[FIELDS];
static const uint8_t *bytes;
static size_t len;
static uint8_t room[256];

static bool within(struct mf_slice slice, const uint8_t *from, size_t n)
{
    return slice.ptr >= from && slice.ptr + slice.len <= from + n;
}

static void inside(struct mf_slice slice)
{
    if (slice.len && !within(slice, bytes, len) && !within(slice, room, sizeof room))
        abort();
}

static uint32_t read_fields(void)
{
    static const char *const names[] = {
        ":method", ":path", ":authority", ":scheme", "content-type", "grpc-timeout", "tri-service-timeout", "tri-service-version",
        "tri-service-group", "baggage", "cookie", "version", "group", "interface", "tri-x", "x", "xx", "xyx",
    };
    uint32_t n = 0;
    size_t at = 1;
    for (; n < FIELDS && at + 2 <= len; n++) {
        size_t left = len - at - 2, n_value = bytes[at + 1] & 63;
        n_value = n_value < left ? n_value : left;
        fields[n].key = mf_slice_str(names[bytes[at] % (sizeof names / sizeof *names)]);
        fields[n].value = mf_slice_of(bytes + at + 2, n_value);
        marks[n] = mf_h2_mark_judge(fields[n], (struct mf_h2_mark){0, 0});
        at += 2 + n_value;
    }
    return n;
}

/* Nothing that a decoder of escapes and a walker of segments would read otherwise. */
static void check_path(const struct mf_h2_view *view)
{
    if (mf_h2_view_path_check(view) < 0 || view->path.len == 0 || view->path.ptr[0] != '/')
        return;
    for (size_t i = 0; i < view->path.len; i++) {
        const uint8_t *p = view->path.ptr + i;
        size_t left = view->path.len - i;
        bool end = left == 2 || (left > 2 && (p[2] == '/' || p[2] == ';'));
        if (p[0] == '\\' || (left > 1 && p[0] == '/' && p[1] == '.' && end))
            abort();
        end = left == 3 || (left > 3 && (p[3] == '/' || p[3] == ';'));
        if (left > 2 && p[0] == '/' && p[1] == '.' && p[2] == '.' && end)
            abort();
        if (left > 2 && p[0] == '%' && ((p[1] == '2' && (p[2] | 0x20) == 'f') || (p[1] == '5' && (p[2] | 0x20) == 'c')))
            abort();
        if (view->flavour != MF_H2_PLAIN && left > 1 && p[0] == '/' && p[1] == '/')
            abort();
    }
    if (view->flavour != MF_H2_PLAIN && (!view->service.len || !view->method.len))
        abort();
}

static const struct mf_slice *last(const struct mf_pair *window, uint32_t n, struct mf_slice name)
{
    for (uint32_t i = n; i-- > 0;)
        if (mf_slice_eq(window[i].key, name))
            return &window[i].value;
    return NULL;
}

/* All fields of a name are there for conditions, in their order, and the last of them is what a label says. */
static void check_values(const struct mf_h2_shown *shown, uint32_t from, uint32_t n)
{
    for (uint32_t i = from; i < n; i++) {
        struct mf_slice name = fields[i].key;
        if (mf_slice_eq(name, MF_SLICE("version")) || mf_slice_eq(name, MF_SLICE("group")))
            continue;
        uint32_t at = 0;
        struct mf_slice newest = {NULL, 0};
        for (uint32_t k = from; k < n; k++) {
            if (!mf_slice_eq(fields[k].key, name))
                continue;
            newest = fields[k].value;
            while (at < shown->n_headers && !mf_slice_eq(shown->headers[at].key, name))
                at++;
            if (at == shown->n_headers || !mf_slice_eq(shown->headers[at++].value, newest))
                abort();
        }
        const struct mf_slice *label = last(shown->labels, shown->n_labels, name);
        if (!label || !mf_slice_eq(*label, newest))
            abort();
    }
}

static void check_texts(void)
{
    uint8_t to[256];
    struct mf_slice text = mf_slice_of(bytes, len < 200 ? len : 200);
    int64_t ns = mf_h2_grpc_timeout_read(text);
    if (ns > 0) {
        size_t n = mf_h2_grpc_timeout_put(to, (uint64_t)ns);
        int64_t again = mf_h2_grpc_timeout_read(mf_slice_of(to, n));
        if (n > MF_H2_TIMEOUT_ROOM || again <= 0 || again > ns)
            abort();
    }
    struct mf_slice message = mf_slice_of(to, mf_h2_grpc_message_put(to, bytes[0], text));
    if (message.len > bytes[0] || !mf_h2_value_good(message))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bytes = data;
    len = size;
    if (len == 0)
        return 0;
    uint32_t n = read_fields();
    struct mf_h2_request request;
    struct mf_h2_view view;
    struct mf_h2_shown shown;
    struct mf_h2_scratch scratch = {room, bytes[0], 0};
    check_texts();
    if (mf_h2_fields_request(fields, marks, n, &request) < 0)
        return 0;
    mf_h2_view_of(fields, marks, n, &request, &scratch, &view);
    inside(view.service);
    inside(view.method);
    inside(view.alias);
    inside(view.authority);
    inside(view.path);
    inside(view.query);
    if (scratch.used > scratch.room)
        abort();
    check_path(&view);
    mf_h2_shown_of(fields, marks, n, &request, &view, bytes[0] & 1, pairs, &scratch, &shown);
    uint32_t baggage = (uint32_t)(shown.headers - shown.labels);
    if (scratch.used > scratch.room || baggage + shown.n_headers > MF_H2_SHOWN_ROOM(n - request.regular)
        || baggage > MF_H2_SHOWN_BAGGAGE)
        abort();
    for (uint32_t i = 0; i < baggage + shown.n_headers; i++)
        if (!(shown.name_lengths >> shown.labels[i].key.len % 64 & 1))
            abort();
    for (uint32_t i = 0; i < baggage; i++)
        inside(shown.labels[i].value);
    check_values(&shown, request.regular, n);
    return 0;
}
