"""``python -m meshfast``."""

from meshfast.cli import main

main()
