/* h2_shown: the fields as policy looks them up, by lists written as text, one field a line. */
#include "codec/h2_list.h"
#include "codec/h2_shown.h"

static struct mf_h2_request asked;
static struct mf_h2_view view;
static struct mf_h2_shown shown;
static struct mf_pair pairs[MF_H2_SHOWN_ROOM(LIST_MOST)];
static uint8_t room[1 << 16];
static struct mf_h2_scratch scratch;

static void show_in(struct mf_slice text, bool baggage, size_t len)
{
    list(text);
    CHECK_INT(mf_h2_fields_request(fields, marks, n, &asked), 0);
    scratch = (struct mf_h2_scratch){room, len, 0};
    mf_h2_view_of(fields, marks, n, &asked, &scratch, &view);
    mf_h2_shown_of(fields, marks, n, &asked, &view, baggage, pairs, &scratch, &shown);
    CHECK(shown.n_headers + (shown.headers - shown.labels) <= (long)MF_H2_SHOWN_ROOM(n - asked.regular));
}

#define HEAD ":method=POST\n:scheme=http\n:path=/a.B/m\n:authority=cart\n"
#define GRPC HEAD "content-type=application/grpc\n"
#define TRI GRPC "tri-consumer-appname=a\n"
#define SHOW(text) show_in(MF_SLICE(text), true, sizeof room)

/* The last one's, as the table looks it up. */
static struct mf_slice last(const struct mf_pair *window, uint32_t count, const char *name, bool *there)
{
    struct mf_slice key = mf_slice_str(name);
    for (uint32_t i = count; i-- > 0;)
        if (mf_slice_eq(window[i].key, key)) {
            *there = true;
            CHECK(shown.name_lengths >> key.len % 64 & 1);
            return window[i].value;
        }
    *there = false;
    return mf_slice_of(NULL, 0);
}

static void check(struct mf_slice got, bool there, const char *name, const char *want)
{
    CHECK_INT(there, want != NULL);
    if (there && want) {
        CHECK(got.ptr != NULL);
        CHECK_STR(got, want);
    }
    if (there != (want != NULL))
        fprintf(stderr, "    %s\n", name);
}

static void condition(const char *name, const char *want)
{
    bool there;
    struct mf_slice got = last(shown.headers, shown.n_headers, name, &there);
    check(got, there, name, want);
}

static void label(const char *name, const char *want)
{
    bool there;
    struct mf_slice got = last(shown.labels, shown.n_labels, name, &there);
    check(got, there, name, want);
}

static void both(const char *name, const char *want)
{
    condition(name, want);
    label(name, want);
}

static void test_fields(void)
{
    SHOW(HEAD "a=1\nb=\nhost=cart\n");
    both("a", "1");
    both("b", "");
    both("host", "cart");
    both("c", NULL);
    both(":path", NULL);
    both("version", NULL);
    CHECK(shown.n_headers == 3 && shown.n_labels == 3 && shown.lost == 0);
    CHECK(!(shown.name_lengths >> 7 & 1));
    fields[n] = (struct mf_pair){MF_SLICE("none"), {NULL, 0}};
    marks[n++] = (struct mf_h2_mark){0, 0};
    mf_h2_shown_of(fields, marks, n, &asked, &view, true, pairs, &scratch, &shown);
    both("none", "");
    SHOW(HEAD);
    CHECK(shown.n_headers == 0 && shown.n_labels == 0);
}

static void test_versions(void)
{
    SHOW(TRI "tri-service-version=2.0.0\ntri-service-group=g\n");
    both("version", "2.0.0");
    both("group", "g");
    both("tri-service-version", "2.0.0");
    SHOW(TRI);
    both("version", "1.0.0");
    both("group", NULL);
    SHOW(TRI "tri-service-version=1.0.0\n");
    both("version", "1.0.0");
    SHOW(TRI "tri-service-version=\ntri-service-group=\n");
    both("version", "1.0.0");
    both("group", NULL);
    SHOW(TRI "version=2.0.0\ngroup=g\ninterface=a.B\n"); /* attachments like any other */
    both("version", "1.0.0");
    both("group", NULL);
    both("interface", "a.B");
    SHOW(TRI "version=2.0.0\nversion=3\ntri-service-version=4\ngroup=x\ngroup=y\ntri-service-group=z\n");
    both("version", "4");
    both("group", "z");
    SHOW(GRPC); /* it may be Dubbo's, which says nothing where there is nothing to say */
    both("version", "1.0.0");
    SHOW(GRPC "version=v2\ngroup=canary\n"); /* nobody's but its own */
    both("version", "v2");
    both("group", "canary");
    SHOW(HEAD "version=v2\ngroup=canary\nversion=v3\ngroup=g\n"); /* the last, as where Dubbo's own stand for them */
    both("version", "v3");
    both("group", "g");
    SHOW(HEAD "version=v2\ngroup=canary\n");
    both("version", "v2");
    both("group", "canary");
    SHOW(":method=POST\n:scheme=http\n:path=/m\nversion=v2\ntri-service-version=3\n");
    both("version", "3");
}

