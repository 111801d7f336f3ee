"""Micro-benchmarks: the Python faces, each beside its twin in C (bench/c)."""
