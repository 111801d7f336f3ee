"""The mark that names a benchmark's twin in C, which the report puts beside it."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "twin(name): the same work in C, by its name in bench/c; no name: there is none")


@pytest.fixture(autouse=True)
def _twin(request: pytest.FixtureRequest, benchmark) -> None:  # type: ignore[no-untyped-def]
    mark = request.node.get_closest_marker("twin")
    benchmark.extra_info["twin"] = mark.args[0] if mark and mark.args else None
