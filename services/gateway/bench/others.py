"""What the door is measured beside: nginx as the service behind, as a plain proxy, and with `auth_request`."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from urllib.request import urlopen

from support.stack import free_ports

UP_WITHIN_S = 60
LINE = "Une ligne de la fiche d'un service, en français." * 2
BODY = json.dumps({"items": [{"id": number, "text": LINE} for number in range(40)]})
"""Some 5 kB, as a page of ten lean cards."""
THING = "/v1/directory/thing"
DOCUMENT: dict[str, Any] = {"paths": {THING: {"get": {"security": [{"oauth2": ["directory:read"]}]}}}}

_FRAME = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
{rest}
}}
"""
_BEHIND = """
  server {{
    listen 127.0.0.1:{port};
    root {folder}/files;
    default_type application/json;
    location = /readyz {{ return 200; }}
    location = /internal/registry {{ return 200 '{{"taken": true}}'; }}
  }}
"""
_PLAIN = """
  upstream behind {{ server 127.0.0.1:{behind}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
"""
_ASKING = """
  upstream behind {{ server 127.0.0.1:{behind}; keepalive 64; keepalive_requests 100000000; }}
  upstream authoriser {{ server 127.0.0.1:{authoriser}; keepalive 64; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      auth_request /asked;
      auth_request_set $assertion $upstream_http_relais_assertion;
      proxy_set_header Authorization "Bearer $assertion";
      proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
    location = /asked {{
      internal;
      proxy_pass http://authoriser{prefix}$request_uri; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_pass_request_body off; proxy_set_header Content-Length "";
    }}
  }}
"""


def nginx_there() -> bool:
    """Say whether Debian's nginx and the load generator are installed, and what to do where they are not."""
    missing = [name for name in ("nginx", "wrk") if shutil.which(name, path=_path()) is None]
    if missing:
        print(
            f"There is no {' and no '.join(missing)} here: the door is measured beside nothing "
            f"(Debian: apt-get install nginx-light wrk)."
        )
    return not missing


def _path() -> str:
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])


@contextmanager
def _nginx(folder: Path, rest: str, **facts: int | str) -> Iterator[tuple[int, int]]:
    """Run an nginx of its own; answer its port and its worker's process."""
    folder.mkdir(parents=True)
    (port,) = free_ports(1)
    inner = rest.format(folder=folder, port=port, **facts)
    (folder / "conf").write_text(_FRAME.format(folder=folder, rest=inner))
    command = [shutil.which("nginx", path=_path()) or "nginx", "-e", "stderr", "-p", str(folder), "-c", "conf"]
    with process(command, {}, f"http://127.0.0.1:{port}/readyz") as started:
        children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
        yield port, int(children[0])


@contextmanager
def behind(folder: Path) -> Iterator[tuple[int, int]]:
    """Run the service that everybody forwards to: files, served by nginx."""
    files = folder / "files"
    (files / THING.removeprefix("/")).parent.mkdir(parents=True)
    (files / THING.removeprefix("/")).write_text(BODY)
    (files / "openapi.json").write_text(json.dumps(DOCUMENT))
    for one in (folder, *folder.rglob("*")):
        one.chmod(0o755 if one.is_dir() else 0o644)
    with _nginx(folder / "nginx", _BEHIND.replace("{folder}/files", str(files))) as found:
        yield found


@contextmanager
def plain(folder: Path, port: int) -> Iterator[tuple[int, int]]:
    """Run nginx as a plain proxy, which asks nobody."""
    with _nginx(folder, _PLAIN, behind=port) as found:
        yield found


@contextmanager
def asking(folder: Path, port: int, authoriser: int, prefix: str) -> Iterator[tuple[int, int]]:
    """Run nginx with `auth_request`: each request is first asked of the authoriser, below a prefix."""
    with _nginx(folder, _ASKING, behind=port, authoriser=authoriser, prefix=prefix) as found:
        yield found


@contextmanager
def process(command: list[str], environment: Mapping[str, str], url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends; wait until it answers anything at `url`. What it says is shown if it ends."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RELAIS_", "OTEL_"))}
    with TemporaryFile() as said:
        started = subprocess.Popen(command, env={**inherited, **environment}, stdout=said, stderr=said)
        try:
            until = time.monotonic() + UP_WITHIN_S
            while not _answers(url):
                if started.poll() is not None or time.monotonic() > until:
                    said.seek(0)
                    raise SystemExit(f"{command} does not answer:\n{said.read().decode()}")
                time.sleep(0.05)
            yield started
        finally:
            started.terminate()
            with suppress(subprocess.TimeoutExpired):
                started.wait(timeout=20)


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2):  # noqa: S310 - our own address
            return True
    except OSError as fault:
        return getattr(fault, "code", None) is not None
