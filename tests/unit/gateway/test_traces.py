"""A partner's trace goes on by the letter of W3C Trace Context, or not at all."""

import pytest
from opentelemetry import trace

from relais_gateway.domain.traces import carried
from relais_gateway.told import parent_of

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("parents", "sampled"),
    [
        ([PARENT], True),
        ([f"00-{TRACE}-{SPAN}-00"], False),
        ([f"00-{TRACE}-{SPAN}-02"], False),  # other bits are not this one
        ([f"00-{TRACE}-{SPAN}-03"], True),
        ([f"cc-{TRACE}-{SPAN}-01-what-comes-later"], True),  # a higher version is read as far as we know it
        ([f"cc-{TRACE}-{SPAN}-01"], True),
        ([], None),
        ([PARENT, PARENT], None),
        ([f"ff-{TRACE}-{SPAN}-01"], None),
        ([f"00-{TRACE}-{SPAN}-01-more"], None),
        ([f"cc-{TRACE}-{SPAN}-01.what"], None),
        ([f"cc-{TRACE}-{SPAN}-01what"], None),
        ([f"00-{'0' * 32}-{SPAN}-01"], None),
        ([f"00-{TRACE}-{'0' * 16}-01"], None),
        ([PARENT.upper()], None),
        ([f"00-{TRACE}-{SPAN}"], None),
        ([f"00-{TRACE}-{SPAN}-1"], None),
        ([f"00-{TRACE}{SPAN}-01"], None),
        ([f"0-{TRACE}-{SPAN}-01"], None),
        ([f"00-{TRACE[:-1]}g-{SPAN}-01"], None),
        ([f"{PARENT},{PARENT}"], None),
        ([""], None),
    ],
)
def test_a_trace_goes_on_as_its_own_flag_says(parents: list[str], *, sampled: bool | None) -> None:
    found = parent_of(carried(parents, ["a=1"]))
    if sampled is None:
        assert found is None
        return
    context = trace.get_current_span(found).get_span_context()
    assert (f"{context.trace_id:032x}", f"{context.span_id:016x}") == (TRACE, SPAN)
    assert context.trace_flags.sampled is sampled
    assert context.trace_state.to_header() == "a=1"


LONG = "long=" + "x" * 200


@pytest.mark.parametrize(
    ("states", "kept"),
    [
        (["b=2,a=1"], "b=2,a=1"),
        (["b=2", "a=1"], "b=2,a=1"),  # a list in two headers is one list
        (["b=2 ,\ta=1,,"], "b=2,a=1"),
        ([",".join(f"k{number}=v" for number in range(32))], ",".join(f"k{number}=v" for number in range(32))),
        # What is too much goes whole: the long ones first, then from the end.
        ([",".join(f"k{number}=v" for number in range(40))], ",".join(f"k{number}=v" for number in range(32))),
        ([f"{LONG},b={'y' * 120},c={'z' * 120},d={'w' * 120}"], f"b={'y' * 120},c={'z' * 120},d={'w' * 120}"),
        ([",".join(f"k{number}={'v' * 100}" for number in range(9))], ",".join(f"k{n}={'v' * 100}" for n in range(4))),
        ([""], None),
        ([], None),
    ],
)
def test_what_others_keep_in_the_trace_is_passed_on(states: list[str], kept: str | None) -> None:
    assert carried([PARENT], states).get("tracestate") == kept
