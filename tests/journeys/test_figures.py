"""Figures through the door: who holds the right reads them, and a month that is not settled tells nothing."""

from support.stack import Stack

STATS = "referral:stats"


def test_whoever_may_read_figures_does(stack: Stack) -> None:
    """A coordinator's system reads the territory's figures and its own; the sums of today's hand-overs wait."""
    coordinator, *_ = stack.clients(STATS, "referral:send", "referral:receive")
    with stack.api(coordinator, f"{STATS} referral:send referral:receive") as api:
        for path in ("", "/sent", "/received", "/reflections"):
            answer = api.get(f"/v1/figures{path}")
            assert (answer.status_code, answer.json()) == (200, {"items": [], "next_cursor": None}), path
        paths = api.get("/openapi.json").json()["paths"]
        assert {f"/v1/figures{path}" for path in ("", "/sent", "/received", "/reflections")} <= paths.keys()
    with stack.api(coordinator, "referral:send") as api:
        assert api.get("/v1/figures/sent").status_code == 200
        for path in ("", "/received", "/reflections"):
            answer = api.get(f"/v1/figures{path}")
            assert (answer.status_code, answer.json()["type"]) == (403, "/problems/scope-missing"), path
