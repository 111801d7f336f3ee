# cython: language_level=3
"""The one extension module. Its parts lie in bind/, one per floor of the core; its types in _core.pyi."""

cimport cython as _cython

from meshfast.core cimport *

include "bind/check.pxi"
include "bind/codec.pxi"
include "bind/exchange.pxi"
include "bind/http2.pxi"
include "bind/differ.pxi"
include "bind/query.pxi"
include "bind/http2_view.pxi"
include "bind/policy.pxi"
include "bind/guard.pxi"
include "bind/shared.pxi"
include "bind/subset.pxi"
include "bind/peer.pxi"
include "bind/table.pxi"
include "bind/change.pxi"
include "bind/loop.pxi"
include "bind/passed.pxi"
include "bind/worker.pxi"
