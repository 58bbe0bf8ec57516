"""The rules of finding as pure functions: no clock, no chance, no I/O."""
