"""meshfast: a service-mesh sidecar data plane for Dubbo and HTTP/2."""

from meshfast.errors import ConfigError, LimitError, MeshfastError, ProtocolError, SourceError, StateError

__all__ = ["ConfigError", "LimitError", "MeshfastError", "ProtocolError", "SourceError", "StateError"]

__version__ = "0.1.0"
