#include "base/err.h"

#include <string.h>

const char *mf_err_text(int rc)
{
    switch (rc) {
#define X(name, code, kind, text)                                                                                      \
    case name:                                                                                                         \
        return text;
        MF_ERRORS(X)
#undef X
    }
    if (rc >= 0)
        return "no error";
    const char *text = strerrordesc_np(-rc); /* strerror is not safe between threads */
    return text ? text : "unknown error";
}

const char *mf_err_name(int rc)
{
    switch (rc) {
#define X(name, code, kind, text)                                                                                      \
    case name:                                                                                                         \
        return #name;
        MF_ERRORS(X)
#undef X
    }
    const char *name = rc < 0 ? strerrorname_np(-rc) : NULL;
    return name ? name : "errno";
}

enum mf_err_kind mf_err_kind(int rc)
{
    switch (rc) {
#define X(name, code, kind, text)                                                                                      \
    case name:                                                                                                         \
        return MF_KIND_##kind;
        MF_ERRORS(X)
#undef X
    }
    return MF_KIND_system;
}
