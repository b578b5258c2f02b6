"""The host end of the board's USB serial port, as a well-behaved and as a badly behaved computer.

The emulator's own `USBCDC` hands the device an empty packet each time the device arms its OUT endpoint,
every 10 us for ever, so that an idle chip never sleeps. `UsbHost` answers only when it has bytes to
send: it remembers that the endpoint is armed and completes the transfer at the next `send`. Bytes wait
on this side, in any number, until the device takes them in packets of its own size.

`stop_reading` makes the host stop asking for IN packets. The packet that the device has armed is then
never taken, so its transmit FIFO fills and a writer blocks or times out, as with a real port that
nobody reads. `close_port` does the same and drops DTR, as a terminal does that quits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from rp2040py.peripherals.usb import RPUSBController
from rp2040py.usb.cdc import USBCDC

if TYPE_CHECKING:
    from rp2040py.rp2040 import RP2040

__all__ = ("HoldableUsb", "UsbHost", "install_holdable_usb")

_BUS_KEY = 0x50110  # the USB controller in RP2040.peripherals (bus address >> 12)


class HoldableUsb(RPUSBController):
    """The chip's USB controller, with IN endpoints whose packets the host may leave untaken."""

    def __init__(self, rp2040: RP2040, name: str) -> None:
        super().__init__(rp2040, name)
        self.held_in_endpoint: int | None = None
        self.out_transfers = 0  # OUT transfers completed, empty ones too
        self._untaken = False

    def _indicate_buffer_ready(self, endpoint: int, out: bool) -> None:
        if out:
            self.out_transfers += 1
        elif endpoint == self.held_in_endpoint:
            self._untaken = True
            return
        super()._indicate_buffer_ready(endpoint, out)

    def release_in_endpoint(self) -> None:
        """Take the packet that was left, if there is one, and those that follow."""
        endpoint, self.held_in_endpoint = self.held_in_endpoint, None
        if self._untaken and endpoint is not None:
            self._untaken = False
            super()._indicate_buffer_ready(endpoint, False)

    def reset(self) -> None:
        super().reset()
        self._untaken = False


def install_holdable_usb(rp2040: RP2040) -> HoldableUsb:
    """Replace the USB controller of a chip that has not booted yet."""
    if not isinstance(rp2040.peripherals.get(_BUS_KEY), RPUSBController):
        raise RuntimeError(f"this emulator has no USB controller at bus key {_BUS_KEY:#x}")
    usb = HoldableUsb(rp2040, "USB")
    rp2040.usb_ctrl = usb
    rp2040.peripherals[_BUS_KEY] = usb
    return usb


class UsbHost(USBCDC):
    """A host that sends what it has, reads while it likes, and holds DTR while the port is open.

    `on_data(bytes)` is called with what the device sends. `open` is true while DTR is asserted.
    """

    def __init__(self, usb: HoldableUsb) -> None:
        super().__init__(usb)
        self.on_data: Callable[[bytes], object] = lambda data: None
        self.reading = True
        self.open = True
        self._controller = usb
        self._to_send = bytearray()
        self._armed_bytes: deque[int] = deque()
        self._unread: list[bytes] = []
        self._emulator_read = usb.on_endpoint_read
        usb.on_endpoint_read = self._on_endpoint_read
        self.on_serial_data = self._on_serial_data
        self.on_device_connected = self._on_enumerated

    @property
    def connected(self) -> bool:
        """True once the device has enumerated and its line state has been set."""
        return self._initialized

    @property
    def unsent_bytes(self) -> int:
        """Bytes accepted by `send` that the device has not yet taken."""
        return len(self._to_send)

    def send(self, data: bytes) -> None:
        """Queue `data` for the device. Returns at once; the device takes it at its own pace."""
        self._to_send += data
        self._feed()

    def stop_reading(self) -> None:
        """Stop taking what the device sends, until `resume_reading`."""
        if not self.reading:
            return
        self.reading = False
        self._controller.held_in_endpoint = self._in_endpoint

    def resume_reading(self) -> None:
        """Take what has been left, then go on."""
        if self.reading:
            return
        self.reading = True
        unread, self._unread = self._unread, []
        for data in unread:
            self.on_data(data)
        self._controller.release_in_endpoint()

    def close_port(self) -> None:
        """Drop DTR and RTS and stop reading, as a terminal that closes the port."""
        if self.open:
            self.open = False
            self._set_lines()
            self.stop_reading()

    def open_port(self) -> None:
        """Raise DTR and RTS and read again."""
        if not self.open:
            self.open = True
            self._set_lines()
            self.resume_reading()

    def _set_lines(self) -> None:
        if self._initialized:  # otherwise enumeration will do it
            self.set_control_lines(dtr=self.open, rts=self.open)

    def _feed(self) -> None:
        while self._to_send and self._armed_bytes:
            size = self._armed_bytes.popleft()
            packet = bytes(self._to_send[:size])
            del self._to_send[: len(packet)]
            self.usb.endpoint_read_done(self._out_endpoint, packet)

    def _on_endpoint_read(self, endpoint: int, size: int) -> None:
        if endpoint == self._out_endpoint:
            self._armed_bytes.append(size)
            self._feed()
        elif self._emulator_read is not None:
            self._emulator_read(endpoint, size)

    def _on_serial_data(self, data: bytes | bytearray) -> None:
        if self.reading:
            self.on_data(bytes(data))
        else:
            self._unread.append(bytes(data))

    def _on_enumerated(self) -> None:
        """The device is back on the bus: the port stays as this side had left it."""
        if not self.open:
            self._set_lines()  # enumeration has raised them
        if not self.reading:
            self._controller.held_in_endpoint = self._in_endpoint

    def _on_controller_reset(self) -> None:
        super()._on_controller_reset()
        self._armed_bytes.clear()
        self._to_send.clear()
        self._unread.clear()
        self._controller.held_in_endpoint = None
