"""Types of the extension module, part by part as in bind/."""
