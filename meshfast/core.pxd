# What the extension uses of csrc/meshfast.h, and nothing else. Declared once, here.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "meshfast.h" nogil:
    # base/err.h
    const char *mf_err_text(int rc)
    const char *mf_err_name(int rc)
    cdef enum mf_err_kind:
        MF_KIND_system
        MF_KIND_more
        MF_KIND_protocol
        MF_KIND_limit
        MF_KIND_state
    mf_err_kind _mf_err_kind "mf_err_kind"(int rc)

    # base/slice.h
    cdef struct mf_slice:
        const uint8_t *ptr
        size_t len
    cdef struct mf_pair:
        mf_slice key
        mf_slice value
    mf_slice mf_slice_of(const void *ptr, size_t len)
