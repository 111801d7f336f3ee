#pragma once
/* javaser: the strings at the front of a Java object stream. Source: Java Object Serialization Specification,
 * section 6; Dubbo's JavaObjectOutput and NativeJavaObjectOutput.
 *
 * Primitive values lie in blocks of at most 1024 bytes. Objects need the class descriptors of the whole stream, so
 * nothing behind the first of them is read. */
#include "base/slice.h"

struct mf_javaser {
    struct mf_slice body;
    size_t at;
    size_t _block; /* bytes left of the block that `at` is in */
};

/* False when the bytes do not start a Java object stream. */
bool mf_javaser_init(struct mf_javaser *reader, struct mf_slice body);

/* The next writeUTF: false for anything else, and for a string that lies in two blocks. `counted`: an int goes before
 * it, -1 for null (ids 3 and 4); `out` is empty then. Borrowed, modified UTF-8. */
bool mf_javaser_utf(struct mf_javaser *reader, bool counted, struct mf_slice *out);

/* The next writeObject, when it is a string seen for the first time. `counted`: a byte 1 goes before it. */
bool mf_javaser_string(struct mf_javaser *reader, bool counted, struct mf_slice *out);

/* A stream of one writeUTF of at most 65000 bytes: at most MF_JAVASER_HEAD more than it has. */
enum { MF_JAVASER_HEAD = 15 };
size_t mf_javaser_put_utf(uint8_t *to, bool counted, struct mf_slice text);
