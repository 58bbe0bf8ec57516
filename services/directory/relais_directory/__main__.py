"""`python -m relais_directory`."""

from relais_directory.cli import app

app()
