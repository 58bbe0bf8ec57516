"""What is called is what was judged: one resolution, the connection to that address, the certificate of the name."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from relais_shared.client import Outside, Unreached
from relais_shared.lines import Answered
from relais_shared.outside import ForbiddenAddress, Target

pytestmark = pytest.mark.anyio

NAME = "hooks.partner.org"


def certify(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a certificate for a name and its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / f"{name}.crt", folder / f"{name}.key"
    cert.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert, private


@asynccontextmanager
async def listening(cert: Path, key: Path) -> AsyncIterator[tuple[int, list[str]]]:
    """Run a TLS server; answer its port and what it hears: the name that TLS asks for, then the head."""
    heard: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.sni_callback = lambda _socket, name, _context: heard.append(str(name))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append((await reader.readuntil(b"\r\n\r\n")).decode())
        await reader.readexactly(4)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()


class Names:
    """A name server that counts how often it is asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> list[str]:
        """Answer the next address."""
        self.asked += 1
        return [self.answers[min(self.asked, len(self.answers)) - 1]]


@asynccontextmanager
async def sending(names: Names, trusted: Path) -> AsyncIterator[Outside]:
    """Answer a sender that trusts one certificate."""
    outside = Outside(names, verify=ssl.create_default_context(cafile=str(trusted)))
    yield outside
    await outside.close()


async def test_the_name_is_asked_once_and_its_certificate_checked(tmp_path: Path) -> None:
    cert, key = certify(tmp_path, NAME)
    # Asked a second time, it would lead elsewhere.
    names = Names("127.0.0.1", "10.0.0.1")
    async with listening(cert, key) as (port, heard), sending(names, cert) as outside:
        wanted = Target("https", NAME, port, "/in?tenant=7", loopback=True)
        assert await outside.post(wanted, b"body", {"webhook-id": "1"}) == Answered(200, None)
    assert names.asked == 1
    assert heard[0] == NAME
    assert heard[1].startswith("POST /in?tenant=7 HTTP/1.1\r\n")
    assert f"Host: {NAME}:{port}\r\n" in heard[1]


async def test_another_name_or_nobodys_certificate_is_not_spoken_to(tmp_path: Path) -> None:
    cert, key = certify(tmp_path, NAME)
    other, other_key = certify(tmp_path, "other.partner.org")
    for trusted, served, its_key in ((other, cert, key), (other, other, other_key)):
        async with listening(served, its_key) as (port, heard), sending(Names("127.0.0.1"), trusted) as outside:
            with pytest.raises(Unreached, match="tls"):
                await outside.post(Target("https", NAME, port, "/", loopback=True), b"body", {})
        assert heard == [NAME]


async def test_nothing_is_connected_to_where_a_name_leads_inside(tmp_path: Path) -> None:
    cert, key = certify(tmp_path, NAME)
    async with listening(cert, key) as (port, heard), sending(Names("127.0.0.1"), cert) as outside:
        with pytest.raises(ForbiddenAddress):
            await outside.post(Target("https", NAME, port, "/"), b"body", {})
    assert heard == []


