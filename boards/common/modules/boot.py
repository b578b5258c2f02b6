"""Does nothing, on purpose: a frozen boot.py is run instead of any boot.py left on the filesystem."""
