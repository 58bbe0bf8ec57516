"""What a problem document says of a fault: in words of the API's, never of Python's."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import httpx
import pytest
from fastapi import Body, FastAPI, Query
from pydantic import BaseModel, Field, PlainValidator

from relais_shared import problems

pytestmark = pytest.mark.anyio


class Side(StrEnum):
    """An enumeration of which a call takes some alone."""

    ONE = "one"
    OTHER = "other"
    NEITHER = "neither"


class Told(BaseModel):
    """A body with a text that a rule of our own reads."""

    words: Annotated[Any, PlainValidator(str), Field(max_length=3)] = ""


@pytest.fixture(name="asking")
async def _asking() -> Any:
    app = FastAPI()
    problems.install(app, {})

    @app.post("/")
    async def tell(
        _told: Annotated[Told, Body()], _side: Annotated[Literal[Side.ONE, Side.OTHER], Query(alias="side")] = Side.ONE
    ) -> None:
        """Take it."""

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://relais") as asking:
        yield asking


async def test_values_are_listed_as_one_sends_them(asking: httpx.AsyncClient) -> None:
    answer = await asking.post("/?side=up", json={})
    assert answer.json()["errors"] == [{"pointer": "?side", "detail": "Input should be 'one' or 'other'"}]


async def test_the_length_of_a_text_is_told_in_characters(asking: httpx.AsyncClient) -> None:
    answer = await asking.post("/", json={"words": "plus de trois"})
    assert answer.json()["errors"] == [{"pointer": "/words", "detail": "String should have at most 3 characters"}]


async def test_a_missing_body_is_called_that(asking: httpx.AsyncClient) -> None:
    answer = await asking.post("/")
    assert answer.json()["errors"] == [{"pointer": "", "detail": "The body is missing."}]


@pytest.mark.parametrize("body", [b'{"words": "\xff"}', b"[" * 20_000])
async def test_a_body_that_cannot_be_read_says_what_can(asking: httpx.AsyncClient, body: bytes) -> None:
    answer = await asking.post("/", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (400, "Send JSON in UTF-8, not nested too deep.")
