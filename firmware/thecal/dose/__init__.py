"""What should flow. From a prescription to the position the rotor ought to have.

`units` (dose to rate), `mechanism` (volume to microsteps), `rate` (exact accumulation), `prescription` (what
is programmed and whether it may be), `delivery` (what is owed by whom). Imports nothing from the other rooms,
no hardware and no clock.
"""
