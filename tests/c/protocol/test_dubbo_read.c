/* dubbo_read: requests are remembered by what they say, save those that must be seen each time. */
#include "protocol/dubbo_read.h"

#include "base/err.h"
#include "call/bare.h"
#include "codec/hessian.h"
#include "protocol/dubbo_up.h"

static struct {
    struct bare bare;
    struct mf_dubbo_share *share;
    struct mf_recent recent;
    struct mf_dubbo_request own;
    const struct mf_dubbo_request *said;
    uint8_t body[8192];
    size_t len;
} w;

static void put(const char *text)
{
    int len = mf_hessian_put_string(w.body + w.len, sizeof w.body - w.len, mf_slice_str(text));
    CHECK(len > 0);
    w.len += (size_t)len;
}

/* A request with one attachment; `chunked`: its value in two pieces, which need room to become one. */
static void compose(const char *key, const char *value, bool chunked)
{
    w.len = 0;
    for (const char **text = (const char *[]){"2.0.2", "com.x.Cart", "0.0.0", "hi", "", NULL}; *text; text++)
        put(*text);
    w.body[w.len++] = 'H';
    put(key);
    if (chunked) {
        memcpy(w.body + w.len, "R\0\1a", 4);
        w.len += 4;
    }
    put(value);
    w.body[w.len++] = 'Z';
}

static int read_it(void)
{
    const char *why = "";
    return mf_dubbo_read(w.share, &w.recent, MF_DUBBO_HESSIAN2, mf_slice_of(w.body, w.len), &w.own, &w.said, &why);
}

static uint64_t recalled(void)
{
    return mf_load_relaxed(&w.bare.local.counters.requests_recalled);
}

static void test_remembered(void)
{
    compose("env", "red", false);
    CHECK_INT(read_it(), 0);
    CHECK(w.said == &w.own);
    CHECK_INT(read_it(), 0);
    CHECK(w.said != &w.own && recalled() == 1);
}

static void test_callbacks(void)
{
    static const char *const keys[] = {"sys_callback_arg-0", "sys_callback_arg-", "sys_callback_arg-17"};
    for (int i = 0; i < 9; i++) {
        compose(keys[i % 3], "1", false);
        CHECK_INT(read_it(), MF_EDUBBO_CALLBACK);
        CHECK(w.own.callback && w.own.complete && !w.own.plain);
    }
    CHECK_INT(recalled(), 1);
    compose("sys_callback_arg", "1", false);
    CHECK_INT(read_it(), 0);
    CHECK(!w.own.callback);
    compose("sys_callback_arg-0", "1", false);
    w.body[w.len - 1] = 0x45; /* what is wrong is told first */
    CHECK(read_it() < 0 && read_it() != MF_EDUBBO_CALLBACK);
}

static void test_room_for_texts(void)
{
    static char longest[1025];
    memset(longest, 'x', 1024); /* with the piece before it one more than there is room */
    compose("env", longest, true);
    CHECK_INT(read_it(), 0);
    CHECK(w.own.text_lost);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.limit_max_text), 1);
    longest[1023] = 0;
    compose("env", longest, true);
    CHECK_INT(read_it(), 0);
    CHECK(!w.own.text_lost && w.said->attachments[w.said->n_attachments - 1].value.len == 1024);
    CHECK_INT(mf_load_relaxed(&w.bare.local.counters.limit_max_text), 1);
}

int main(void)
{
    open_bare(&w.bare, NULL, 0);
    w.bare.limits.max_text = 1024;
    w.share = mf_alloc(sizeof *w.share);
    CHECK_INT(mf_dubbo_share_init(w.share, &mf_dubbo_up_dialer, 0, &w.bare.local, &w.bare.calls), 0);
    test_remembered();
    test_callbacks();
    test_room_for_texts();
    mf_dubbo_share_dispose(w.share);
    mf_free(w.share);
    close_bare(&w.bare);
    return test_end("protocol/dubbo_read");
}
