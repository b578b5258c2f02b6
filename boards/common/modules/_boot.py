"""First code on the board: mounts nothing and makes nothing.

The port's own version mounts a filesystem, and formats the flash whenever that fails. Here that flash is the
journal's (`thecal.record.journal`), which knows by itself what is in it; everything else is frozen.
"""

import sys

# Should somebody mount a filesystem by hand, a module on it must not replace one of the image.
sys.path[:] = [".frozen"]
