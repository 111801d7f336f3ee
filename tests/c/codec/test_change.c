/* change: fields, paths and places as a rule changes them. */
#include "codec/change.h"

#include "base/err.h"
#include "test.h"

enum { ROOM = 128 };

static struct mf_pair fields[ROOM];
static struct mf_h2_mark marks[ROOM];
static uint32_t n;

static struct mf_pair pair(const char *key, const char *value)
{
    return (struct mf_pair){mf_slice_str(key), mf_slice_str(value)};
}

static void begin(void)
{
    static const char *const all[][2] = {{":method", "POST"}, {":path", "/a"}, {"x", "1"}, {"y", "2"}, {"x", "3"}};
    for (n = 0; n < sizeof all / sizeof *all; n++) {
        fields[n] = pair(all[n][0], all[n][1]);
        marks[n] = mf_h2_mark_of(fields[n]);
    }
}

static struct mf_change_put put(const char *name, const char *value, bool beside)
{
    return (struct mf_change_put){mf_slice_str(name), mf_slice_str(name), mf_slice_str(value), beside};
}

/* "key=value " of each from the first that is no pseudo-header on. */
static const char *shown(void)
{
    static char text[1024];
    size_t len = 0;
    for (uint32_t i = 2; i < n; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%.*s=%.*s ", (int)fields[i].key.len,
                                (const char *)fields[i].key.ptr, (int)fields[i].value.len,
                                (const char *)fields[i].value.ptr);
    return text;
}

static const char *changed(const struct mf_change_level *levels, uint32_t n_levels)
{
    struct mf_change_list list = {.n_levels = n_levels};
    memcpy(list.levels, levels, n_levels * sizeof *levels);
    begin();
    n = mf_change_fields(&list, fields, marks, n);
    for (uint32_t i = 0; i < n; i++)
        CHECK_INT(marks[i].name, mf_h2_name_of(fields[i].key));
    return shown();
}

static void test_fields(void)
{
    struct mf_slice x = MF_SLICE("x"), y = MF_SLICE("y");
    struct mf_change_put set = put("x", "s", false), add = put("x", "a", true), other = put("z", "", false);
    struct mf_change_level none = {0}, take = {.n_removes = 1, .removes = &x, .lower_removes = &x};
    struct mf_change_level sets = {.n_puts = 1, .puts = &set}, adds = {.n_puts = 1, .puts = &add};
    CHECK_STR(mf_slice_str(changed(&none, 1)), "x=1 y=2 x=3 ");
    CHECK_STR(mf_slice_str(changed(&take, 1)), "y=2 ");
    CHECK_STR(mf_slice_str(changed(&sets, 1)), "y=2 x=s ");
    CHECK_STR(mf_slice_str(changed(&adds, 1)), "x=1 y=2 x=3 x=a ");
    struct mf_change_level both = {.n_removes = 1, .removes = &x, .lower_removes = &x, .n_puts = 1, .puts = &set};
    CHECK_STR(mf_slice_str(changed(&both, 1)), "y=2 x=s "); /* removed and set: it is set */
    struct mf_change_level levels[] = {sets, adds};
    CHECK_STR(mf_slice_str(changed(levels, 2)), "y=2 x=s x=a ");
    struct mf_change_level turned[] = {adds, sets};
    CHECK_STR(mf_slice_str(changed(turned, 2)), "y=2 x=s ");
    struct mf_change_level last[] = {sets, take};
    CHECK_STR(mf_slice_str(changed(last, 2)), "y=2 ");
    struct mf_change_level empty[] = {{.n_removes = 1, .removes = &y, .lower_removes = &y, .n_puts = 1, .puts = &other}};
    CHECK_STR(mf_slice_str(changed(empty, 1)), "x=1 x=3 z= ");
}

static void test_attachments(void)
{
    struct mf_pair out[MF_CHANGE_FIELDS];
    struct mf_slice x = MF_SLICE("x");
    struct mf_change_put first[] = {put("x", "1", false), put("y", "2", true)}, second = put("y", "3", true);
    struct mf_change_list list = {.n_levels = 2,
                                  .levels = {{.n_puts = 2, .puts = first},
                                             {.n_removes = 1, .removes = &x, .lower_removes = &x, .n_puts = 1, .puts = &second}}};
    CHECK_INT(mf_change_attachments(&list, out), 1);
    CHECK_STR(out[0].key, "y");
    CHECK_STR(out[0].value, "3");
    CHECK(mf_change_drops(&list, x));
    CHECK(!mf_change_drops(&list, MF_SLICE("y")));
    CHECK(!mf_change_drops(&list, MF_SLICE("z")));
    struct mf_change_level kept = list.levels[0];
    list.levels[0] = list.levels[1];
    list.levels[1] = kept;
    CHECK(!mf_change_drops(&list, x));
    CHECK_INT(mf_change_attachments(&list, out), 2);
}

