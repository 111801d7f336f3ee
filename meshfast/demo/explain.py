"""The answer of a sidecar's explain page, boiled down to a few words."""
