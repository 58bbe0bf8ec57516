"""The rules of the door as pure functions: no clock, no chance, no I/O."""
