"""What must not happen. Only ever lowers what `dose` wants, shares no code with it. No hardware, no clock."""
