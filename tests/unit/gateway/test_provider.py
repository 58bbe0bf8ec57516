"""What is asked of an outside provider, and where it may be, without a server."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_gateway.provider import Asking
from relais_gateway.settings import GatewaySettings
from relais_shared.settings import SettingsProblem


def load(home: Path, **values: str) -> GatewaySettings:
    return GatewaySettings.load(dsn="postgresql://nobody", secret="x" * 43, home=home, **values)


@given(st.text(min_size=1), st.text(min_size=1))
def test_what_goes_along_follows_from_the_secret_and_no_part_from_another(one: str, other: str) -> None:
    asking = Asking.of(one)
    parts = (asking.state, asking.nonce, asking.verifier, asking.challenge)
    assert len(set(parts)) == 4
    # RFC 7636, 4.1: 43 to 128 letters.
    assert {len(part) for part in parts} == {43}
    assert asking == Asking.of(one)
    assert (asking == Asking.of(other)) == (one == other)


def test_the_challenge_is_the_one_of_the_standard() -> None:
    """RFC 7636, appendix B."""
    asking = Asking("", "", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert asking.challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize("issuer", ["https://id.example", "https://id.example:8443/realms/x", "http://localhost:9000"])
def test_a_provider_is_named_as_it_names_itself(issuer: str, tmp_path: Path) -> None:
    assert load(tmp_path, provider_issuer=issuer, provider_client_id="relais").provider_issuer == issuer


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("ISSUER", {"provider_issuer": "http://id.example", "provider_client_id": "x"}),
        ("ISSUER", {"provider_issuer": "id.example", "provider_client_id": "x"}),
        ("ISSUER", {"provider_issuer": "https://id.example?x=1", "provider_client_id": "x"}),
        ("ISSUER", {"provider_issuer": "https://a:b@id.example", "provider_client_id": "x"}),
        ("ISSUER", {"provider_issuer": "", "provider_client_id": "x"}),
        ("CLIENT_ID", {"provider_issuer": "https://id.example"}),
    ],
)
def test_a_setting_that_would_sign_nobody_in_is_refused_at_start(
    setting: str, values: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(SettingsProblem, match=f"RELAIS_GATEWAY_PROVIDER_{setting}"):
        load(tmp_path, **values)
