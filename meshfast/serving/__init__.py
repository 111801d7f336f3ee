"""Serving HTTP/2 and gRPC from Python: one connection, whatever is behind it. The sidecar's endpoint and the SDK do."""
