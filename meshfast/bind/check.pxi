# check: the one door from C's return codes to Python's exceptions.

from libc.errno cimport ENOMEM

from meshfast.errors import LimitError, ProtocolError, StateError


cdef object fault(int rc, object detail=None, object offset=-1):
    """The exception for an error code. `detail` goes before the core's own text."""
    kind = _mf_err_kind(rc)
    text = mf_err_text(rc).decode()
    message = f"{detail}: {text}" if detail else text
    if rc == -ENOMEM:
        return MemoryError(message)
    if kind == MF_KIND_system:
        return OSError(-rc, message)
    if kind == MF_KIND_limit:
        error = LimitError(message)
    elif kind == MF_KIND_state:
        error = StateError(message)
    else:
        error = ProtocolError(message, offset)
    error.code = rc
    error.name = mf_err_name(rc).decode()
    return error


cdef int check(int rc, object detail=None, object offset=-1) except -1:
    """`rc` as it is when it is no error."""
    if rc < 0:
        raise fault(rc, detail, offset)
    return rc


cdef inline mf_slice as_slice(const uint8_t[::1] view) noexcept:
    return mf_slice_of(&view[0] if view.shape[0] else NULL, view.shape[0])


def error_text(int code) -> str:
    """The core's own words for an error code."""
    return mf_err_text(code).decode()
