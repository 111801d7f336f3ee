/* sniff: decides on the earliest byte that proves it, and says the same with all that comes behind. */
#include "codec/sniff.h"
#include "test.h"

/* The last byte of `text` decides, whatever it is then; and not one before it. */
static void decides(const char *text, enum mf_protocol want)
{
    uint8_t longer[8192];
    size_t len = strlen(text);
    for (size_t n = 0; n < len; n++) {
        if (mf_sniff(guarded(mf_slice_of(text, n))) != MF_PROTOCOL_MORE)
            fprintf(stderr, "%s is told by %zu bytes\n", text, n);
        CHECK_INT(mf_sniff(guarded(mf_slice_of(text, n))), MF_PROTOCOL_MORE);
    }
    CHECK_INT(mf_sniff(guarded(mf_slice_of(text, len))), want);
    memset(longer, 'x', sizeof longer);
    memcpy(longer, text, len);
    for (size_t n = len; n < sizeof longer; n += 97)
        CHECK_INT(mf_sniff(mf_slice_of(longer, n)), want);
}

static void test_dubbo(void)
{
    decides("\xda\xbb", MF_PROTOCOL_DUBBO);
    decides("\xda\xba", MF_PROTOCOL_OPAQUE);
}

static void test_http2(void)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    decides(preface, MF_PROTOCOL_HTTP2);
    for (size_t i = 2; i < sizeof preface - 1; i++) { /* what begins like it and is not: from PRI on it was meant to be */
        char other[sizeof preface];
        memcpy(other, preface, i);
        other[i] = (char)(preface[i] ^ 1);
        other[i + 1] = 0;
        decides(other, i < 4 ? MF_PROTOCOL_OPAQUE : MF_PROTOCOL_HTTP2);
    }
    decides("PRI\xda", MF_PROTOCOL_HTTP2);
    decides("PRI\r", MF_PROTOCOL_HTTP2);
    decides("PRIV", MF_PROTOCOL_OPAQUE); /* IRC */
    decides("PRI-", MF_PROTOCOL_OPAQUE);
}

static void test_http1(void)
{
    static const char *methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"};
    static const char *targets[] = {"/", "*", "/a.b.C/m?x=%20&y=\xc3\xa9", "http://h/", "HTTPS://h:1"};
    char text[256];
    for (size_t m = 0; m < sizeof methods / sizeof *methods; m++)
        for (size_t t = 0; t < sizeof targets / sizeof *targets; t++) {
            snprintf(text, sizeof text, "%s %s HTTP/1.", methods[m], targets[t]);
            decides(text, MF_PROTOCOL_HTTP1);
            snprintf(text, sizeof text, "%s %s HTTP/2", methods[m], targets[t]);
            decides(text, MF_PROTOCOL_OPAQUE);
            snprintf(text, sizeof text, "%s %s\r", methods[m], targets[t]); /* HTTP/0.9 */
            decides(text, MF_PROTOCOL_OPAQUE);
            snprintf(text, sizeof text, "%s %s  ", methods[m], targets[t]);
            decides(text, MF_PROTOCOL_OPAQUE);
        }
    decides("CONNECT [::1]:80 HTTP/1.", MF_PROTOCOL_HTTP1);
    decides("CONNECT 10.0.0.1:80 HTTP/1.", MF_PROTOCOL_HTTP1);
    char far[MF_SNIFF_TARGET + 5] = "GET /";
    memset(far + 5, 'a', MF_SNIFF_TARGET - 1);
    far[4 + MF_SNIFF_TARGET] = 0;
    decides(far, MF_PROTOCOL_HTTP1);
}

/* Other protocols' first words, some of them HTTP's too. */
static void test_others(void)
{
    decides("l", MF_PROTOCOL_OPAQUE); /* ls, as telnet says it */
    decides("i", MF_PROTOCOL_OPAQUE); /* invoke */
    decides("\r", MF_PROTOCOL_OPAQUE);
    decides("\xff", MF_PROTOCOL_OPAQUE);
    decides("g", MF_PROTOCOL_OPAQUE); /* memcached */
    decides("GE ", MF_PROTOCOL_OPAQUE);
    decides("GETS", MF_PROTOCOL_OPAQUE);
    decides("PS", MF_PROTOCOL_OPAQUE);
    decides("PUB", MF_PROTOCOL_OPAQUE);                  /* NATS */
    decides("CONNECT {", MF_PROTOCOL_OPAQUE);
    decides("GET k", MF_PROTOCOL_OPAQUE);                /* Redis */
    decides("GET /a b", MF_PROTOCOL_OPAQUE);
    decides("GET hello\r", MF_PROTOCOL_OPAQUE);
    decides("OPTIONS s", MF_PROTOCOL_OPAQUE);            /* SIP */
    decides("OPTIONS r", MF_PROTOCOL_OPAQUE);            /* RTSP */
    decides("OPTIONS * R", MF_PROTOCOL_OPAQUE);
    decides("GET /\x7f", MF_PROTOCOL_OPAQUE);
    decides("GET  ", MF_PROTOCOL_OPAQUE);
}

/* As `decides`, of a provider's first bytes. */
static void first(const char *text, size_t len, enum mf_protocol want)
{
    for (size_t n = 0; n < len; n++)
        CHECK_INT(mf_sniff_first(mf_slice_of(text, n)), MF_PROTOCOL_MORE);
    CHECK_INT(mf_sniff_first(mf_slice_of(text, len)), want);
}

static void test_first(void)
{
    first("\xda\xbb", 2, MF_PROTOCOL_DUBBO);
    first("\xda\xbc", 2, MF_PROTOCOL_OPAQUE);
    first("\0\0\x18\x04\0\0\0\0\0", 9, MF_PROTOCOL_HTTP2);
    first("\0\0\0\x04\0\0\0\0\0", 9, MF_PROTOCOL_HTTP2);
    first("\0\0\x07\x04\0\0\0\0\0", 9, MF_PROTOCOL_OPAQUE);
    first("\0\0\0\x04\x01", 5, MF_PROTOCOL_OPAQUE); /* acknowledges what nobody has sent */
    first("\0\0\0\x07", 4, MF_PROTOCOL_OPAQUE);
    first("\0\0\0\x04\0\0\0\0\x01", 9, MF_PROTOCOL_OPAQUE);
    first("HTTP/1.", 7, MF_PROTOCOL_HTTP1);
    first("HELLO", 2, MF_PROTOCOL_OPAQUE);
    first("J\0\0\0\n", 1, MF_PROTOCOL_OPAQUE); /* MySQL */
    first("220 ", 1, MF_PROTOCOL_OPAQUE);        /* SMTP, FTP */
    first("SSH-2.0", 1, MF_PROTOCOL_OPAQUE);
}

int main(void)
{
    CHECK_INT(mf_sniff((struct mf_slice){0}), MF_PROTOCOL_MORE);
    test_dubbo();
    test_http2();
    test_http1();
    test_others();
    test_first();
    return test_end("codec/sniff");
}