@dataclass
class Plain:
    """A server without TLS that answers each message with what it is told, and counts who comes and what."""

    answers: tuple[bytes, ...]
    port: int = 0
    connections: int = 0
    messages: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a connection's messages one after the other; close it when there are no more answers."""
        self.connections += 1
        try:
            for answer in self.answers:
                await reader.readuntil(b"\r\n\r\nbody")
                self.messages += 1
                writer.write(answer)
            if len(self.answers) > 1:
                await reader.read(1)
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def answering(*answers: bytes) -> AsyncIterator[Plain]:
    """Run one, on every address of this machine."""
    plain = Plain(answers)
    server = await asyncio.start_server(plain.serve, "0.0.0.0", 0)  # noqa: S104 - 127.0.0.2 is one of ours, too
    plain.port = server.sockets[0].getsockname()[1]
    try:
        yield plain
    finally:
        server.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def test_a_connection_is_kept_for_its_name_at_its_address_alone() -> None:
    names = Names("127.0.0.1", "127.0.0.1", "127.0.0.2")
    outside = Outside(names)
    async with answering(OK, OK, OK) as plain:
        wanted = Target("http", "localhost", plain.port, "/", loopback=True)
        for connections in (1, 1, 2):
            assert await outside.post(wanted, b"body", {}) == Answered(200, None)
            assert plain.connections == connections
        other = Target("http", "other", plain.port, "/", loopback=True)
        await outside.post(other, b"body", {})
        assert plain.connections == 2  # Without TLS a name is nothing but its address.
        await outside.close()
    # Each time anew, and judged each time.
    assert names.asked == 4
    names.answers = ["10.0.0.1"]
    with pytest.raises(ForbiddenAddress):
        await outside.post(wanted, b"body", {})


async def test_a_kept_connection_that_ends_as_it_is_taken_is_replaced() -> None:
    outside = Outside(Names("127.0.0.1"))
    async with answering(OK, b"") as plain:
        wanted = Target("http", "localhost", plain.port, "/", loopback=True)
        await outside.post(wanted, b"body", {})
        plain.answers = (OK,)
        [line] = [line for waiting in outside._lines._waiting.values() for line, _ in waiting]  # noqa: SLF001
        asked = asyncio.ensure_future(outside.post(wanted, b"body", {}))
        while plain.messages < 2:  # noqa: ASYNC110 - a server tells nobody
            await asyncio.sleep(0)
        line.close()
        line.connection_lost(None)
        assert await asked == Answered(200, None)
        assert (plain.connections, plain.messages) == (2, 3)
        await outside.close()


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, 200),
        (b"HTTP/1.1 503 Away\r\nRetry-After: 7\r\n\r\nuntil it ends", 503),
        (b"HTTP/1.0 204 Taken\r\n\r\n", 204),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", None),
        (b"HTTP/1.1 101 Other\r\nUpgrade: other\r\n\r\n", None),
        (b"SSH-2.0-OpenSSH\r\n", None),
        (b"", None),
    ],
)
async def test_what_is_an_answer_and_what_is_none(said: bytes, answered: int | None) -> None:
    outside = Outside(Names("127.0.0.1"))
    async with answering(said) as plain:
        wanted = Target("http", "localhost", plain.port, "/", loopback=True)
        if answered is None:
            with pytest.raises(Unreached, match="connection"):
                await outside.post(wanted, b"body", {})
        else:
            assert await outside.post(wanted, b"body", {}) == Answered(answered, "7" if answered == 503 else None)
        assert plain.messages == 1
        await outside.close()


async def test_a_head_without_end_is_not_waited_for() -> None:
    outside = Outside(Names("127.0.0.1"))
    async with answering(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 20_000, b"") as plain:
        with pytest.raises(Unreached, match="connection"):
            await outside.post(Target("http", "localhost", plain.port, "/", loopback=True), b"body", {})
        await outside.close()


async def test_a_name_is_asked_for_once_at_a_time_and_holds_up_no_other() -> None:
    asked: list[str] = []
    known = asyncio.Event()

    async def slowly(host: str, _port: int) -> list[str]:
        asked.append(host)
        if host == "slow":
            await known.wait()
        return ["127.0.0.1"]

    outside = Outside(slowly)
    async with answering(OK) as plain:
        slow, quick = (Target("http", name, plain.port, "/", loopback=True) for name in ("slow", "quick"))
        waiting = [asyncio.ensure_future(outside.post(slow, b"body", {})) for _ in range(3)]
        assert await outside.post(quick, b"body", {}) == Answered(200, None)
        assert plain.messages == 1
        known.set()
        assert await asyncio.gather(*waiting) == [Answered(200, None)] * 3
        await outside.close()
    assert sorted(asked) == ["quick", "slow"]
