"""Whom our own proxies name is believed, and nobody else."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_gateway.domain.forwarded import caller, forwarded, x_forwarded_for

OURS = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "hops", "found"),
    [
        ("203.0.113.9", ["1.2.3.4"], "203.0.113.9"),  # nobody of ours says so
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.2.3.4", "203.0.113.9"], "203.0.113.9"),  # what stands left of it, the caller wrote
        ("10.0.0.1", ["203.0.113.9", "10.0.0.2"], "203.0.113.9"),  # two proxies of ours, one behind the other
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::1]:4711"], "2001:db8::1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9", "unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9", "_hidden"], "10.0.0.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("fd00::1", ["10.0.0.1"], "10.0.0.1"),
    ],
)
def test_the_last_address_that_no_proxy_of_ours_could_have_made_up(peer: str, hops: list[str], found: str) -> None:
    assert caller(peer, hops, OURS) == found


@pytest.mark.parametrize(
    ("values", "hops"),
    [
        (["for=192.0.2.43"], ["192.0.2.43"]),
        (['for=192.0.2.43, For="[2001:db8:cafe::17]:4711";proto=https'], ["192.0.2.43", "[2001:db8:cafe::17]:4711"]),
        (["for=192.0.2.43", "for=198.51.100.17;by=203.0.113.60"], ["192.0.2.43", "198.51.100.17"]),
        (["proto=https, for=_x"], ["", "_x"]),
        ([r'for="a\"b,c", for=192.0.2.1'], ['a"b,c', "192.0.2.1"]),
        (["for=192.0.2.43;for=192.0.2.44"], []),
        (["for=1.1.1.1, what is this, for=192.0.2.1"], ["192.0.2.1"]),
        (['for="1.1.1.1, for=192.0.2.1'], []),
    ],
)
def test_forwarded_is_read_as_rfc_7239_writes_it(values: list[str], hops: list[str]) -> None:
    assert forwarded(values) == hops


@given(st.lists(st.text(max_size=60)), st.sampled_from([forwarded, x_forwarded_for]))
def test_whatever_stands_there_an_untrusted_peer_is_itself(values: list[str], read: object) -> None:
    assert callable(read)
    assert caller("203.0.113.9", read(values), OURS) == "203.0.113.9"
