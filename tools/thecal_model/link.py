"""The serial protocol as the host sees it: a frame codec, and a client that matches replies to requests.

Read from the top: a *frame* is one line, `JSON SPACE CRC LF`, where CRC is the CRC-32 of the JSON bytes
as eight lowercase hex digits; a request to a paired pump may be signed (`signing`). `encode` makes one,
`Decoder` cuts a byte stream into frames and `FrameError`s, `LinkClient` numbers requests, keeps replies,
hands on telemetry and counts what was lost.
Nothing here opens a port, sleeps or knows the time: bytes go out through a function and come in by `feed`,
so the same client drives a board, the emulated chip and a test.

All numbers are integers. A float is refused in both directions, because the device has none.
"""

from __future__ import annotations

import json
import re
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from thecal.link import commands
from thecal.smallint import LARGEST

from thecal_model import crc
from thecal_model.signing import Signer

PROTOCOL_VERSION = 2

# The device refuses longer lines and never sends one; the line end counts.
FRAME_MAX_BYTES = 4096

# Errors of a request that was not looked into, because of its signature.
UNHEARD = ("not_signed", "bad_auth", "replayed", "auth_wait", "unpaired")

# What a bench says to a TCP client while it serves another one, before it hangs up.
IN_USE = b"in use: another program is connected to this pump\n"

# " " + eight hex digits.
_CRC_TAIL_BYTES = 9
_CRC_TAIL = re.compile(rb" [0-9a-f]{8}\Z")

# The device compares ids as small ints: stay below 2^30 and start over.
REQUEST_ID_END = LARGEST + 1

# What a client draws when it starts; with the number of a request it is the ID of a command.
RUN_BITS = 31

# Replies that a client keeps; whoever asked has looked for his by then.
MOST_REPLIES = 256

# And requests that nobody has answered: a pump that is silent is asked again and again.
MOST_ASKED = 1_024

# What the other end said that was no frame, kept for error messages: a few lines tell what it is.
_NOISE_LINES = 8


class LinkError(Exception):
    """A frame that must not be sent (a float, an unknown type, too long)."""


@dataclass(frozen=True)
class FrameError:
    """A line that is no frame. `code` is `bad_crc`, `bad_frame` or `oversize`, `line` the bytes of it."""

    code: str
    message: str
    line: bytes


def _refuse_float(text: str) -> NoReturn:
    raise ValueError(f"{text} is not an integer")


def _check_integers(value: Any, where: str) -> None:
    if value is None or isinstance(value, (bool, int, str)):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise LinkError(f"{where}: the key {key!r} is not a string")
            _check_integers(item, f"{where}.{key}")
        return
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check_integers(item, f"{where}[{index}]")
        return
    kind = type(value).__name__
    raise LinkError(f"{where}: {value!r} is a {kind}; only integers, strings and truth values are sent")


def encode(obj: dict[str, Any]) -> bytes:
    """One frame. Raises LinkError for a float anywhere in `obj` and for a frame over FRAME_MAX_BYTES."""
    body = _body(obj)
    return _checked(body + b" " + crc.digits(body) + b"\n")


def _body(obj: dict[str, Any]) -> bytes:
    _check_integers(obj, "frame")
    return json.dumps(obj, separators=(",", ":")).encode("ascii")


def _checked(frame: bytes) -> bytes:
    if len(frame) > FRAME_MAX_BYTES:
        raise LinkError(f"the frame is {len(frame)} bytes long, the link takes {FRAME_MAX_BYTES}")
    return frame


def decode_line(line: bytes) -> dict[str, Any] | FrameError:
    """One line, without its LF, as a frame or as the reason why it is none. Never raises."""
    if line.endswith(b"\r"):
        line = line[:-1]
    if _CRC_TAIL.search(line) is None:
        return FrameError("bad_frame", "no CRC at the end of the line", line)
    body, given = line[:-_CRC_TAIL_BYTES], line[-8:]
    if crc.digits(body) != given:
        found, said = crc.digits(body).decode(), given.decode()
        return FrameError("bad_crc", f"CRC is {found}, the line says {said}", line)
    try:
        frame = json.loads(body, parse_float=_refuse_float, parse_constant=_refuse_float)
    except (ValueError, RecursionError) as why:
        return FrameError("bad_frame", f"CRC holds, but: {why}", line)
    if not isinstance(frame, dict):
        return FrameError("bad_frame", "CRC holds, but it is not a JSON object", line)
    return frame


