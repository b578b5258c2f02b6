"""What takes the place of `firmware/thecal/release.py` in the release image."""

RELEASE = True
