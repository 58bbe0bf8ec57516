"""One exchange with Relais, without any I/O: tokens, refusals and retries, the same for sync and async.

`Session.exchange` is a generator. It yields what is to be done (send a request, or wait so many seconds) and is told
what came of it; `client.py` does that in the two ways there are.
"""

import random
import time
from base64 import b64encode
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote_plus

import httpx

from relais_client.problems import TokenRefused, Unreachable, document, problem_of, retry_after_s

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

Ask = httpx.Request | float
"""What is to be done: send this, or wait so many seconds."""
Told = httpx.Response | httpx.TransportError | None
"""What came of it: an answer, none, or the wait is over."""

NEVER_LEFT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Faults before anything was sent: repeating is safe, whatever the request."""
PASSING: Final = frozenset({502, 503, 504})
"""Answers of something that restarts or is overloaded."""
RENEW_EARLY_S: Final = 30.0
"""A token is renewed so long before it ends: the request that bears it takes time, and clocks differ."""
FIRST_WAIT_S: Final = 0.5
LONGEST_WAIT_S: Final = 20.0
"""Waits double from the first to the longest; each is a random part of that, so that not all come back at once."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T_co]):
    """One operation of Relais, ready to be sent, once or again.

    Args:
        method: As `GET`.
        path: Below the address of Relais.
        read: Makes a value of the answer.
        query: Parameters; a list stands several times, None not at all.
        body: Anything that JSON can say.
        headers: Beside those that every request bears.
        idempotent: Doing it twice is doing it once, without a key.
    """

    method: str
    path: str
    read: Callable[[httpx.Response], T_co]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = field(default=None, repr=False)  # hers: no traceback and no log of yours shall show it
    headers: Mapping[str, str] = field(default_factory=dict)
    idempotent: bool = False

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again when nobody knows what became of the first time."""
        return self.method == "GET" or self.idempotent or "Idempotency-Key" in self.headers

    def after(self, cursor: str | None) -> "Call[T_co]":
        """Answer the call for the page after a cursor."""
        return replace(self, query={**self.query, "cursor": cursor})


@dataclass(slots=True)
class Session:
    """Who asks, with the token in use.

    Args:
        base_url: The address of Relais, without a slash at its end.
        client_id: As enrolled.
        client_secret: Its secret.
        scope: The scopes asked for, parted by blanks; all that the client may where None.
        tries: How often a request is sent at most.
        patience_s: A longer `Retry-After` is left to the caller.
        timeout_s: For connecting, each read and each write.
    """

    base_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None
    tries: int
    patience_s: float
    timeout_s: float
    _token: str | None = field(default=None, repr=False)
    _renew_at: float = 0.0

    def exchange(self, call: Call[T], headers: Mapping[str, str]) -> Generator[Ask, Told, T]:
        """Carry out a call, with a token, and again where that is safe.

        Raises:
            Problem: Relais refused it.
            TokenRefused: It gave no token.
            Unreachable: No answer came.
        """
        renewed = False
        for tried in count(1):
            token = self._token if self._token and time.monotonic() < self._renew_at else (yield from self._new_token())
            told = yield self._request(call, {**headers, "Authorization": f"Bearer {token}"})
            if isinstance(told, httpx.Response):
                if told.is_success:
                    return call.read(told)
                if told.status_code == httpx.codes.UNAUTHORIZED and not renewed:
                    # Revoked, or of a key that is gone; nothing was done. A new one tells whether we are known.
                    self._token, renewed = None, True
                    continue
            wait_s = self._wait_s(told, tried, repeatable=call.repeatable)
            if wait_s is not None:
                yield wait_s
            elif isinstance(told, httpx.Response):
                raise problem_of(told)
            else:
                raise Unreachable(f"{call.method} {self.base_url}: {type(told).__name__}") from told
        raise AssertionError  # count() does not end

    def opening(
        self, path: str, query: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Generator[Ask, Told, httpx.Request]:
        """Answer the request that opens a stream, with a token that is still good.

        Raises:
            TokenRefused: It gave no token.
            Unreachable: No answer came.
        """
        token = self._token if self._token and time.monotonic() < self._renew_at else (yield from self._new_token())
        call: Call[None] = Call("GET", path, lambda _answer: None, query=query)
        asked = {**headers, "Accept": "text/event-stream", "Authorization": f"Bearer {token}"}
        return self._request(call, asked)

    def forget_token(self) -> None:
        """Take a new token next time."""
        self._token = None

    def _request(self, call: Call[Any], headers: Mapping[str, str]) -> httpx.Request:
        query = {name: value for name, value in call.query.items() if value is not None}
        return httpx.Request(
            call.method,
            f"{self.base_url}{call.path}",
            params=query or None,
            json=call.body,
            headers={"Accept": "application/json", **call.headers, **headers},
            extensions={"timeout": httpx.Timeout(self.timeout_s).as_dict()},
        )

    def _new_token(self) -> Generator[Ask, Told, str]:
        """Take a token by client credentials (RFC 6749, section 4.4); asking twice does no harm."""
        form = {"grant_type": "client_credentials"} | ({"scope": self.scope} if self.scope else {})
        pair = b64encode(f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}".encode()).decode()
        for tried in count(1):
            asked_at = time.monotonic()
            told = yield httpx.Request(
                "POST",
                f"{self.base_url}/oauth2/token",
                data=form,
                headers={"Authorization": f"Basic {pair}"},
                extensions={"timeout": httpx.Timeout(self.timeout_s).as_dict()},
            )
            if isinstance(told, httpx.Response) and told.is_success:
                given = told.json()
                self._token = str(given["access_token"])
                self._renew_at = asked_at + max(float(given["expires_in"]) - RENEW_EARLY_S, 0.0)
                return self._token
            wait_s = self._wait_s(told, tried, repeatable=True)
            if wait_s is not None:
                yield wait_s
            elif isinstance(told, httpx.Response):
                said = document(told)
                raise TokenRefused(str(said.get("error", told.reason_phrase)), told.status_code, said.get("trace_id"))
            else:
                raise Unreachable(f"POST {self.base_url}: {type(told).__name__}") from told
        raise AssertionError  # count() does not end

    def _wait_s(self, told: Told, tried: int, *, repeatable: bool) -> float | None:
        """Answer how long to wait before sending it again; None: it is not sent again."""
        if tried >= self.tries:
            return None
        backoff_s = random.uniform(0.5, 1.0) * min(FIRST_WAIT_S * 2 ** (tried - 1), LONGEST_WAIT_S)  # noqa: S311 - no secret
        if not isinstance(told, httpx.Response):
            return backoff_s if repeatable or isinstance(told, NEVER_LEFT) else None
        asked_s = retry_after_s(told)
        if asked_s is not None and asked_s > self.patience_s:
            return None
        # Too many requests: nothing was done, so it can be asked again whatever it is.
        again = told.status_code == httpx.codes.TOO_MANY_REQUESTS or (
            repeatable and (told.status_code in PASSING or _still_running(told))
        )
        return max(backoff_s, asked_s or 0.0) if again else None


def _still_running(answer: httpx.Response) -> bool:
    """Say whether the first request with our key has not ended yet."""
    return answer.status_code == httpx.codes.CONFLICT and problem_of(answer).slug == "request-in-progress"
