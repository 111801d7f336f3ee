/* silent, door: a caller that says nothing is joined to a provider that speaks first, and stays what it was where that listens,
 * however late it begins. */
#include "h2_mesh.h"

static const uint8_t event[] = {0xda, 0xbb, 0xe2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 'N'};
static const uint8_t greeting[] = {0x4a, 0, 0, 0, 0x0a, '8', '.', '0', 0};

static void few(struct mf_limits *limits)
{
    limits->max_silent = 2;
}

static struct fake_conn *knock(void)
{
    struct fake_conn *conn = fake_connect();
    if (!conn)
        BROKEN("nobody listens");
    settle();
    return conn;
}

static int n_dialled(void)
{
    int n = 0;
    for (int i = 0; i < fake.n; i++)
        n += fake.conns[i].up;
    return n;
}

/* The last connection that was dialled, which is let in. */
static struct fake_conn *heard_at(void)
{
    struct fake_conn *conn = &fake.conns[fake.n - 1];
    if (!conn->up)
        BROKEN("nobody was dialled");
    fake_answer_connect(conn, 0);
    settle();
    return conn;
}

static void send_text(struct fake_conn *conn, const char *text)
{
    fake_send(conn, text, strlen(text));
    settle();
}

static void check_out(const struct fake_conn *conn, const void *bytes, size_t n)
{
    CHECK_INT(conn->out.len, n);
    CHECK(conn->out.len == n && memcmp(conn->out.ptr, bytes, n) == 0);
}

static void test_greeted(void)
{
    for (size_t cut = 0; cut <= sizeof greeting; cut++) {
        mesh_open(MF_INBOUND, 1, NULL);
        struct fake_conn *caller = knock();
        pass(290);
        CHECK_INT(n_dialled(), 0);
        pass(20);
        CHECK_INT(n_dialled(), 1);
        struct fake_conn *up = heard_at();
        fake_send(up, greeting, cut);
        settle();
        fake_send(up, greeting + cut, sizeof greeting - cut);
        settle();
        check_out(caller, greeting, sizeof greeting);
        send_text(caller, "login");
        check_out(up, "login", 5);
        CHECK_INT(COUNTED(opaque_connections), 1);
        CHECK_INT(COUNTED(opaque_silent), 1);
        CHECK_INT(COUNTED(opaque_bytes), sizeof greeting + 5);
        CHECK_INT(COUNTED(limit_detect_timeout), 1);
        pass(20000); /* no wait of the beginning is left */
        send_text(caller, "!");
        CHECK_INT(up->out.len, 6);
        caller->eof = true;
        settle();
        CHECK(up->fin);
        up->eof = true;
        settle();
        CHECK(!up->sock && !caller->sock);
        mesh_close();
    }
}

/* What listens is let go, and its caller is served as any that begins late. */
static void check_listens(const void *first, size_t len, size_t cut)
{
    mesh_open(MF_INBOUND, 1, NULL);
    struct fake_conn *caller = knock();
    pass(310);
    struct fake_conn *up = heard_at();
    fake_send(up, first, cut);
    settle();
    CHECK(up->sock != NULL || cut == len);
    fake_send(up, (const char *)first + cut, len - cut);
    settle();
    CHECK(!up->sock);
    CHECK_INT(caller->out.len, 0);
    CHECK_INT(COUNTED(opaque_connections), 0);
    struct peer *peer = join(caller);
    say_hello(peer, NULL);
    say_head(peer, 1, CALL, true);
    struct peer *b = provider();
    CHECK_TOLD(b, 1, T_CALL "|");
    say_head(b, 1, OK, false);
    say_head(b, 1, DONE, true);
    CHECK_TOLD(peer, 1, T_OK T_DONE);
    struct fake_conn *next = knock(); /* nobody is asked for again so soon */
    pass(1000);
    CHECK_INT(n_dialled(), 2);
    CHECK(next->sock != NULL);
    pass(60000);
    (void)knock();
    pass(310);
    CHECK_INT(n_dialled(), 3);
    mesh_close();
}

static void test_listens(void)
{
    static const uint8_t hello[] = {0, 0, 6, MF_H2_SETTINGS, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100};
    static const char answer[] = "HTTP/1.0 408 Request Timeout\r\n\r\n";
    for (size_t cut = 0; cut < 2; cut++)
        check_listens(event, sizeof event, cut);
    for (size_t cut = 0; cut < 9; cut++)
        check_listens(hello, sizeof hello, cut);
    for (size_t cut = 0; cut < 7; cut++)
        check_listens(answer, sizeof answer - 1, cut);
}

