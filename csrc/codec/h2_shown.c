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

/* --- names that repeat */

/* What has been seen: those of the list by number, others by a hash, which may say yes too often. */
struct seen {
    uint64_t known[(MF_H2_NAME_COUNT + 63) / 64], other[4];
};

static uint32_t hash(struct mf_slice name)
{
    const uint8_t *p = name.ptr;
    size_t n = name.len;
    if (n == 0)
        return 0;
    uint32_t key = p[0] | (uint32_t)p[n / 2] << 8 | (uint32_t)p[n > 1 ? n - 2 : 0] << 16 | (uint32_t)p[n - 1] << 24;
    return (key ^ (uint32_t)n * 0x85ebca6bu) * 0x9e3779b1u >> 24;
}

static bool seen_before(struct seen *seen, struct mf_slice name, uint8_t number)
{
    uint32_t bit = number ? number : hash(name);
    uint64_t *word = (number ? seen->known : seen->other) + bit / 64, before = *word;
    *word |= UINT64_C(1) << bit % 64;
    return before == *word;
}

/* The values of all that have the name of `i`, from it on along `next`; false: it is the only one. Places are counted from
 * 1. */
static bool join(const struct mf_pair *own, const uint16_t *next, uint32_t i, bool *done, struct mf_h2_scratch *scratch,
                 struct mf_slice *joined)
{
    struct mf_slice name = own[i - 1].key;
    struct mf_slice between = mf_slice_eq(name, MF_SLICE("cookie")) ? MF_SLICE("; ") : MF_SLICE(",");
    uint8_t *to = scratch->to + scratch->used;
    size_t room = scratch->room - scratch->used, len = 0;
    bool whole = true, any = false;
    for (uint32_t k = i; k; k = next[k]) {
        struct mf_slice value = own[k - 1].value;
        if (k != i && !mf_slice_eq(own[k - 1].key, name))
            continue;
        size_t more = value.len + (k != i ? between.len : 0);
        whole = whole && room - len >= more;
        if (k != i) {
            any = done[k] = true;
            if (whole)
                memcpy(to + len, between.ptr, between.len);
        }
        if (whole && value.len)
            memcpy(to + len + more - value.len, value.ptr, value.len);
        len += whole ? more : 0;
    }
    *joined = whole ? mf_slice_of(to, len) : mf_slice_of(NULL, 0);
    if (any && whole)
        scratch->used += len;
    return any;
}

/* Of these the last counts, for conditions too. */
static bool stands_for_dubbo(struct mf_slice name)
{
    return mf_slice_eq(name, MF_SLICE("version")) || mf_slice_eq(name, MF_SLICE("group"));
}

static uint32_t add_joined(const struct mf_pair *own, uint32_t n, struct mf_pair *to, struct mf_h2_scratch *scratch,
                           struct mf_h2_shown *out)
{
    uint16_t first[256] = {0}, next[MF_H2_SHOWN_JOINED + 1];
    bool done[MF_H2_SHOWN_JOINED + 1] = {0};
    struct mf_slice joined;
    if (n > MF_H2_SHOWN_JOINED) {
        out->lost += n - MF_H2_SHOWN_JOINED;
        n = MF_H2_SHOWN_JOINED;
    }
    for (uint32_t i = n; i > 0; i--) {
        uint32_t bucket = hash(own[i - 1].key);
        next[i] = first[bucket];
        first[bucket] = (uint16_t)i;
    }
    for (uint32_t i = 1; i <= n; i++) {
        if (done[i] || !next[i] || stands_for_dubbo(own[i - 1].key) || !join(own, next, i, done, scratch, &joined))
            continue;
        out->lost += !joined.ptr;
        add(out, &to[out->n_joined++], own[i - 1].key, joined);
    }
    return out->n_joined;
}

/* --- all of it */

void mf_h2_shown_of(const struct mf_pair *fields, const struct mf_h2_mark *marks, uint32_t n,
                    const struct mf_h2_request *request, const struct mf_h2_view *view, bool baggage, struct mf_pair *to,
                    struct mf_h2_scratch *scratch, struct mf_h2_shown *out)
{
    const struct mf_slice version = MF_SLICE("version"), group = MF_SLICE("group");
    struct seen seen = {{0}, {0}};
    bool repeats = false, own_version = false;
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
        repeats |= seen_before(&seen, name, marks[i].name);
        add(out, &to[at++], name, addressed(fields[i].value));
    }
    uint32_t n_own = at - own;
    if (view->version.len)
        add(out, &to[at++], version, view->version);
    else if (view->flavour != MF_H2_PLAIN && !own_version)
        add(out, &to[at++], version, MF_SLICE("1.0.0"));
    if (view->group.len)
        add(out, &to[at++], group, view->group);
    out->labels = to;
    out->n_labels = at;
    if (repeats)
        at += add_joined(to + own, n_own, to + at, scratch, out);
    out->headers = to + own;
    out->n_headers = at - own;
}
