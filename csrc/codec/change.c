#include "codec/change.h"

#include "base/err.h"
#include "base/out.h"
#include "codec/replace.h"

#include <stdio.h>

static uint32_t take_out(struct mf_slice name, struct mf_pair *fields, struct mf_h2_mark *marks, uint32_t n)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (mf_slice_eq(fields[i].key, name))
            continue;
        fields[kept] = fields[i];
        marks[kept++] = marks[i];
    }
    return kept;
}

uint32_t mf_change_fields(const struct mf_change_list *list, struct mf_pair *fields, struct mf_h2_mark *marks, uint32_t n)
{
    for (uint32_t l = 0; l < list->n_levels; l++) {
        const struct mf_change_level *level = &list->levels[l];
        for (uint32_t i = 0; i < level->n_removes; i++)
            n = take_out(level->lower_removes[i], fields, marks, n);
        for (uint32_t i = 0; i < level->n_puts; i++) {
            const struct mf_change_put *put = &level->puts[i];
            if (!put->beside)
                n = take_out(put->lower, fields, marks, n);
            fields[n] = (struct mf_pair){put->lower, put->value};
            marks[n] = mf_h2_mark_of(fields[n]);
            n++;
        }
    }
    return n;
}

static struct mf_slice from(struct mf_slice text, size_t at)
{
    return at < text.len ? mf_slice_of(text.ptr + at, text.len - at) : mf_slice_of(NULL, 0);
}

static size_t query_at(struct mf_slice path)
{
    const uint8_t *mark = path.len ? memchr(path.ptr, '?', path.len) : NULL;
    return mark ? (size_t)(mark - path.ptr) : path.len;
}

long mf_change_path(const struct mf_change_rewrite *rewrite, struct mf_slice path, uint8_t *to, size_t room)
{
    struct mf_out out = {to, room, 0};
    struct mf_slice bare = mf_slice_of(path.ptr, query_at(path));
    if (rewrite->path == MF_CHANGE_PATH_NONE || path.len == 0 || path.ptr[0] != '/') /* `*` of OPTIONS */
        return 0;
    if (rewrite->path == MF_CHANGE_PATH_PARTS) {
        long len = mf_replace(rewrite->to, bare, to, room);
        if (len < 0)
            return len;
        out.len = (size_t)len;
    } else {
        mf_out_put(&out, rewrite->to);
        if (rewrite->path == MF_CHANGE_PATH_BEGIN)
            mf_out_put(&out, from(bare, rewrite->strip));
    }
    mf_out_put(&out, from(path, bare.len));
    return mf_out_end(&out);
}

/* --- attachments: a map, of whose equal names the last counts */

uint32_t mf_change_attachments(const struct mf_change_list *list, struct mf_pair *pairs)
{
    uint32_t n = 0;
    for (uint32_t l = 0; l < list->n_levels; l++) {
        const struct mf_change_level *level = &list->levels[l];
        for (uint32_t r = 0; r < level->n_removes; r++)
            for (uint32_t i = 0; i < n; i++)
                if (mf_slice_eq(pairs[i].key, level->removes[r]))
                    pairs[i--] = pairs[--n];
        for (uint32_t p = 0; p < level->n_puts; p++) {
            uint32_t i = 0;
            while (i < n && !mf_slice_eq(pairs[i].key, level->puts[p].name))
                i++;
            pairs[i] = (struct mf_pair){level->puts[p].name, level->puts[p].value};
            n += i == n;
        }
    }
    return n;
}

bool mf_change_drops(const struct mf_change_list *list, struct mf_slice name)
{
    bool drops = false;
    for (uint32_t l = 0; l < list->n_levels; l++) {
        const struct mf_change_level *level = &list->levels[l];
        for (uint32_t r = 0; r < level->n_removes; r++)
            drops |= mf_slice_eq(level->removes[r], name);
        for (uint32_t p = 0; p < level->n_puts; p++)
            drops &= !mf_slice_eq(level->puts[p].name, name);
    }
    return drops;
}

/* --- redirects */

/* Where the port of an authority begins, with its ':'; its length: it has none. */
static size_t port_at(struct mf_slice authority)
{
    size_t at = authority.len;
    while (at > 0 && authority.ptr[at - 1] != ':' && authority.ptr[at - 1] != ']')
        at--;
    return at > 0 && authority.ptr[at - 1] == ':' ? at - 1 : authority.len;
}

static bool is(struct mf_slice text, const char *other)
{
    return mf_slice_eq(text, mf_slice_str(other));
}

/* That of the scheme is not written. */
static bool usual(struct mf_slice scheme, struct mf_slice port)
{
    return (is(scheme, "http") && is(port, ":80")) || (is(scheme, "https") && is(port, ":443"));
}

long mf_change_location(const struct mf_change_redirect *redirect, struct mf_slice scheme, struct mf_slice authority,
                        struct mf_slice path, struct mf_slice query, uint8_t *to, size_t room)
{
    struct mf_out out = {to, room, 0};
    char text[12];
    struct mf_slice to_scheme = redirect->scheme.len ? redirect->scheme : scheme;
    struct mf_slice old = from(authority, port_at(authority)), host = mf_slice_of(authority.ptr, authority.len - old.len);
    struct mf_slice port = old, uri = redirect->uri.len ? redirect->uri : path;
    bool moved = !mf_slice_eq(to_scheme, scheme); /* its usual port is no other one's */
    if (redirect->authority.len) {
        host = redirect->authority;
        port = redirect->same_port ? old : mf_slice_of(NULL, 0);
    } else if (moved && usual(scheme, old)) {
        port = mf_slice_of(NULL, 0);
    }
    if (redirect->port) {
        host = mf_slice_of(host.ptr, port_at(host));
        snprintf(text, sizeof text, ":%u", (unsigned)redirect->port);
        port = mf_slice_str(text);
    }
    mf_out_put(&out, to_scheme);
    mf_out_put(&out, MF_SLICE("://"));
    mf_out_put(&out, host);
    if (!usual(to_scheme, port))
        mf_out_put(&out, port);
    mf_out_put(&out, uri);
    if (query.ptr && query_at(uri) == uri.len) { /* one of its own takes its place */
        mf_out_put(&out, MF_SLICE("?"));
        mf_out_put(&out, query);
    }
    return mf_out_end(&out);
}
