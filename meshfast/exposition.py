"""Prometheus' text format (version 0.0.4), written in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = ["Family", "Metric", "labelled", "pieces"]

#: Characters that a piece has at least, but the last; one batch of lines is never split.
PIECE = 16384


@dataclass(frozen=True, slots=True)
class Metric:
    """A family of samples. ``kind`` is "counter", "gauge" or "histogram"; ``labels`` are those of every sample."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()

    def line(self, values: tuple[str, ...], value: float) -> str:
        """A sample with these values of its labels."""
        return sample(self.name, labelled(self.labels, values), value)


#: A metric and its lines, in batches; an empty batch is a chance for others to go on.
Family = tuple[Metric, Iterable[list[str]]]


def labelled(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """What stands between the braces."""
    return ",".join(f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True))


def sample(name: str, inside: str, value: float) -> str:
    """One line; ``inside`` as ``labelled`` gives it."""
    number = str(int(value)) if value == int(value) else repr(value)
    return f"{name}{{{inside}}} {number}\n" if inside else f"{name} {number}\n"


def pieces(families: Iterable[Family]) -> Iterator[str]:
    """The page. A family without samples is left out."""
    out: list[str] = []
    size = 0
    for metric, batches in families:
        head = f"# HELP {metric.name} {_help(metric.text)}\n# TYPE {metric.name} {metric.kind}\n"
        for lines in batches:
            if not lines:
                yield ""
                continue
            text = head + "".join(lines)
            head = ""
            out.append(text)
            size += len(text)
            if size >= PIECE:
                yield "".join(out)
                out.clear()
                size = 0
    yield "".join(out)


def _escape(text: str) -> str:
    if text.isalnum():
        return text
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
