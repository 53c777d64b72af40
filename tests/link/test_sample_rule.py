"""Which number a sample has: from the nearest mark, the label, and the rule between them."""

import functools

import pytest

from pyroscope_otel.link.attribution import Owner
from pyroscope_otel.link.marks import (
    MARKS,
    NO_PROFILE,
    Mark,
    label_value,
    nearest_mark,
    number_of_sample,
)

# The rule


@pytest.mark.parametrize(
    ("nearest", "labels", "number"),
    [
        pytest.param(0, [], 0, id="nothing"),
        pytest.param(7, [], 7, id="a mark"),
        pytest.param(NO_PROFILE, [], NO_PROFILE, id="nobody's mark"),
        pytest.param(0, ["0-9"], 9, id="a label where there is no mark"),
        pytest.param(7, ["7-9"], 9, id="a label under the mark"),
        pytest.param(7, ["7-0"], 0, id="a label that says nobody under the mark"),
        pytest.param(0, ["0-0"], 0, id="a label that says nobody where there is no mark"),
        pytest.param(NO_PROFILE, ["1-9"], 9, id="a label under nobody's mark"),
        pytest.param(7, ["8-9"], 7, id="read too late: another request's"),
        pytest.param(7, ["0-9"], 7, id="read too late: from outside of requests"),
        pytest.param(0, ["7-9"], 0, id="read too late, or a torn stack"),
        pytest.param(7, ["7-9", "7-9"], 9, id="the same twice"),
        pytest.param(7, ["7-9", "7-10"], 0, id="two that contradict each other"),
        pytest.param(7, ["7-9", "7-0"], 0, id="two of which one says nobody"),
        pytest.param(0, ["0-9", "0-10"], 0, id="two where there is no mark"),
        pytest.param(7, ["8-3", "7-9"], 9, id="two of which one is late"),
        pytest.param(7, ["8-3", "0-9"], 7, id="two that are late"),
        pytest.param(7, ("7-9",), 9, id="any collection"),
    ],
)
def test_rule_between_mark_and_label(nearest, labels, number):
    assert number_of_sample(nearest, labels) == number


MALFORMED = ["", "-", "7", "7-", "-9", "7-x", "x-9", "7-9-3", "7--9", " 7-9", "7-9 ", "+7-9"]


@pytest.mark.parametrize("label", [*MALFORMED, "probe"])
@pytest.mark.parametrize("nearest", [0, 7])
def test_unknown_label_value_is_ignored(nearest, label):
    """As the value that is set to learn whether an agent runs."""
    assert number_of_sample(nearest, [label]) == nearest
    assert number_of_sample(nearest, [label, f"{nearest}-9"]) == 9


@pytest.mark.parametrize("under", [None, 7])
@pytest.mark.parametrize("wanted", [None, 9])
def test_label_holds_its_numbers(under, wanted):
    label = label_value(under and Mark(under), wanted and Mark(wanted))
    assert label == f"{under or 0}-{wanted or 0}"
    assert number_of_sample(under or 0, [label]) == (wanted or 0)


# The nearest mark


@pytest.fixture
def two():
    """Return two marks in use."""
    owners = Owner(), Owner()
    return [owner.mark for owner in owners], owners


def test_stack_without_a_mark():
    assert nearest_mark() is None


def test_nearest_of_several_marks(two):
    (one, other), _ = two

    def inner():
        seen.append(nearest_mark())

    def outer():
        seen.append(nearest_mark())
        other.run(inner)
        seen.append(nearest_mark())
        MARKS.no_profile.run(inner)
        one.run(inner)
        seen.append(nearest_mark())

    seen = []
    one.run(outer)
    assert seen == [one, other, one, MARKS.no_profile, one, one]
    assert nearest_mark() is None


def test_mark_passes_arguments_results_and_exceptions(two):
    (one, _), _ = two
    assert one.run(lambda *arguments: arguments, 1, 2) == (1, 2)
    with pytest.raises(LookupError):
        one.run({}.pop, "absent")


def test_callback_from_c_code(two):
    (one, _), _ = two

    def nearest_from_c(_):
        return nearest_mark()

    assert one.run(list, map(nearest_from_c, range(2))) == [one, one]
    call = functools.partial(sorted, [2, 1], key=lambda _: seen.append(nearest_mark()) or 0)
    seen = []
    one.run(call)
    assert seen == [one, one]


def test_generator_belongs_to_its_consumer(two):
    (one, other), _ = two

    def generator():
        while True:
            yield nearest_mark()

    made = one.run(generator)
    assert next(made) is None
    assert one.run(next, made) is one
    assert other.run(next, made) is other
    assert next(made) is None
