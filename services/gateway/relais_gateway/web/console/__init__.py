"""The console: what administrators and data managers look after, through the public API and with their own rights."""
