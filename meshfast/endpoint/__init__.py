"""Registries that the sidecar plays for its own application, on loopback: what it registers is heard, and what it looks
up is shown."""
