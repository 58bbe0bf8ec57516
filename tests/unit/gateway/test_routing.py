"""The route table finds what the documents declare, and nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relais_gateway.domain.routing import Operation, RouteTable, operations

DOCUMENT: dict[str, Any] = {
    "paths": {
        "/v1/referrals": {"get": {"security": [{"oauth2": ["a"]}, {"oauth2": ["b"]}]}, "parameters": []},
        "/v1/referrals/{id}": {"get": {"security": [{"oauth2": ["a"]}]}},
        "/v1/referrals/{id}/{action}": {"post": {"security": [{"oauth2": ["a"]}]}},
        "/v1/referrals/mine": {"get": {"security": [{"oauth2": ["c"]}]}},
        "/standard/": {"get": {"security": [{"oauth2": ["a"]}]}},
        "/open": {"get": {"x-relais-public": "a reason"}},
        "/forgotten": {"get": {}, "post": {"security": []}, "put": {"security": [{}]}},
    }
}


def table() -> RouteTable:
    return RouteTable(operations("referral", DOCUMENT)[0])


def test_what_declares_nothing_is_named_and_not_served() -> None:
    found, undeclared = operations("referral", DOCUMENT)
    assert undeclared == ["GET /forgotten", "POST /forgotten", "PUT /forgotten"]
    assert "/forgotten" not in {each.template for each in found}
    assert table().find("GET", "/forgotten") is None


@pytest.mark.parametrize(
    ("method", "path", "template"),
    [
        ("GET", "/v1/referrals", "/v1/referrals"),
        ("GET", "/v1/referrals/7", "/v1/referrals/{id}"),
        ("GET", "/v1/referrals/mine", "/v1/referrals/mine"),
        ("POST", "/v1/referrals/mine/accept", "/v1/referrals/{id}/{action}"),
        ("HEAD", "/v1/referrals/7", "/v1/referrals/{id}"),
        ("GET", "/standard/", "/standard/"),
    ],
)
def test_the_literal_goes_before_the_parameter(method: str, path: str, template: str) -> None:
    found = table().find(method, path)
    assert isinstance(found, Operation)
    assert found.template == template


@pytest.mark.parametrize(
    "path",
    ["/", "", "/v1", "/v1/", "/v1/referrals/", "//v1/referrals", "/v1//referrals", "/V1/referrals", "/v1/referrals/7/"],
)
def test_another_address_is_another_address(path: str) -> None:
    assert table().find("GET", path) is None


def test_alternatives_are_alternatives_and_other_methods_are_named() -> None:
    found = table().find("GET", "/v1/referrals")
    assert isinstance(found, Operation)
    assert found.scopes == {"a", "b"}
    assert table().find("DELETE", "/v1/referrals") == {"GET"}


@given(st.text(alphabet="/v1refals{}id.%", max_size=40))
def test_no_address_finds_what_was_not_declared(path: str) -> None:
    found = table().find("GET", path)
    if isinstance(found, Operation):
        assert len(path.removeprefix("/").split("/")) == len(found.template.removeprefix("/").split("/"))
        assert found.template in DOCUMENT["paths"]


@pytest.mark.parametrize(("said", "most"), [(5 << 20, 5 << 20), (0, 0), (-1, None), (True, None), ("5 MB", None)])
def test_an_operation_says_how_large_a_body_it_takes(said: Any, most: int | None) -> None:
    operation = {"security": [{"oauth2": ["a"]}], "x-relais-body-max": said}
    ((found,), _) = operations("referral", {"paths": {"/v1/files": {"post": operation}}})
    assert found.body_max == most
