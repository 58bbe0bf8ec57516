"""Make the services' OpenAPI documents, so that the first start does not: `python -m relais_local.documents`."""

import importlib
import os
from pathlib import Path
from tempfile import TemporaryDirectory

from relais_local.home import Home

READ_BY_THE_GATEWAY = ("directory", "referral")
"""The services whose documents the gateway waits for."""


def make() -> None:
    """Assemble each service as if it were to serve, and let it make its document; nothing is started."""
    with TemporaryDirectory() as folder:
        Home(Path(folder)).prepare()
        os.environ["RELAIS_HOME"] = folder
        for service in READ_BY_THE_GATEWAY:
            os.environ[f"RELAIS_{service}_DSN".upper()] = "postgresql://nobody@localhost/nothing"
            importlib.import_module(f"relais_{service}.app").create_app().openapi()


if __name__ == "__main__":
    make()
