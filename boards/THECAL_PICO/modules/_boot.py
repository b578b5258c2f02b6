"""First code on the board: mounts the filesystem if there is one, and never makes one.

The port's own version formats the flash whenever mounting fails, which would erase the pump's records after
one bad read. Here a flash without a sound filesystem just stays unmounted: everything the pump needs is
frozen.
"""

import sys

import rp2
import vfs

try:
    vfs.mount(vfs.VfsLfs2(rp2.Flash(), progsize=256), "/")
except OSError:
    pass  # empty or damaged: left as it is for whoever has to look at it

# A module left on the filesystem must not replace one of the image.
sys.path[:] = [".frozen"]
