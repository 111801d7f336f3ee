#include "base/addr.h"

#include "base/err.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

static bool starts(struct mf_slice text, const char *with)
{
    size_t n = strlen(with);
    return text.len >= n && memcmp(text.ptr, with, n) == 0;
}

static int parse_unix(struct mf_slice path, struct mf_addr *out)
{
    struct sockaddr_un *un = (struct sockaddr_un *)&out->storage;
    if (path.len < 2 || path.len >= sizeof un->sun_path || memchr(path.ptr, 0, path.len))
        return MF_EADDR;
    if (path.ptr[0] != '/' && path.ptr[0] != '@')
        return MF_EADDR;
    un->sun_family = AF_UNIX;
    memcpy(un->sun_path, path.ptr, path.len);
    out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    if (path.ptr[0] == '@') { /* abstract: a leading NUL, and the length says where it ends */
        un->sun_path[0] = 0;
        out->len--;
    }
    return 0;
}

int mf_addr_parse(struct mf_slice text, struct mf_addr *out)
{
    memset(out, 0, sizeof *out);
    if (starts(text, "unix://"))
        return parse_unix(mf_slice_of(text.ptr + 7, text.len - 7), out);
    if (starts(text, "tcp://"))
        text = mf_slice_of(text.ptr + 6, text.len - 6);

    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    size_t digits = text.len - colon;
    if (colon < 2 || digits < 1 || digits > 5)
        return MF_EADDR;
    uint32_t port = 0;
    for (size_t i = colon; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return MF_EADDR;
        port = port * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    if (port > 65535)
        return MF_EADDR;

    char host[INET6_ADDRSTRLEN + 1];
    const uint8_t *from = text.ptr;
    size_t len = colon - 1;
    bool v6 = from[0] == '[';
    if (v6) {
        if (len < 3 || from[len - 1] != ']')
            return MF_EADDR;
        from++;
        len -= 2;
    }
    if (len >= sizeof host)
        return MF_EADDR;
    memcpy(host, from, len);
    host[len] = 0;
    if (v6) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&out->storage;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)port);
        out->len = sizeof *in6;
        return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1 ? 0 : MF_EADDR;
    }
    struct sockaddr_in *in = (struct sockaddr_in *)&out->storage;
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)port);
    out->len = sizeof *in;
    return inet_pton(AF_INET, host, &in->sin_addr) == 1 ? 0 : MF_EADDR;
}

size_t mf_addr_format(const struct mf_addr *addr, char out[MF_ADDR_TEXT])
{
    char host[INET6_ADDRSTRLEN] = "?";
    int len = 0;
    switch (addr->sa.sa_family) {
    case AF_INET: {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->storage;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        len = snprintf(out, MF_ADDR_TEXT, "%s:%u", host, ntohs(in->sin_port));
        break;
    }
    case AF_INET6: {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->storage;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        len = snprintf(out, MF_ADDR_TEXT, "[%s]:%u", host, ntohs(in6->sin6_port));
        break;
    }
    case AF_UNIX: {
        const struct sockaddr_un *un = (const struct sockaddr_un *)&addr->storage;
        size_t head = offsetof(struct sockaddr_un, sun_path);
        size_t room = addr->len > head ? addr->len - head : 0;
        if (room > 0 && un->sun_path[0] == 0)
            len = snprintf(out, MF_ADDR_TEXT, "unix://@%.*s", (int)room - 1, un->sun_path + 1);
        else
            len = snprintf(out, MF_ADDR_TEXT, "unix://%.*s", (int)strnlen(un->sun_path, room), un->sun_path);
        break;
    }
    default:
        len = snprintf(out, MF_ADDR_TEXT, "unknown");
    }
    return (size_t)len;
}

bool mf_addr_eq(const struct mf_addr *a, const struct mf_addr *b)
{
    return a->len == b->len && memcmp(&a->storage, &b->storage, a->len) == 0;
}
