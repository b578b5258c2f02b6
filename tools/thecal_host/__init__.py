"""The host's side of the pump: the `thecal` command and the modules it is made of.

`link` speaks the serial protocol, `ports` finds and opens a pump, `pump` holds a conversation with
one, `oracle` says what should have flowed, `report` prints and draws it, `cli` is the command. Nothing
here is needed on the device, and nothing here is imported by the firmware.
"""
