"""What happened. Imports nothing from the other rooms, no hardware and no clock."""
