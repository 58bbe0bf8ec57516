"""What travels: bodies and representations, by subject."""
