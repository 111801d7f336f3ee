#include "codec/h2_shown.h"

#include "codec/percent.h"

static struct mf_slice addressed(struct mf_slice text)
{
    return text.ptr ? text : MF_SLICE("");
}

static void add(struct mf_h2_shown *out, struct mf_pair *to, struct mf_slice name, struct mf_slice value)
{
    *to = (struct mf_pair){name, value};
    out->name_lengths |= UINT64_C(1) << name.len % 64;
}

/* --- baggage */

static struct mf_slice trim(struct mf_slice text)
{
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = mf_slice_of(text.ptr + 1, text.len - 1);
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* What is before the first `c`, trimmed; `rest` is what is behind it, or nothing. */
static struct mf_slice cut(struct mf_slice text, uint8_t c, struct mf_slice *rest)
{
    const uint8_t *at = text.len ? memchr(text.ptr, c, text.len) : NULL;
    *rest = MF_SLICE("");
    if (!at)
        return trim(text);
    *rest = mf_slice_of(at + 1, text.len - (size_t)(at - text.ptr) - 1);
    return trim(mf_slice_of(text.ptr, (size_t)(at - text.ptr)));
}

/* The text without %XX; false: no room. What is no escape stays. */
static bool decoded(struct mf_slice *text, struct mf_h2_scratch *scratch)
{
    if (!text->len || !memchr(text->ptr, '%', text->len))
        return true;
    if (scratch->room - scratch->used < text->len)
        return false;
    uint8_t *to = scratch->to + scratch->used;
    size_t n = 0, len;
    for (size_t i = 0; i < text->len; i += len)
        to[n++] = mf_percent_at(*text, i, &len);
    scratch->used += n;
    *text = mf_slice_of(to, n);
    return true;
}

static bool is_token(struct mf_slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!mf_h2_name_token(text.ptr[i]))
            return false;
    return text.len > 0;
}

static uint32_t add_members(struct mf_slice text, uint32_t n, struct mf_pair *to, struct mf_h2_scratch *scratch,
                            struct mf_h2_shown *out)
{
    while (text.len) {
        struct mf_slice value, properties, member = cut(text, ',', &text);
        bool has_value = member.len && memchr(member.ptr, '=', member.len);
        struct mf_slice key = cut(member, '=', &value);
        if (!has_value || !is_token(key))
            continue;
        value = cut(value, ';', &properties);
        if (n == MF_H2_SHOWN_BAGGAGE || !decoded(&value, scratch)) {
            out->lost++;
            continue;
        }
        if (mf_h2_value_good(value))
            add(out, &to[n++], key, addressed(value));
    }
    return n;
}

static uint32_t add_baggage(const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t from, uint32_t n,
                            struct mf_pair *to, struct mf_h2_scratch *scratch, struct mf_h2_shown *out)
{
    uint32_t added = 0;
    size_t len = 0;
    for (uint32_t i = from; i < n; i++) {
        if (marks[i].name != MF_H2_NAME_BAGGAGE)
            continue;
        len += fields[i].value.len;
        if (len <= MF_H2_SHOWN_BAGGAGE_TEXT)
            added = add_members(fields[i].value, added, to, scratch, out);
        else
            out->lost++;
    }
    return added;
}

/* --- all of it */

void mf_h2_shown_of(const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t n,
                    const struct mf_h2_request *request, const struct mf_h2_view *view, bool baggage, struct mf_pair *to,
                    struct mf_h2_scratch *scratch, struct mf_h2_shown *out)
{
    const struct mf_slice version = MF_SLICE("version"), group = MF_SLICE("group");
    bool own_version = false;
    uint32_t at = 0, own;
    *out = (struct mf_h2_shown){0};
    if (baggage && view->baggage_at >= 0)
        at = add_baggage(fields, marks, request->regular, n, to, scratch, out);
    own = at;
    bool hide_version = view->flavour == MF_H2_TRIPLE || view->version.len;
    bool hide_group = view->flavour == MF_H2_TRIPLE || view->group.len;
    for (uint32_t i = request->regular; i < n; i++) {
        struct mf_slice name = fields[i].key;
        if (name.len == version.len && memcmp(name.ptr, version.ptr, version.len) == 0) {
            if (hide_version)
                continue;
            own_version = true;
        } else if (hide_group && name.len == group.len && memcmp(name.ptr, group.ptr, group.len) == 0) {
            continue;
        }
        add(out, &to[at++], name, addressed(fields[i].value));
    }
    if (view->version.len)
        add(out, &to[at++], version, view->version);
    else if (view->flavour != MF_H2_PLAIN && !own_version)
        add(out, &to[at++], version, MF_SLICE("1.0.0"));
    if (view->group.len)
        add(out, &to[at++], group, view->group);
    out->labels = to;
    out->n_labels = at;
    out->headers = to + own;
    out->n_headers = at - own;
}