/* All of a name, in their order. */
static void values(const char *name, const char *want)
{
    char seen[256] = "";
    for (uint32_t i = 0; i < shown.n_headers; i++)
        if (mf_slice_eq(shown.headers[i].key, mf_slice_str(name)))
            snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%.*s|", (int)shown.headers[i].value.len,
                     (const char *)shown.headers[i].value.ptr);
    CHECK_STR(mf_slice_str(seen), want);
}

/* Conditions see each of a name as it came, labels the last. */
static void test_repeats(void)
{
    SHOW(HEAD "a=1\nb=x\na=2\na=3\n");
    values("a", "1|2|3|");
    label("a", "3");
    both("b", "x");
    CHECK_INT(shown.lost, 0);
    SHOW(GRPC "env=dev1\nenv=dev2\n");
    values("env", "dev1|dev2|");
    label("env", "dev2");
    SHOW(GRPC "env=dev1, dev2\n");
    both("env", "dev1, dev2");
    SHOW(GRPC "env=\nenv=dev1\n");
    values("env", "|dev1|");
    label("env", "dev1");
    SHOW(TRI "version=1\ntri-service-version=2\ntri-service-version=3\n");
    values("version", "3|");
}

static char text[1 << 17];

static struct mf_slice many(uint32_t count, uint32_t names)
{
    size_t len = (size_t)snprintf(text, sizeof text, HEAD);
    for (uint32_t i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "x-%u=%u\n", i % names, i);
    return mf_slice_of(text, len);
}

static void test_many(void)
{
    show_in(many(1000, 1000), true, sizeof room);
    condition("x-0", "0");
    condition("x-999", "999");
    show_in(many(900, 300), true, sizeof room);
    values("x-7", "7|307|607|");
    label("x-7", "607");
    CHECK_INT(shown.lost, 0);
}

static void test_baggage(void)
{
    SHOW(GRPC "baggage=env=dev1,user = alice ;p=1;q , k=a%20b,e=%C3%BC,z=%zz%4\nx=y\n");
    label("env", "dev1");
    label("user", "alice");
    label("k", "a b");
    label("e", "\xc3\xbc");
    label("z", "%zz%4");
    condition("env", NULL); /* anyone may add to it */
    both("x", "y");
    SHOW(GRPC "baggage=env=dev1\nbaggage=env=dev2,a=b=c\n");
    label("env", "dev2");
    label("a", "b=c");
    SHOW(GRPC "env=dev3\nbaggage=env=dev1\n"); /* its own field is asked first */
    both("env", "dev3");
    SHOW(GRPC "env=\nbaggage=env=dev1\n");
    both("env", "");
    SHOW(GRPC "baggage=,,=x, env ,e nv=1,env;a=b,a=%0d%0ax,b=%20x,c=\n"); /* none of them is one but the last */
    label("env", NULL);
    label("a", NULL);
    label("b", NULL);
    label("c", "");
    label("", NULL);
    CHECK_INT(shown.lost, 0);
    show_in(MF_SLICE(GRPC "baggage=env=dev1\n"), false, sizeof room);
    label("env", NULL);
    show_in(MF_SLICE(GRPC "baggage=a=%41,b=%42,c=d\n"), true, 3);
    label("a", "A");
    label("b", NULL);
    label("c", "d");
    CHECK_INT(shown.lost, 1);
    size_t len = (size_t)snprintf(text, sizeof text, GRPC "baggage=");
    for (int i = 0; i < 70; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "k%d=%d,", i, i);
    text[len++] = '\n';
    show_in(mf_slice_of(text, len), true, sizeof room);
    label("k63", "63");
    label("k64", NULL);
    CHECK_INT(shown.lost, 6);
    len = (size_t)snprintf(text, sizeof text, GRPC "baggage=a=b\nbaggage=c=%08190d\n", 0);
    show_in(mf_slice_of(text, len), true, sizeof room);
    label("a", "b");
    label("c", NULL);
    CHECK_INT(shown.lost, 1);
}

int main(void)
{
    test_fields();
    test_versions();
    test_repeats();
    test_many();
    test_baggage();
    return test_end("codec/h2_shown");
}
