"""The verbs of the command line, one module each. A module's ``command`` is its click command."""
