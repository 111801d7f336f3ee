# differ: what tells one long tuple from another that shares most of its objects.

from cpython.object cimport PyObject as _PyObject

cdef extern from "Python.h":
    _PyObject *_item "PyTuple_GET_ITEM"(object, Py_ssize_t)
    int _next "PyDict_Next"(object, Py_ssize_t *, _PyObject **, _PyObject **)

cdef enum:
    _NEAR = 64  # objects added or taken away in one place that are seen as such


cdef Py_ssize_t _find_near(tuple where, Py_ssize_t start, _PyObject *what):
    """How far after `start` an object comes, or 0."""
    for ahead in range(1, min(_NEAR, len(where) - 1 - start) + 1):
        if _item(where, start + ahead) == what:
            return ahead
    return 0


def differing(tuple old not None, tuple new not None) -> tuple:
    """What `old` has and `new` has not, and the other way round, compared by identity: a list each, in order.

    Both are walked side by side; where they part, what comes near on the other side was added or taken away. What that
    misses, because something moved far, ends in both lists and is taken out of them again.
    """
    cdef Py_ssize_t i = 0, j = 0, n = len(old), m = len(new), less, more
    cdef list gone = [], came = []
    if old is new:
        return gone, came
    while i < n and j < m:
        if _item(old, i) == _item(new, j):
            i += 1
            j += 1
            continue
        less = more = 0
        if i + 1 == n or j + 1 == m or _item(old, i + 1) != _item(new, j + 1):
            more = _find_near(new, j, _item(old, i))
            less = 0 if more else _find_near(old, i, _item(new, j))
        if less == more:  # one in the place of another
            less = more = 1
        gone.extend(old[i:i + less])
        came.extend(new[j:j + more])
        i += less
        j += more
    gone.extend(old[i:])
    came.extend(new[j:])
    moved = set(map(id, gone)) & set(map(id, came))
    if moved:
        gone = [one for one in gone if id(one) not in moved]
        came = [one for one in came if id(one) not in moved]
    return gone, came


def listed(mapping, tuple before not None) -> tuple:
    """The values of a mapping; `before` itself where they are the same objects in the same order."""
    cdef Py_ssize_t place = 0, i = 0
    cdef _PyObject *key
    cdef _PyObject *value
    if type(mapping) is dict and len(<dict>mapping) == len(before):
        while _next(mapping, &place, &key, &value) and value == _item(before, i):
            i += 1
        if i == len(before):
            return before
    return tuple(mapping.values())
