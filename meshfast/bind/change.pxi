# change: what a rule does with a call, as meshfast/changes.py has it, in the core's structs.

from libc.string cimport memcpy as _memcpy


cdef void *_piece(mf_actions *made, size_t size) except NULL:
    """Zeroed, and of those actions."""
    cdef void *piece = mf_actions_alloc(made, size)
    if piece == NULL:
        raise MemoryError()
    _memset(piece, 0, size)
    return piece


cdef mf_slice _keep(mf_actions *made, text) except *:
    """A copy that lives as long as the actions, ended by a NUL."""
    cdef bytes raw = text.encode() if isinstance(text, str) else bytes(text)
    cdef char *to = <char *>_piece(made, len(raw) + 1)
    _memcpy(to, <const char *>raw, len(raw))
    return mf_slice_of(to, len(raw))


cdef int _fill_statuses(mf_statuses *to, statuses) except -1:
    to.http, to.grpc, to.dubbo = statuses.http, statuses.grpc, statuses.dubbo
    return 0


cdef int _fill_rewrite(mf_change_rewrite *to, rewrite, mf_actions *made) except -1:
    """`to` is zeroed."""
    if rewrite is None:
        return 0
    to.authority = _keep(made, rewrite.authority)
    if rewrite.program:
        to.path = MF_CHANGE_PATH_PARTS
        to.to = _keep(made, rewrite.program)
        check(mf_replace_check(to.to), "uriRegexRewrite")
    elif rewrite.uri is not None:
        to.path = MF_CHANGE_PATH_WHOLE if rewrite.strip < 0 else MF_CHANGE_PATH_BEGIN
        to.strip = max(rewrite.strip, 0)
        to.to = _keep(made, rewrite.uri)
    return 0


cdef int _fill_redirect(mf_change_redirect *to, redirect, mf_actions *made) except -1:
    to.uri = _keep(made, redirect.uri)
    to.authority = _keep(made, redirect.authority)
    to.scheme = _keep(made, redirect.scheme)
    to.port = max(redirect.port, 0)
    to.same_port = redirect.port < 0
    return 0


cdef int _fill_level(mf_change_level *to, level, mf_actions *made) except -1:
    cdef mf_slice *removes
    cdef mf_slice *lower
    cdef mf_change_put *puts
    to.n_removes, to.n_puts = len(level.removes), len(level.puts)
    if to.n_removes > MF_CHANGE_FIELDS or to.n_puts > MF_CHANGE_FIELDS:
        check(MF_ELIMIT, "headers")
    removes = <mf_slice *>_piece(made, (to.n_removes + 1) * sizeof(mf_slice))
    lower = <mf_slice *>_piece(made, (to.n_removes + 1) * sizeof(mf_slice))
    puts = <mf_change_put *>_piece(made, (to.n_puts + 1) * sizeof(mf_change_put))
    for i, name in enumerate(level.removes):
        removes[i] = _keep(made, name)
        lower[i] = _keep(made, name.lower())
    for i, (name, value, beside) in enumerate(level.puts):
        puts[i].name = _keep(made, name)
        puts[i].lower = _keep(made, name.lower())
        puts[i].value = _keep(made, value)
        puts[i].beside = beside
    to.removes, to.lower_removes, to.puts = removes, lower, puts
    return 0


cdef int _fill_list(mf_change_list *to, levels, mf_actions *made) except -1:
    to.n_levels = len(levels)
    if to.n_levels > 2 or sum(len(level.puts) for level in levels) > MF_CHANGE_FIELDS:
        check(MF_ELIMIT, "headers")
    for i, level in enumerate(levels):
        _fill_level(&to.levels[i], level, made)
    return 0


cdef int _put_answers(mf_actions *made, actions) except -1:
    cdef mf_faults *faults
    cdef mf_direct *direct
    cdef mf_redirect *redirect
    if actions.fault is not None:
        faults = <mf_faults *>_piece(made, sizeof(mf_faults))
        if actions.fault.delay is not None:
            faults.delay_chance, faults.delay_ms = actions.fault.delay.millionths, actions.fault.delay.ms
        if actions.fault.abort is not None:
            faults.abort_chance = actions.fault.abort.millionths
            _fill_statuses(&faults.statuses, actions.fault.abort.statuses)
            faults.text = _keep(made, actions.fault.abort.text)
        made.faults = faults
    if actions.direct is not None:
        direct = <mf_direct *>_piece(made, sizeof(mf_direct))
        _fill_statuses(&direct.statuses, actions.direct.statuses)
        direct.body = _keep(made, actions.direct.body)
        direct.text = _keep(made, actions.direct.text)
        made.direct = direct
    if actions.redirect is not None:
        redirect = <mf_redirect *>_piece(made, sizeof(mf_redirect))
        _fill_statuses(&redirect.statuses, actions.redirect.statuses)
        _fill_redirect(&redirect.to, actions.redirect, made)
        made.redirect = redirect
    return 0


cdef int _put_changes(mf_actions *made, actions) except -1:
    """What meshfast.policies.Actions says of answers and of what is changed."""
    cdef mf_change *changes
    cdef uint32_t n = max(len(actions.headers), 1)
    _put_answers(made, actions)
    if not actions.headers and actions.rewrite is None:
        return 0
    changes = <mf_change *>_piece(made, n * sizeof(mf_change))
    for i in range(n):
        _fill_rewrite(&changes[i].rewrite, actions.rewrite, made)
        if i < len(actions.headers):
            _fill_list(&changes[i].request, actions.headers[i].request, made)
            _fill_list(&changes[i].response, actions.headers[i].response, made)
            if actions.headers[i].authority and not changes[i].rewrite.authority.len:
                changes[i].rewrite.authority = _keep(made, actions.headers[i].authority)
    made.changes = changes
    made.n_changes = n
    return 0


cdef enum:
    _CHANGE_ROOM = 65536


def change_path(rewrite not None, str path not None):
    """The path that an instance is sent for one with its query; None: as it came."""
    cdef _Texts texts = _Texts()
    cdef mf_change_rewrite raw
    cdef bytearray room = bytearray(_CHANGE_ROOM)
    cdef uint8_t[::1] view = room
    cdef mf_actions *made = mf_actions_new()
    if made == NULL:
        raise MemoryError()
    try:
        _memset(&raw, 0, sizeof(raw))
        _fill_rewrite(&raw, rewrite, made)
        n = mf_change_path(&raw, texts.slice(path), &view[0], _CHANGE_ROOM)
    finally:
        mf_actions_give(made)
    check(<int>n, "rewrite")
    return bytes(room[:n]).decode(errors="replace") if n else None


def change_location(redirect not None, str scheme not None, str authority not None, str path not None, query):
    """Where a redirect leads; `query`: None where there is none."""
    cdef _Texts texts = _Texts()
    cdef mf_change_redirect raw
    cdef bytearray room = bytearray(_CHANGE_ROOM)
    cdef uint8_t[::1] view = room
    cdef mf_slice asked = mf_slice_of(NULL, 0)
    cdef mf_actions *made = mf_actions_new()
    if made == NULL:
        raise MemoryError()
    if query is not None:
        asked = texts.slice(query)
    try:
        _fill_redirect(&raw, redirect, made)
        n = mf_change_location(&raw, texts.slice(scheme), texts.slice(authority), texts.slice(path), asked, &view[0],
                               _CHANGE_ROOM)
    finally:
        mf_actions_give(made)
    check(<int>n, "redirect")
    return bytes(room[:n]).decode(errors="replace")