static void path(struct mf_change_rewrite rewrite, const char *from, const char *want)
{
    uint8_t *last, *to = fenced(64, &last);
    size_t len = strlen(want);
    to = last - len;
    long got = mf_change_path(&rewrite, mf_slice_str(from), to, len);
    CHECK_INT(got, len);
    if (got > 0)
        CHECK_STR(mf_slice_of(to, len), want);
    if (len > 1)
        CHECK_INT(mf_change_path(&rewrite, mf_slice_str(from), to, len - 1), MF_ELIMIT);
}

static struct mf_change_rewrite begins(const char *old, const char *to)
{
    return (struct mf_change_rewrite){.path = MF_CHANGE_PATH_BEGIN, .strip = (uint32_t)strlen(old), .to = mf_slice_str(to)};
}

static void test_paths(void)
{
    path(begins("/old", "/new"), "/old/x?y=1", "/new/x?y=1");
    path(begins("/old", "/new"), "/oldies", "/newies");
    path(begins("/old", "/"), "/old/x", "//x");
    path(begins("/", "/all"), "/any", "/allany");
    path(begins("/old", "/new"), "/old", "/new");
    struct mf_change_rewrite whole = {.path = MF_CHANGE_PATH_WHOLE, .to = MF_SLICE("/f")};
    path(whole, "/e?q=1", "/f?q=1");
    path(whole, "/e", "/f");
    path(whole, "/e?", "/f?");
    path(whole, "*", "");
    path((struct mf_change_rewrite){0}, "/e", "");
}

static void location(struct mf_change_redirect redirect, const char *authority, const char *want)
{
    uint8_t to[256];
    long len = mf_change_location(&redirect, MF_SLICE("http"), mf_slice_str(authority), MF_SLICE("/p/a"), MF_SLICE("q=1"), to,
                                  sizeof to);
    CHECK_STR(mf_slice_of(to, len > 0 ? (size_t)len : 0), want);
    CHECK_INT(mf_change_location(&redirect, MF_SLICE("http"), mf_slice_str(authority), MF_SLICE("/p/a"), MF_SLICE("q=1"), to,
                                 strlen(want) - 1),
              MF_ELIMIT);
}

static void test_locations(void)
{
    location((struct mf_change_redirect){.uri = MF_SLICE("/to")}, "h:1234", "http://h:1234/to?q=1");
    location((struct mf_change_redirect){.authority = MF_SLICE("o.ex")}, "h:1234", "http://o.ex/p/a?q=1");
    location((struct mf_change_redirect){.scheme = MF_SLICE("https")}, "h:1234", "https://h:1234/p/a?q=1");
    location((struct mf_change_redirect){.port = 8443}, "h:1234", "http://h:8443/p/a?q=1");
    location((struct mf_change_redirect){.port = 80}, "h:1234", "http://h/p/a?q=1");
    location((struct mf_change_redirect){.scheme = MF_SLICE("https"), .port = 443}, "h:1", "https://h/p/a?q=1");
    location((struct mf_change_redirect){.scheme = MF_SLICE("https")}, "h:80", "https://h/p/a?q=1");
    location((struct mf_change_redirect){.scheme = MF_SLICE("https")}, "h", "https://h/p/a?q=1");
    location((struct mf_change_redirect){.uri = MF_SLICE("/to?own")}, "h", "http://h/to?own");
    location((struct mf_change_redirect){.authority = MF_SLICE("o.ex"), .same_port = true}, "h:1234", "http://o.ex:1234/p/a?q=1");
    location((struct mf_change_redirect){.port = 81}, "[::1]:80", "http://[::1]:81/p/a?q=1");
    location((struct mf_change_redirect){.port = 81}, "[::1]", "http://[::1]:81/p/a?q=1");
    location((struct mf_change_redirect){.authority = MF_SLICE("o.ex:7"), .port = 81}, "h", "http://o.ex:81/p/a?q=1");
    uint8_t to[64];
    struct mf_change_redirect uri = {.uri = MF_SLICE("/t")};
    long len = mf_change_location(&uri, MF_SLICE("http"), MF_SLICE("h"), MF_SLICE("/p"), mf_slice_of(NULL, 0), to, sizeof to);
    CHECK_STR(mf_slice_of(to, (size_t)len), "http://h/t");
}

int main(void)
{
    test_fields();
    test_attachments();
    test_paths();
    test_locations();
    return test_end("codec/change");
}
