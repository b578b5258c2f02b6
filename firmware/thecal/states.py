"""The states of the pump and the moves between them: one table, one door (`Pump.enter`).

BOOT: nothing is known yet. POST: self-test. STOPPED: by command, or not started. PRIMING: filling the line,
or drawing back what a blocked one holds. RUNNING: delivering, forward only. HALTED: stopped by an alarm,
until acknowledged. The motor has power in PRIMING and RUNNING only.
"""

STATES = ("BOOT", "POST", "STOPPED", "RUNNING", "HALTED", "PRIMING")
BOOT, POST, STOPPED, RUNNING, HALTED, PRIMING = range(len(STATES))
MOVING = (RUNNING, PRIMING)  # the motor has power

# From each state, where to.
MOVES = (
    (POST,),  # BOOT
    (STOPPED, HALTED),  # POST
    (RUNNING, PRIMING, HALTED),  # STOPPED
    (STOPPED, HALTED),  # RUNNING
    (STOPPED, PRIMING),  # HALTED
    (STOPPED, HALTED),  # PRIMING
)