/* It hangs up, or may not be reached, or says nothing: the caller is left. */
static void test_no_answer(void)
{
    for (int how = 0; how < 4; how++) {
        mesh_open(MF_INBOUND, 1, NULL);
        struct fake_conn *caller = knock();
        fake.refuse = how == 3 ? EMFILE : 0;
        pass(310);
        fake.refuse = 0;
        if (how == 0) {
            heard_at()->eof = true;
        } else if (how == 1) {
            fake_answer_connect(&fake.conns[fake.n - 1], -ECONNREFUSED);
        } else if (how == 2) {
            (void)heard_at();
            pass(9900);
            CHECK_INT(COUNTED(limit_greet_timeout), 0);
            pass(200);
            CHECK_INT(COUNTED(limit_greet_timeout), 1);
        }
        settle();
        CHECK(caller->sock && caller->out.len == 0);
        CHECK_INT(n_dialled(), how == 3 ? 0 : 1);
        CHECK_INT(COUNTED(upstream_active), 0);
        pass(5000);
        CHECK_INT(n_dialled(), how == 3 ? 0 : 1); /* once */
        send_text(caller, "GET / HTTP/1.1\r\nhost: svc\r\n\r\n");
        struct fake_conn *up = heard_at();
        CHECK_INT(up->out.len, 29);
        mesh_close();
    }
}

/* Whatever the caller begins with, and whether the other half is there yet. */
static void test_speaks_itself(void)
{
    static const char *const words[] = {"telnet", "P", "\xda\xbb", MF_H2_PREFACE};
    for (int ready = 0; ready < 2; ready++) {
        for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
            mesh_open(MF_INBOUND, 1, NULL);
            struct fake_conn *caller = knock();
            pass(310);
            struct fake_conn *up = &fake.conns[fake.n - 1];
            if (ready)
                (void)heard_at();
            send_text(caller, words[i]);
            if (i == 0) {
                if (!ready)
                    (void)heard_at();
                check_out(up, words[0], 6);
                CHECK_INT(COUNTED(opaque_silent), 0);
                CHECK_INT(COUNTED(opaque_connections), 1);
            } else {
                CHECK(ready ? up->fin : !up->sock);
                CHECK(caller->sock);
            }
            CHECK_INT(n_dialled(), 1);
            mesh_close();
        }
    }
}

static void test_gone(void)
{
    for (int ready = 0; ready < 2; ready++) {
        mesh_open(MF_INBOUND, 1, NULL);
        struct fake_conn *caller = knock();
        pass(310);
        struct fake_conn *up = &fake.conns[fake.n - 1];
        if (ready)
            (void)heard_at();
        caller->reset = true;
        settle();
        CHECK(ready ? up->fin : !up->sock);
        mesh_close();
    }
}

/* Only so many at once; the others have their turn, as the first has gone. */
static void test_crowd(void)
{
    enum { CALLERS = 4 };
    mesh_open(MF_INBOUND, 1, few);
    struct fake_conn *callers[CALLERS];
    for (int i = 0; i < CALLERS; i++)
        callers[i] = knock();
    pass(1000);
    CHECK_INT(n_dialled(), 2);
    CHECK(COUNTED(limit_max_silent) > 0);
    for (int i = 0; i < fake.n; i++) {
        if (!fake.conns[i].up)
            continue;
        fake_answer_connect(&fake.conns[i], 0);
        settle();
        fake_send(&fake.conns[i], greeting, sizeof greeting);
        settle();
    }
    pass(1100);
    CHECK_INT(n_dialled(), CALLERS);
    for (int i = 0; i < 2; i++)
        check_out(callers[i], greeting, sizeof greeting);
    mesh_close();
}

/* Nowhere to go, or a drain: nobody is asked. */
static void test_nowhere(void)
{
    mesh_open(MF_OUTBOUND, 1, NULL);
    (void)knock();
    pass(1000);
    CHECK_INT(n_dialled(), 0);
    mesh_close();
    mesh_open(MF_INBOUND, 1, NULL);
    (void)knock();
    mf_engine_drain(mesh.engine);
    pass(350);
    CHECK_INT(n_dialled(), 0);
    mesh_close();
}

/* Each allocation of the trial fails in turn: the caller is as it was. */
static void test_no_memory(void)
{
    for (long n = 1, failures = 1; failures; n++) {
        mesh_open(MF_INBOUND, 1, NULL);
        struct fake_conn *caller = knock();
        fail_at(n);
        pass(310);
        if (n_dialled())
            fake_send(heard_at(), greeting, sizeof greeting);
        settle();
        failures = fail_failed;
        fail_at(0);
        CHECK(failures || caller->out.len == sizeof greeting);
        if (caller->sock && caller->out.len == 0) {
            send_text(caller, "GET / HTTP/1.1\r\nhost: svc\r\n\r\n");
            CHECK_INT(heard_at()->out.len, 29);
        }
        CHECK(n < 50);
        mesh_close();
    }
}

static void never(struct mf_limits *limits)
{
    limits->detect_timeout = 0;
}

static void test_never(void)
{
    mesh_open(MF_INBOUND, 1, never);
    struct fake_conn *caller = knock();
    pass(299000);
    CHECK_INT(n_dialled(), 0);
    CHECK(caller->sock);
    pass(1100);
    CHECK(!caller->sock);
    CHECK_INT(COUNTED(limit_idle_timeout), 1);
    mesh_close();
}

int main(void)
{
    test_greeted();
    test_listens();
    test_no_answer();
    test_speaks_itself();
    test_gone();
    test_crowd();
    test_nowhere();
    test_no_memory();
    test_never();
    return test_end("first");
}
