"""How a sample gets its profile, and how a profile's tables are rewritten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyroscope_otel.link.marks import FILENAME, LABEL
from pyroscope_otel.pprof.messages import PprofProfile
from pyroscope_otel.relay.linking import LinkedProfile
from tests.relay.rows import CPU, MEMORY, Mark, labels_of, pprof, row, rows_of, translated


def linked(profile, **options):
    result = LinkedProfile(
        profile.SerializeToString(), labels_of, **{"without_lines": False, **options}
    )
    return result, PprofProfile.FromString(result.raw)


def owner(*frames, labels=()):
    """Return the number that a sample with these frames and labels belongs to; 0 for none."""
    (result,) = translated(row(*frames, labels=labels))
    given = dict(result.labels)
    assert LABEL not in given
    assert not any(isinstance(frame, Mark) for frame in result.frames)
    assert "span_id" not in given or given["span_name"] == f"GET /{int(given['span_id'], 16)}"
    return int(given.get("span_id", "0"), 16)


def test_stack_without_a_mark_belongs_to_none():
    assert owner("work", "main") == 0


def test_sample_belongs_to_its_mark():
    assert owner("work", "handle", Mark(7), "serve", "main") == 7


def test_mark_nearest_to_the_leaf_decides():
    assert owner("work", Mark(3), "loop", Mark(8), "main") == 3


def test_mark_of_none_hides_the_mark_below():
    assert owner("work", Mark(0), "loop", Mark(8), "main") == 0


def test_mark_at_the_leaf_and_at_the_root():
    assert owner(Mark(5), "main") == 5
    assert owner("work", Mark(6)) == 6


def test_mark_that_calls_itself():
    assert owner("work", Mark(5), "middle", Mark(5), "main") == 5


def test_label_added_under_this_mark_decides():
    assert owner("work", Mark(7), "main", labels=[(LABEL, "7-9")]) == 9
    assert owner("work", "main", labels=[(LABEL, "0-9")]) == 9


def test_label_of_none_overrides_the_mark():
    assert owner("work", Mark(7), "main", labels=[(LABEL, "7-0")]) == 0


def test_label_added_under_another_mark_is_ignored():
    assert owner("work", Mark(7), "main", labels=[(LABEL, "6-9")]) == 7
    assert owner("work", Mark(7), "main", labels=[(LABEL, "0-9")]) == 7
    assert owner("work", "main", labels=[(LABEL, "7-9")]) == 0


@pytest.mark.parametrize(
    "value",
    [
        "",
        "7",
        "7-",
        "-9",
        "7-9-1",
        "7-9x",
        " 7-9",
        "7-9\n",
        "\u0667-\u0669",
        "7--9",
        "7-" + "9" * 40,
    ],
)
def test_malformed_label_is_ignored(value):
    assert owner("work", Mark(7), "main", labels=[(LABEL, value)]) == 7


def test_label_added_under_this_mark_decides_among_several():
    assert owner("work", Mark(7), labels=[(LABEL, "3-4"), (LABEL, "7-9"), (LABEL, "x")]) == 9


def test_several_labels_added_under_this_mark_are_ignored():
    assert owner("work", Mark(7), labels=[(LABEL, "7-8"), (LABEL, "7-9")]) == 0


def test_same_label_twice_counts_once():
    assert owner("work", Mark(7), labels=[(LABEL, "7-9"), (LABEL, "7-9")]) == 9


def test_largest_line_is_exact():
    assert owner("work", Mark(2**31 - 1)) == 2**31 - 1


def test_other_frames_and_labels_stay_unchanged():
    labels = [("thread_id", "1"), (LABEL, "0-2"), ("tag", "a"), ("tag", "b")]
    (result,) = translated(row("work:7", "work:8", "work:7", labels=labels))
    assert result.frames == ("work:7", "work:8", "work:7")
    assert result.labels == (
        ("thread_id", "1"), ("tag", "a"), ("tag", "b"),
        ("span_id", "0000000000000002"), ("span_name", "GET /2"),
    )  # fmt: skip


def test_rows_that_become_equal_are_merged():
    result = translated(
        row("work", Mark(1), "main", values=[10]),
        row("work", "main", values=[1000]),
        row("work", "main", values=[20], labels=[(LABEL, "0-1")]),
        row("work", "main", Mark(1), values=[40]),
        row("work", Mark(2), "main", values=[3]),
    )
    assert [(one.frames, one.values, dict(one.labels).get("span_id")) for one in result] == [
        (("work", "main"), (70,), "0000000000000001"),
        (("work", "main"), (1000,), None),
        (("work", "main"), (3,), "0000000000000002"),
    ]


def test_rows_with_the_same_labels_in_another_order_are_merged():
    result = translated(
        row("work", Mark(1), labels=[("a", "1"), ("b", "2")], values=[1]),
        row("work", Mark(1), labels=[("b", "2"), ("a", "1")], values=[2]),
        row("work", Mark(1), labels=[("a", "2"), ("b", "1")], values=[4]),
    )
    assert [one.values for one in result] == [(3,), (4,)]


def test_every_value_of_merged_rows_is_added():
    result = translated(
        row("work", Mark(1), "main", values=[1, 20, 300, 4000]),
        row("work", "main", Mark(1), values=[5, 60, 700, 8000]),
        types=MEMORY,
    )
    assert [one.values for one in result] == [(6, 80, 1000, 12000)]


def test_numbers_without_labels_are_merged_with_none():
    result = translated(
        row("work", Mark(1)), row("work", Mark(2)), row("work"), labels_of=lambda _: ()
    )
    assert result == [row("work", values=[30])]


def test_mark_is_removed_from_the_tables():
    profile = pprof(
        row("work", Mark(1), "main", labels=[(LABEL, "1-2"), (LABEL, "4-5")]),
        row("work", Mark(3), "main"),
    )
    _, result = linked(profile)
    left = {FILENAME, LABEL, "request", "1-2", "4-5"} & set(result.string_table)
    assert left == set()
    assert len(result.function) == len(result.location) == 2
    used = {identity for sample in result.sample for identity in sample.location_id}
    assert used == {location.id for location in result.location}


def test_string_that_others_use_stays():
    """The application may have a function, a file or a label of the same name."""
    profile = pprof(
        row("request", LABEL, Mark(1), labels=[(LABEL, "1-2"), ("version", "1-2")]),
    )
    _, result = linked(profile)
    (one,) = rows_of(result)
    assert one.frames == ("request", LABEL)
    assert one.labels[0] == ("version", "1-2")


def test_mark_that_shares_a_location_is_removed_from_it():
    result = translated(
        row("leaf", ["inlined", Mark(7), "outer"], "main"), row("leaf", [Mark(8), Mark(9)], "main")
    )
    assert [one.frames for one in result] == [
        ("leaf", ["inlined", "outer"], "main"),
        ("leaf", "main"),
    ]
    assert [dict(one.labels)["span_id"][-1] for one in result] == ["7", "8"]


def test_profile_without_marks_stays_byte_for_byte():
    raw = pprof(row("work", "main", labels=[("tag", "a")])).SerializeToString()
    assert LinkedProfile(raw, labels_of, without_lines=False).raw is raw


def test_unknown_fields_stay():
    unknown = b"\xa2\x06\x03abc"  # field 100
    raw = pprof(row("work", Mark(1))).SerializeToString() + unknown
    result = LinkedProfile(raw, labels_of, without_lines=False).raw
    assert result.endswith(unknown)
    before, after = PprofProfile.FromString(raw), PprofProfile.FromString(result)
    assert (after.time_nanos, after.period) == (before.time_nanos, before.period) == (1, 10)


def test_numbers_of_memory_that_is_in_use_are_live():
    result, _ = linked(
        pprof(
            row("work", Mark(1), values=[1, 10, 0, 0]),
            row("work", Mark(2), values=[1, 10, 1, 10]),
            row("work", Mark(3), values=[0, 0, 0, 10]),
            row("work", values=[1, 10, 1, 10]),
            row("work", Mark(4), Mark(5), values=[1, 10, 1, 10]),
            types=MEMORY,
        )
    )
    assert result.live == {2, 3, 4}


def test_no_number_of_cpu_time_is_live():
    assert linked(pprof(row("work", Mark(1))))[0].live == set()


def test_samples_and_linked_are_counted():
    result, _ = linked(pprof(row("work", Mark(1)), row("work", Mark(1), "x"), row("work")))
    assert (result.samples, result.linked) == (3, 2)


def test_without_lines_every_line_is_0_and_equal_stacks_are_merged():
    result = translated(
        row("work:7", Mark(1), "main:3", values=[1]),
        row("work:8", Mark(1), "main:3", values=[2]),
        row("work:9", "main:4", values=[4]),
        row(["a:1", "b:2"], ["a:3", "b:4"], values=[8]),
        without_lines=True,
    )
    assert [(one.frames, one.values, len(one.labels)) for one in result] == [
        (("work:0", "main:0"), (3,), 2),
        (("work:0", "main:0"), (4,), 0),
        ((["a:0", "b:0"], ["a:0", "b:0"]), (8,), 0),
    ]


def test_without_lines_and_without_marks():
    assert translated(row("work:7"), row("work:8"), without_lines=True) == [
        row("work:0", values=[20])
    ]


frames = st.one_of(
    st.sampled_from(["a", "b:2", "b:3", ["a", "c"]]),
    st.integers(0, 3).map(Mark),
    st.integers(0, 3).map(lambda number: ["inner", Mark(number), "outer"]),
)
labels = st.lists(
    st.tuples(st.just(LABEL), st.sampled_from(["0-1", "1-0", "1-2", "2-1", "2-3", "x"]))
    | st.tuples(st.just("tag"), st.sampled_from(["a", "b"])),
    max_size=3,
)


def by_the_rule(one):
    """Return the row that the design's rule makes of a row, written as the design has it."""
    parts = [frame if isinstance(frame, list) else [frame] for frame in one.frames]
    numbers = [part.number for frame in parts for part in frame if isinstance(part, Mark)]
    mark = numbers[0] if numbers else 0
    values = [value.split("-") for key, value in one.labels if key == LABEL and "-" in value]
    named = {int(number) for under, number in values if int(under) == mark}
    number = mark if not named else named.pop() if len(named) == 1 else 0
    left = [[part for part in frame if not isinstance(part, Mark)] for frame in parts]
    stack = tuple(frame[0] if len(frame) == 1 else tuple(frame) for frame in left if frame)
    others = sorted(label for label in one.labels if label[0] != LABEL)
    return stack, tuple(sorted([*others, *(labels_of(number) if number else ())]))


@given(
    st.lists(
        st.builds(
            lambda stack, labels, value: row(*stack, labels=labels, values=[value]),
            st.lists(frames, min_size=1, max_size=6),
            labels,
            st.integers(1, 1000),
        ),
        max_size=12,
    )
)
def test_any_profile_follows_the_rule(rows):
    # With at least one mark: a profile without marks stays unchanged.
    rows = [*rows, row("a", Mark(1))]
    expected = {}
    for one in rows:
        key = by_the_rule(one)
        expected[key] = expected.get(key, 0) + one.values[0]
    result = {}
    for one in translated(*rows, types=CPU):
        stack = tuple(tuple(f) if isinstance(f, list) else f for f in one.frames)
        key = stack, tuple(sorted(one.labels))
        # If a mark shared a location, the other lines become a separate location.
        assert key not in result or any(isinstance(frame, list) for frame in one.frames)
        result[key] = result.get(key, 0) + one.values[0]
    assert result == expected
