"""Where the services behind the door answer: one address, or several with commas."""

from pathlib import Path

import pytest

from relais_gateway.settings import GatewaySettings
from relais_shared.settings import SettingsProblem


def load(directory_url: str, home: Path) -> GatewaySettings:
    return GatewaySettings.load(dsn="postgresql://nobody", secret="x" * 43, directory_url=directory_url, home=home)


def test_a_service_has_several_instances(tmp_path: Path) -> None:
    settings = load("http://10.0.0.5:8001, http://[::1]:8001/,http://directory.internal", tmp_path)
    assert settings.upstreams["directory"] == ["http://10.0.0.5:8001", "http://[::1]:8001", "http://directory.internal"]
    assert settings.upstreams["referral"] == ["http://127.0.0.1:8002"]


@pytest.mark.parametrize(
    "wrong",
    ["", "http://a:1,", "https://a:1", "a:1", "http://a:1/path", "http://u:p@a:1", "http://a:1?x=1", "http://a:many"],
)
def test_what_is_no_address_is_refused_at_start(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsProblem, match="RELAIS_GATEWAY_DIRECTORY_URL"):
        load(wrong, tmp_path)
