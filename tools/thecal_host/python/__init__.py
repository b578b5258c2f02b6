"""Driving a pump from Python: `from thecal_host import Pump`.

`pump` has ten verbs with units, `asynchronous` the same for asyncio, `lab` a pump in the form that lab
automation knows. `amounts` reads quantities, `bench_port` is a pump in this process, for trying things out.
All of it stands on `thecal_host.pump`, the conversation that the command has too, and raises what that does:
`PumpError`, `PortError`, `QuantityError`, each with a sentence that says what to do.
"""
