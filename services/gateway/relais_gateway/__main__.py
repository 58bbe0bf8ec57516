"""`python -m relais_gateway`."""

from relais_gateway.cli import app

app()
