"""The end-to-end comparison with other proxies; see bench/README.md. Not part of the installed package."""
