"""The host's side of the pump: the `thecal` command and the modules it is made of.

Read `cli` for what there is. It stands on `thecal_model` (the link, therapies, text). Talking to a pump:
`ports` (where pumps are), `connection` (a line to one), `pump` (a conversation), `live` (watching it).
Judging one: `programmed` (what should have flowed), `record` (runs as files), `report` and `picture` (tables
and pictures). Experiments, all that knows a bench: `experiment`, `run` (`make run`, with `demo.toml`),
`emulated` (`thecal bench`), `serial_bench` (a pump as a board of the scenario runner). Nothing here is needed
on the device, and nothing here is imported by the firmware.
"""
