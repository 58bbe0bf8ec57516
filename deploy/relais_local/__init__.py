"""Relais on one machine: the embedded PostgreSQL, the supervisor, the demonstration territory."""
