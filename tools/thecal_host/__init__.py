"""The host's side of the pump: the `thecal` command and the modules it is made of.

Read `cli` for what there is. Talking to a pump: `link` (the protocol), `ports` (where pumps are), `pump` (a
conversation with one), `live` (watching it), `serial_bench` (it as a board of the scenario runner). Judging
one: `programmed` (what should have flowed), `record` (runs as files), `report` (tables and pictures).
Experiments: `experiment`, `run` (`make run`, with `demo.toml`), `emulated` (`thecal bench`). Nothing here is
needed on the device, and nothing here is imported by the firmware.
"""
