"""What is printed, sent along and kept as proof: text and bytes from plain facts, no clock, no database."""
