"""The gateway's own operations on HTTP."""
