# What is frozen into the image: the port's PIO assembler, this board's start-up files and the firmware. The
# image holds everything it runs, in the order it runs: _boot.py, boot.py, main.py.
module("rp2.py", base_path="$(PORT_DIR)/modules")
module("_boot.py", base_path="$(BOARD_DIR)/modules")
module("boot.py", base_path="$(BOARD_DIR)/modules")
module("main.py", base_path="$(BOARD_DIR)/../../firmware")
package("thecal", base_path="$(BOARD_DIR)/../../firmware")
