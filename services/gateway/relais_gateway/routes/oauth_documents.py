"""What the OpenAPI document says of the authorisation server: forms, which FastAPI does not read from signatures."""

from typing import Any, Final

FORM: Final = "application/x-www-form-urlencoded"

_TEXT: Final[dict[str, Any]] = {"type": "string"}

_PROVES: Final[dict[str, Any]] = {
    "client_id": {**_TEXT, "description": "Not needed; where it stands it is the client's own."},
    "client_assertion_type": {
        **_TEXT,
        # A parameter without a value is taken as absent (RFC 6749, section 3.2).
        "enum": ["urn:ietf:params:oauth:client-assertion-type:jwt-bearer", ""],
        "description": "With `client_assertion`, in place of HTTP Basic (RFC 7523); absent where empty.",
    },
    "client_assertion": {**_TEXT, "description": "A JWT that the client signed, for this request alone."},
}

REFUSALS: Final[dict[int | str, dict[str, Any]]] = {
    status: {
        "description": f"{meaning} RFC 6749, section 5.2, with the trace id.",
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["error", "trace_id"],
                    "properties": {"error": _TEXT, "error_description": _TEXT, "trace_id": _TEXT},
                },
                "example": {"error": error, "trace_id": "4f2a…"},
            }
        },
    }
    for status, error, meaning in (
        (400, "invalid_request", "The request, the scope or the DPoP proof does not fit."),
        (401, "invalid_client", "No client proves itself by this."),
        (429, "temporarily_unavailable", "Too many calls from this address: come back as Retry-After says."),
        (503, "temporarily_unavailable", "Nobody can be told now: come back as Retry-After says."),
    )
}
REFUSALS[413] = {"description": "The body is too large."}


def _operation(
    properties: dict[str, Any],
    required: list[str],
    example: dict[str, str],
    meaning: str,
    answer: dict[str, Any] | None = None,
) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "properties": {**properties, **_PROVES}}
    return {
        "requestBody": {"required": True, "content": {FORM: {"schema": schema, "example": example}}},
        "responses": {"200": {"description": meaning, **({"content": {"application/json": answer}} if answer else {})}},
    }


TOKEN: Final = _operation(
    {
        "grant_type": {**_TEXT, "const": "client_credentials"},
        "scope": {**_TEXT, "description": "Parted by blanks; all that you may, where absent."},
    },
    ["grant_type"],
    {"grant_type": "client_credentials", "scope": "directory:read referral:send"},
    "An access token (RFC 9068).",
    {
        "schema": {
            "type": "object",
            "required": ["access_token", "token_type", "expires_in", "scope"],
            "properties": {
                "access_token": _TEXT,
                "token_type": {**_TEXT, "enum": ["Bearer", "DPoP"]},
                "expires_in": {"type": "integer", "description": "Seconds."},
                "scope": _TEXT,
            },
        },
        "example": {
            "access_token": "eyJ…",
            "token_type": "Bearer",
            "expires_in": 600,
            "scope": "directory:read referral:send",
        },
    },
)

_OF_TOKEN: Final[dict[str, Any]] = {
    "token": {**_TEXT, "description": "An access token."},
    "token_type_hint": {**_TEXT, "description": "Not needed: there are only access tokens."},
}

REVOCATION: Final = _operation(_OF_TOKEN, ["token"], {"token": "eyJ…"}, "It opens nothing (RFC 7009, section 2.2).")

INTROSPECTION: Final = _operation(
    _OF_TOKEN,
    ["token"],
    {"token": "eyJ…"},
    "What it is worth now (RFC 7662, section 2.2).",
    {
        "schema": {
            "type": "object",
            "required": ["active"],
            "properties": {
                "active": {"type": "boolean"},
                **dict.fromkeys(("scope", "client_id", "token_type", "sub", "aud", "iss", "jti", "org"), _TEXT),
                **{name: {"type": "integer", "description": "Unix seconds."} for name in ("exp", "iat")},
                "cnf": {"type": "object", "properties": {"jkt": _TEXT}},
            },
        },
        "example": {"active": False},
    },
)
