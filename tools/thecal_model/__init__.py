"""What the bench and the host's program both speak; neither needs the other for it, and this needs neither.

`quantities` (text with a unit to an exact number) and `text` (back); `therapy` (what is prescribed),
`programming` (on its way to a pump), `readback` (what came back, held against what was sent), `kept` (as the
pump keeps it), `foreknown` (what a pump will refuse); `link` (the client's end of the serial link),
`signing` (a request in a role), `crc`; `toml_lines` and `problems` (what is wrong in a file, and where).
"""
