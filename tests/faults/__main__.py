"""``make faults``: plays the rows on both loops, prints the table, writes JSON and HTML."""

from __future__ import annotations

from faults.run import main

main()
