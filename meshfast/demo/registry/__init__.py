"""The demonstration of a registry: who stands in it, and what goes on while a sidecar, or an application, is away."""
