"""The directory: local resources, found by place and need."""
