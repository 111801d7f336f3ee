#pragma once
/* listen: makes listening descriptors: who may share an address, who may dial it, and what becomes of the file of a UNIX
 * socket. */
#include "base/addr.h"

#include <stdint.h>

enum mf_listen_share {
    MF_LISTEN_ALONE, /* -EADDRINUSE when anybody else listens there */
    MF_LISTEN_FIRST, /* the same; then those of the same user may join */
    MF_LISTEN_JOIN,  /* joins (SO_REUSEPORT), or is the first without any such proof */
};

enum { MF_LISTEN_MODE = 0600 };

struct mf_listen_how {
    int backlog;
    enum mf_listen_share share; /* TCP; a UNIX socket is always alone, its workers use copies of one descriptor */
    uint32_t mode;              /* UNIX: permissions of the file whatever the umask, 0: MF_LISTEN_MODE. Who may write may dial */
};

/* The file that was made; zeros where there is none. */
struct mf_listen_file {
    uint64_t dev, ino, made;
};

/* A listening, non-blocking, close-on-exec descriptor, or a negated errno. TCP: an address that was used before is free
 * at once (SO_REUSEADDR). UNIX: a socket file that nobody listens on is removed first; of several that start at the same
 * time one gets it. `*file` (may be NULL) is for mf_listen_remove. */
int mf_listen_open(const struct mf_addr *addr, const struct mf_listen_how *options, struct mf_listen_file *file);
/* Of a socket that listens already: its address, and the file that is there now under its name. A TCP socket that was shut
 * lets in again. 0 or a negated errno; -EINVAL: it is no stream socket that listens. */
int mf_listen_adopt(int fd, struct mf_addr *addr, struct mf_listen_file *file);
/* Removes the file if it is still the one that was made; `*file` is zeroed. */
void mf_listen_remove(const struct mf_addr *addr, struct mf_listen_file *file);
/* Gives the file those permissions, if it is still the one that was made. */
void mf_listen_permit(const struct mf_addr *addr, const struct mf_listen_file *file, uint32_t mode);
/* From now on nobody new is let in, through no copy of `fd`: who dials UNIX is refused, who dials TCP is not answered and
 * tries again in a second. Who was being let in still comes. 0 or a negated errno: then nothing has changed. */
int mf_listen_shut(int fd);
