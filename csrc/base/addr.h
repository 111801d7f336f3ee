#pragma once
/* addr: where a socket listens or connects, as text and as the kernel wants it.
 *
 * Text forms: tcp://1.2.3.4:port, tcp://[::1]:port, unix:///path, unix://@abstract; a bare host:port is tcp. Numeric
 * hosts only: names are resolved by whoever writes the configuration. */
#include "base/slice.h"

#include <sys/socket.h>

struct mf_addr {
    union {
        struct sockaddr sa;
        struct sockaddr_storage storage;
    };
    socklen_t len;
};

enum { MF_ADDR_TEXT = 128 }; /* room for the longest text form and its NUL */

/* 0 or MF_EADDR. */
int mf_addr_parse(struct mf_slice text, struct mf_addr *out);
/* Writes "1.2.3.4:80", "[::1]:80" or "unix:///path" with a NUL; returns the length without it. */
size_t mf_addr_format(const struct mf_addr *addr, char out[MF_ADDR_TEXT]);
bool mf_addr_eq(const struct mf_addr *a, const struct mf_addr *b);
