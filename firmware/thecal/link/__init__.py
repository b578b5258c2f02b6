"""Who said so: frames, commands and who may give them, telemetry. Imports nothing from the other rooms."""
