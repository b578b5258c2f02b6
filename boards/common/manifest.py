# What is frozen into the image: the port's PIO assembler, the start-up files beside this and all of the
# firmware. It holds everything it runs, in the order it runs: _boot.py, boot.py, main.py.
from glob import glob

options.defaults(release=False)
module("rp2.py", base_path="$(PORT_DIR)/modules")
module("_boot.py", base_path="modules")
module("boot.py", base_path="modules")
# File by file and sorted: package() takes files as the file system lists them, so that every disk gives
# another image.
for path in sorted(glob("**/*.py", root_dir="../../firmware", recursive=True)):
    replaced = options.release and path == "thecal/release.py"
    module(path, base_path="release" if replaced else "../../firmware")
