"""The directory on HTTP."""
