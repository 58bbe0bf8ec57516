"""Mappings for files that are published as they are."""
