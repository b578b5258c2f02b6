"""Who said so. Frames, commands and who may give them, and telemetry. Imports nothing from the other rooms."""
