"""`python -m relais_referral`."""

from relais_referral.cli import app

app()
