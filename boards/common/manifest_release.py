# What is frozen into the release image: the same, but for the one file that says which image it is.
include("manifest.py", release=True)
