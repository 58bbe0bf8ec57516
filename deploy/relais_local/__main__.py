"""`python -m relais_local` is `relais`, where no command was installed."""

from relais_local.cli import main

main()
