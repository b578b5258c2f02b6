"""Version of the firmware and of the serial protocol; the image's record and `hello` read it from here."""

VERSION = "0.1.0"
PROTOCOL = 2
