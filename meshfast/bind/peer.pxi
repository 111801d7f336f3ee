# peer: what is told of each address that calls may be sent to.


cdef void _add_detail(void *arg, mf_peer *peer) noexcept with gil:
    now, until = mf_clock_ns(), mf_read64(&peer.down_until)
    (<dict>arg)[peer.text.decode()] = {
        "available": until <= now, "down_for": max(0, until - now) / 1e9, "listed": bool(mf_peer_listed(peer)),
        "calls": mf_read64(&peer.calls), "calls_active": mf_read64(&peer.calls_active),
        "connections": mf_read64(&peer.connections), "failures": mf_read64(&peer.failures),
        "in_flight": mf_read32(&peer.in_flight),
    }


cdef void _add_calls(void *arg, mf_peer *peer) noexcept with gil:
    (<dict>arg)[peer.text.decode()] = mf_read64(&peer.calls)


cdef void _add_called(void *arg, mf_peer *peer) noexcept nogil:
    if mf_read64(&peer.calls):
        _add_calls(arg, peer)


cdef void _add_peer(void *arg, mf_peer *peer) noexcept with gil:
    (<dict>arg)[peer.text.decode()] = bool(mf_peer_available(peer, mf_clock_ns()))
