"""The states of the pump and the moves between them: one table, one door (`Pump.enter`).

BOOT: nothing is known yet. POST: self-test. STOPPED: by command, or not started. RUNNING: delivering. HALTED:
stopped by a fault, until acknowledged. The motor has power in RUNNING only.
"""

STATES = ("BOOT", "POST", "STOPPED", "RUNNING", "HALTED")
BOOT, POST, STOPPED, RUNNING, HALTED = range(len(STATES))

# From each state, where to.
MOVES = (
    (POST,),  # BOOT
    (STOPPED, HALTED),  # POST
    (RUNNING, HALTED),  # STOPPED
    (STOPPED, HALTED),  # RUNNING
    (STOPPED,),  # HALTED
)
