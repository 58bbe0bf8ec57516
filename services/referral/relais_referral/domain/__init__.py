"""The rules of a hand-over as pure functions: no clock, no chance, no I/O."""
