"""Faults under load: what a sidecar does when networks, peers, descriptors, files and clocks do their worst."""
