"""Where nothing of ours is ever sent, however the address is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_shared.outside import ForbiddenAddress, Target, pinned, public, target

PORTS = (443, 8443)

HOSTILE = [
    # not https
    "http://hooks.partner.org/in",
    "ftp://hooks.partner.org/in",
    "file:///etc/passwd",
    "gopher://hooks.partner.org:70/_x",
    "//hooks.partner.org/in",
    "hooks.partner.org/in",
    "https:/hooks.partner.org/in",
    "https:hooks.partner.org",
    "javascript:alert(1)",
    "",
    # this machine, in every spelling
    "https://localhost/in",
    "https://LOCALHOST./in",
    "https://hooks.localhost/in",
    "https://127.0.0.1/in",
    "https://127.1/in",
    "https://127.0.1/in",
    "https://0/in",
    "https://0.0.0.0/in",
    "https://2130706433/in",
    "https://017700000001/in",
    "https://0177.0.0.1/in",
    "https://0x7f.0.0.1/in",
    "https://0x7f000001/in",
    "https://127.0.0.1.",
    "https://[::1]/in",
    "https://[::]/in",
    "https://[0:0:0:0:0:0:0:1]/in",
    "https://[::ffff:127.0.0.1]/in",
    "https://[::ffff:7f00:1]/in",
    "https://[::127.0.0.1]/in",
    "https://[64:ff9b::7f00:1]/in",
    "https://[2002:7f00:1::]/in",
    "https://[fe80::1%25eth0]/in",
    # inside
    "https://10.0.0.1/in",
    "https://172.16.0.1/in",
    "https://192.168.1.1/in",
    "https://100.64.0.1/in",
    "https://[fd00::1]/in",
    "https://[fe80::1]/in",
    "https://printer.local/in",
    "https://vault.internal/in",
    "https://wiki.corp/in",
    "https://router.home/in",
    "https://nas.lan/in",
    "https://router.home.arpa/in",
    "https://intranet/in",
    # metadata of clouds
    "https://169.254.169.254/latest/meta-data/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[fd00:ec2::254]/",
    "https://2852039166/",
    "https://0xA9FEA9FE/",
    "https://metadata.google.internal/",
    # a public address as a number has no name to check a certificate for
    "https://1.1.1.1/in",
    "https://[2606:4700::1111]/in",
    # one thing for us, another for whoever connects
    "https://hooks.partner.org@127.0.0.1/in",
    "https://user:secret@hooks.partner.org/in",
    "https://hooks.partner.org%2f@127.0.0.1/in",
    "https://hooks.partner.org%00.evil.org/in",
    "https://hooks.partner.org\\@127.0.0.1/in",
    "https://hooks.partner.org#@127.0.0.1/in",
    "https://hooks.partner.org/in#part",
    "https://127.0.0.1#.partner.org/",
    "https://hooks.partner.org\t/in",
    " https://hooks.partner.org/in",
    "https://hooks.partner.org/in\r\nHost: evil",
    "https://hooks.partner.org /in",
    "https://hooks.partner.org./in",
    "https://hooks..partner.org/in",
    "https://.partner.org/in",
    "https://-hooks.partner.org/in",
    "https://hooks_.partner.org/in",
    "https://*.partner.org/in",
    # letters that look like others
    "https://ⓛocalhost/in",
    "https://127。0。0。1/in",
    "https://pаrtner.org/in",  # noqa: RUF001 - the second letter is Cyrillic, which is the point
    "https://hooks.partner.org/é",
    # ports that are none of a receiver's
    "https://hooks.partner.org:22/in",
    "https://hooks.partner.org:25/in",
    "https://hooks.partner.org:5432/in",
    "https://hooks.partner.org:6379/in",
    "https://hooks.partner.org:0/in",
    "https://hooks.partner.org:99999/in",
    "https://hooks.partner.org:x/in",
    # names that nobody outside answers for
    "https://hooks.example/in",
    "https://hooks.test/in",
    "https://hooks.invalid/in",
    "https://hidden.onion/in",
    "https://" + "a" * 64 + ".partner.org/in",
    "https://" + "a." * 127 + "org/in",
    "https://hooks.partner.org/" + "a" * 2_000,
]


@pytest.mark.parametrize("url", HOSTILE)
def test_a_hostile_address_is_refused(url: str) -> None:
    with pytest.raises(ForbiddenAddress) as refused:
        target(url, ports=PORTS)
    assert not url or url not in refused.value.detail


def test_there_are_enough_of_them() -> None:
    assert len(set(HOSTILE)) >= 60


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://hooks.partner.org", Target("https", "hooks.partner.org", 443, "/")),
        ("HTTPS://Hooks.Partner.ORG/in?to=1", Target("https", "hooks.partner.org", 443, "/in?to=1")),
        ("https://hooks.partner.org:8443/a/b", Target("https", "hooks.partner.org", 8443, "/a/b")),
        ("https://xn--caf-dma.be/", Target("https", "xn--caf-dma.be", 443, "/")),
        ("https://10.partner.org/", Target("https", "10.partner.org", 443, "/")),
    ],
)
def test_an_honest_address_is_taken(url: str, wanted: Target) -> None:
    assert target(url, ports=PORTS) == wanted


def test_loopback_is_taken_in_development_alone() -> None:
    url = "http://127.0.0.1:9123/in"
    assert target(url, ports=PORTS, loopback=True) == Target("http", "127.0.0.1", 9123, "/in", loopback=True)
    for other in (
        url,
        "https://127.0.0.1/in",
        "http://10.0.0.1/in",
        "http://127.0.0.1@evil.org/",
        "http://partner.org",
    ):
        with pytest.raises(ForbiddenAddress):
            target(other, ports=PORTS, loopback=other != url)


NOT_PUBLIC = [
    "0.0.0.1", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.0.1",
    "168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1",
    "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::10.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1",
    "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1", "2001:db8::1", "2002:a00:1::", "3fff::1",
    "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "5f00::1", "2606:4700::1111%eth0",
    "", "partner.org", "1.2.3", "0x7f.0.0.1", "1.2.3.4/8",
]  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_what_a_name_may_not_lead_to(address: str) -> None:
    assert not public(address)
    with pytest.raises(ForbiddenAddress):
        pinned(Target("https", "hooks.partner.org", 443, "/"), ["1.1.1.1", address])


def test_a_name_leads_to_its_first_public_address() -> None:
    wanted = Target("https", "hooks.partner.org", 443, "/")
    assert pinned(wanted, ["2606:4700::1111", "1.1.1.1"]) == "2606:4700::1111"
    with pytest.raises(ForbiddenAddress):
        pinned(wanted, [])


def test_this_machine_in_development_is_nowhere_else() -> None:
    wanted = Target("http", "localhost", 80, "/", loopback=True)
    assert pinned(wanted, ["::1", "127.0.0.1"]) == "::1"
    with pytest.raises(ForbiddenAddress):
        pinned(wanted, ["127.0.0.1", "10.0.0.1"])


@given(st.ip_addresses())
def test_whatever_python_calls_private_is_never_public(address: object) -> None:
    if not address.is_global:  # type: ignore[attr-defined]
        assert not public(str(address))


@given(st.text(max_size=60))
def test_no_text_at_all_breaks_the_judgement(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}.partner.org/", f"https://partner.org:{text}"):
        try:
            found = target(url, ports=PORTS)
        except ForbiddenAddress:
            continue
        assert found.scheme == "https"
        assert found.host.isascii()
        assert found.port in PORTS