def new_run() -> str:
    """The run of a client: 31 random bits as eight hex digits."""
    return f"{secrets.randbits(RUN_BITS):08x}"


def needs_id(cmd: str) -> bool:
    """Whether the pump wants an ID with this command: what changes something is carried out once."""
    command = commands.find(cmd)
    return command is None or command.changes != commands.READS


class Decoder:
    """Cuts a stream of bytes into frames and errors; whatever came before, the next good line is understood.

    Memory is bounded by FRAME_MAX_BYTES: a longer line is reported once as `oversize` (with its beginning)
    and skipped up to its LF. Empty lines are nothing: a terminal or a device may send them to end a torn one.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self._skipping = False

    @property
    def unfinished(self) -> bytes:
        """The bytes of the line that has no end yet, as a prompt has none."""
        return bytes(self._pending)

    def feed(self, data: bytes) -> list[dict[str, Any] | FrameError]:
        """Everything that the bytes complete, in order."""
        found: list[dict[str, Any] | FrameError] = []
        *ended, rest = bytes(data).split(b"\n")
        for part in ended:
            self._take(part, found)
            if not self._skipping:
                line = bytes(self._pending)
                if line.strip(b"\r"):
                    found.append(decode_line(line))
            self._pending.clear()
            self._skipping = False
        self._take(rest, found)
        return found

    def _take(self, part: bytes, found: list[dict[str, Any] | FrameError]) -> None:
        if self._skipping:
            return
        self._pending += part
        # The LF counts in FRAME_MAX_BYTES and is not in here; that byte is room for a CR before it.
        if len(self._pending) > FRAME_MAX_BYTES:
            beginning = bytes(self._pending[:64])
            found.append(FrameError("oversize", f"line over {FRAME_MAX_BYTES} bytes", beginning))
            self._pending.clear()
            self._skipping = True


class LinkClient:
    """The host's end of one connection: send by a function, receive by `feed`.

    `on_event` and `on_status` are called with each frame as it is fed. `events` keeps all events, or the last
    `most_events` for who listens for ever; `events_forgotten` counts the others.
    What changes something carries `run` beside `id`, so that the pump carries it out once (REC-03). From the
    answer to a `hello` until the pump boots again it also names the `boot`, and need not wait for the flash.
    With a `signer` requests to a paired pump are signed; without one none is.
    Counters: `gaps` telemetry frames that never came (from the sequence numbers, each type counts alone),
    `crc_errors`, `bad_frames` (not a frame, oversize ones too), `restarts` (a sequence began anew: the device
    booted), `stray_replies` (an id that this client never asked), `auth_waits` (the pump looks at no
    signature for a moment, and may say so of some lines only). `noise` holds the last lines that were no
    frame, for error messages.
    """

    def __init__(
        self,
        send: Callable[[bytes], object],
        first_id: int = 1,
        run: str | None = None,
        most_events: int | None = None,
    ) -> None:
        self._send = send
        self._most_events = most_events
        self.run = new_run() if run is None else run
        self.boot: int | None = None
        self._decoder = Decoder()
        self._next_id = first_id
        self.last_id = 0  # of the last request, also of one that could not be sent
        self.signer: Signer | None = None
        self._asked: dict[int, tuple[str, bytes]] = {}  # command and JSON
        self._replies: dict[int, dict[str, Any]] = {}
        self._last_seq: dict[str, int] = {}
        self.on_event: Callable[[dict[str, Any]], object] | None = None
        self.on_status: Callable[[dict[str, Any]], object] | None = None
        self.events: list[dict[str, Any]] = []
        self.events_forgotten = 0
        self.last_status: dict[str, Any] | None = None
        self.gaps = 0
        self.crc_errors = 0
        self.bad_frames = 0
        self.restarts = 0
        self.stray_replies = 0
        self.auth_waits = 0
        self.last_stray_reply: dict[str, Any] | None = None
        self.noise: deque[bytes] = deque(maxlen=_NOISE_LINES)

    def request(self, cmd: str, **args: Any) -> int:
        """Send one request and return its id; `reply(id)` has the answer once it was fed."""
        request_id = self.last_id = self._next_id
        body = _body({"id": request_id, **self._identity(cmd), "cmd": cmd, **args})
        frame = self._frame(cmd, body)
        self._next_id = request_id + 1
        if self._next_id == REQUEST_ID_END:  # an ID is not used twice
            self._next_id, self.run = 1, new_run()
        self._asked[request_id] = cmd, body
        if len(self._asked) > MOST_ASKED:
            del self._asked[next(iter(self._asked))]
        self._replies.pop(request_id, None)
        self._send(frame)
        return request_id

    def again(self, request_id: int, signed: bool = True) -> None:
        """Send a request once more, as it was but with a signature of now, or without one: to the pump it is
        the same. Only for one without a reply, or of which the reply says that it was not looked into.
        """
        cmd, body = self._asked[request_id]
        self._replies.pop(request_id, None)
        self._send(self._frame(cmd, body, signed))

    def _frame(self, cmd: str, body: bytes, signed: bool = True) -> bytes:
        line = self.signer.line(cmd, body) if self.signer is not None and signed else None
        return _checked((line or body + b" " + crc.digits(body)) + b"\n")

    def _identity(self, cmd: str) -> dict[str, Any]:
        if not needs_id(cmd):
            return {}
        # A stop acts in whatever boot it comes.
        named = {} if self.boot is None or cmd == commands.STOP else {"boot": self.boot}
        return {"run": self.run, **named}

    def reply(self, request_id: int) -> dict[str, Any] | None:
        """The last reply to a request, or None while there is none.

        A request with an `at_tick` is answered twice: `held` when it has come, and the outcome at its tick.
        """
        return self._replies.get(request_id)

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Take bytes from the device; return the frames they complete, replies and telemetry alike."""
        frames: list[dict[str, Any]] = []
        for item in self._decoder.feed(data):
            if isinstance(item, FrameError):
                self._count_error(item)
            else:
                frames.append(item)
                self._dispatch(item)
        return frames

    @property
    def unfinished(self) -> bytes:
        """The bytes of the line that has no end yet."""
        return self._decoder.unfinished

    def line_lost(self) -> None:
        """The port was opened anew: half a line from before has no other half."""
        self._decoder = Decoder()

    def forget_losses(self) -> None:
        """Count from here: a client that joins a talking pump finds half a line and old frames first."""
        self.gaps = self.crc_errors = self.bad_frames = self.restarts = self.stray_replies = 0

    def _count_error(self, error: FrameError) -> None:
        if error.code == "bad_crc":
            self.crc_errors += 1
        else:
            self.bad_frames += 1
        self.noise.append(error.line)

    def _dispatch(self, frame: dict[str, Any]) -> None:
        kind = frame.get("type")
        if kind == "reply":
            self.auth_waits += frame.get("error") == "auth_wait"
            request_id = frame.get("id")
            ours = frame.get("run", self.run) == self.run
            if isinstance(request_id, int) and request_id in self._asked and ours:
                if frame.get("held") is not True and frame.get("error") not in UNHEARD:
                    del self._asked[request_id]
                self._replies.pop(request_id, None)
                self._replies[request_id] = frame
                if len(self._replies) > MOST_REPLIES:
                    del self._replies[next(iter(self._replies))]
                self.boot = frame.get("boot", self.boot)
            else:
                self.stray_replies += 1
                self.last_stray_reply = frame
            return
        if isinstance(kind, str):
            self._count_sequence(kind, frame.get("seq"))
        if kind == "event":
            if frame.get("code") == "boot":
                self.boot = None
            self.events.append(frame)
            if self._most_events is not None and len(self.events) > self._most_events:
                del self.events[0]
                self.events_forgotten += 1
            if self.on_event is not None:
                self.on_event(frame)
        elif kind == "status":
            self.last_status = frame
            if self.on_status is not None:
                self.on_status(frame)

    def _count_sequence(self, kind: str, seq: Any) -> None:
        if not isinstance(seq, int):
            return
        last = self._last_seq.get(kind)
        self._last_seq[kind] = seq
        if last is None:
            # Joining late is no loss.
            return
        if seq <= last:
            self.restarts += 1
        else:
            self.gaps += seq - last - 1
