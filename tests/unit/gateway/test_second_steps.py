"""What is judged of passwords, codes and browsers, without a server."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from relais_gateway.codes import RECOVERY_CODES, Codes, from_app, plain
from relais_gateway.domain.choosing import Weakness, weakness
from relais_gateway.domain.devices import named
from relais_gateway.domain.second_steps import For, How, has_to_have_one

ANA = {"email": "ana.lopes@essai.example", "name": "Ana Lopes"}
ONE, OTHER = UUID(int=1), UUID(int=2)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("quatre chats sous la pluie", None),
        ("Xk4-pq9_Lm2w", None),
        ("onze signes", Weakness.SHORT),
        ("x" * 201, Weakness.LONG),
        ("aaaaaaaaaaaaaaaa", Weakness.PLAIN),
        ("121212121212", Weakness.PLAIN),
        ("abcdefghijklm", Weakness.PLAIN),
        ("azertyuiopqsd", Weakness.PLAIN),
        ("098765432109", Weakness.PLAIN),
        ("ana.lopes@essai.example", Weakness.KNOWN),
        ("Ana Lopes Relais 1", Weakness.KNOWN),
        ("AnaLopes!Relais2026", Weakness.KNOWN),
    ],
)
def test_a_password_is_long_and_not_what_is_tried_first(password: str, why: Weakness | None) -> None:
    assert weakness(password, **ANA) == why


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Firefox, Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/142.0 Safari/537.36 Edg/142.0", "Edge, Windows"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/142.0 Mobile Safari/537.36", "Chrome, Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari, iPhone"),
        ("curl/8.1", ""),
        ("<script>", ""),
        ("", ""),
    ],
)
def test_a_browser_is_named_as_its_owner_knows_it(agent: str, said: str) -> None:
    assert named(agent) == said


@pytest.mark.parametrize(
    ("required", "roles", "answer"),
    [
        (For.NOBODY, ["administrator"], False),
        (For.ADMINISTRATORS, ["administrator", "counsellor"], True),
        (For.ADMINISTRATORS, ["counsellor", "data_manager"], False),
        (For.EVERYBODY, ["counsellor"], True),
    ],
)
def test_who_has_to_have_a_second_step(required: For, roles: list[str], *, answer: bool) -> None:
    assert has_to_have_one(required, roles, How.PASSWORD) is answer
    # A provider sees to it by itself.
    assert not has_to_have_one(required, roles, How.PROVIDER)


def test_what_an_app_shares_opens_for_its_account_and_this_gateway_alone() -> None:
    codes = Codes(b"s" * 32)
    sealed = codes.new(ONE)
    assert codes.written(ONE, sealed) == codes.written(ONE, sealed)
    assert codes.new(ONE) != sealed
    assert f"secret={codes.written(ONE, sealed).replace(' ', '')}" in codes.address(ONE, sealed, "ana@essai.example")
    for other, account in ((codes, OTHER), (Codes(b"t" * 32), ONE)):
        with pytest.raises(InvalidTag):
            other.written(account, sealed)


def test_a_code_fits_its_own_half_minute_and_those_beside_it() -> None:
    codes = Codes(b"s" * 32)
    sealed = codes.new(ONE)
    current = int(NOON.timestamp()) // 30
    shown = {
        step: codes._totp(ONE, sealed).generate((current + step) * 30).decode()  # noqa: SLF001 - an app's side
        for step in range(-3, 4)
    }
    for step, code in shown.items():
        expected = current + step if abs(step) <= 1 else None
        # Of a million codes two half minutes may show the same one: then the nearer counts.
        if list(shown.values()).count(code) == 1:
            assert codes.period(ONE, sealed, code, NOON) == expected
    assert codes.period(ONE, sealed, shown[0], NOON + timedelta(minutes=2)) is None


@given(st.text(max_size=30))
def test_whatever_is_typed_is_judged_and_breaks_nothing(typed: str) -> None:
    codes = Codes(b"s" * 32)
    assert codes.period(ONE, codes.new(ONE), typed, NOON) is None or from_app(typed)
    assert len(codes.hash(ONE, typed)) == 32


def test_a_recovery_code_is_known_however_it_is_typed_and_for_one_account() -> None:
    codes = Codes(b"s" * 32)
    drawn = codes.recovery()
    assert len(set(drawn)) == RECOVERY_CODES
    for each in drawn:
        assert len(plain(each)) == 12
        assert not from_app(each)
        typed = each.upper().replace("-", "").replace("0", "O").replace("1", "l")
        assert codes.hash(ONE, typed) == codes.hash(ONE, each)
        assert codes.hash(OTHER, each) != codes.hash(ONE, each)
