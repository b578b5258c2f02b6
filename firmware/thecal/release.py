"""Whether this is the release image, which has no prompt and no compiler. The bench's has this file;
`make image RELEASE=1` freezes the other of the same name, of `boards/common/release`.
"""

RELEASE = False
