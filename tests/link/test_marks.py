"""Numbers: which profile each stands for, and for how long."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from pyroscope_otel.link import marks
from pyroscope_otel.link.attribution import Owner
from pyroscope_otel.link.marks import MARKS, NO_PROFILE, Marks

CPU, MEMORY = "process_cpu", "memory"


class Clock:
    """A time of day in seconds, set by the test."""

    now = 1_000.0

    def time(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(marks, "time", clock)
    return clock


@pytest.fixture
def numbers(clock):  # noqa: ARG001  it goes by that
    """Return the marks of a process whose relay uploads CPU profiles."""
    numbers = Marks()
    numbers.upload_kinds = (CPU,)
    return numbers


@pytest.fixture
def profile():
    return SimpleNamespace(name="A")


def take(numbers, profile=None):
    mark = numbers.take()
    mark.profile = profile
    return mark


# From in use to free


def test_numbers_are_small_and_consecutive(numbers):
    taken = [numbers.take() for _ in range(100)]
    assert [mark.number for mark in taken] == list(range(2, 102))
    assert [numbers.get(mark.number) for mark in taken] == taken
    assert numbers.count() == (100, 0)


def test_number_stands_for_its_profile(numbers, profile):
    mark = take(numbers, profile)
    assert numbers.profile_of(mark.number) is profile
    for nobody in (0, NO_PROFILE, mark.number + 1, -1):
        assert numbers.profile_of(nobody) is None


def test_number_is_reused_once_its_samples_are_uploaded(numbers, profile, clock):
    mark = take(numbers, profile)
    numbers.give_back(mark)
    # Its samples are not uploaded yet.
    assert numbers.profile_of(mark.number) is profile
    assert numbers.take() is not mark
    # The agent may read the frames of a sample a second after it was taken.
    for until in (999.0, 1000.0, 1000.9, 1001.0):
        numbers.uploaded(CPU, until)
        assert numbers.profile_of(mark.number) is profile
        assert numbers.take() is not mark
    clock.now = 1_002.0
    numbers.uploaded(CPU, 1001.1)
    assert numbers.profile_of(mark.number) is None
    assert numbers.take() is mark


def test_number_is_reused_once_each_kind_of_profile_is_uploaded(numbers, profile):
    numbers.upload_kinds = (CPU, MEMORY)
    mark = take(numbers, profile)
    numbers.give_back(mark)
    for kind, until in ((CPU, 1010.0), (MEMORY, 1001.0), (CPU, 1020.0)):
        numbers.uploaded(kind, until)
        assert numbers.profile_of(mark.number) is profile
        assert numbers.take() is not mark
    numbers.uploaded(MEMORY, 1001.1)
    assert numbers.take() is mark


def test_number_given_back_later_is_reused_later(numbers, clock):
    early, late = numbers.take(), numbers.take()
    numbers.give_back(early)
    clock.now += 10
    numbers.give_back(late)
    numbers.uploaded(CPU, 1005.0)
    assert numbers.count() == (2, 1)
    assert numbers.take() is early
    numbers.uploaded(CPU, 1012.0)
    assert numbers.take() is late


def test_number_in_use_is_not_reused(numbers):
    """However much is uploaded."""
    mark = numbers.take()
    numbers.uploaded(CPU, 5_000.0)
    numbers.forget_samples()
    assert mark not in [numbers.take() for _ in range(100)]


def test_live_memory_keeps_a_number(numbers, profile, clock):
    """A request's memory may stay in use long after the request."""
    numbers.upload_kinds = (CPU, MEMORY)
    alive, gone = take(numbers, profile), take(numbers, profile)
    for mark in (alive, gone):
        numbers.give_back(mark)
    numbers.uploaded(CPU, 1010.0)
    numbers.uploaded(MEMORY, 1010.0, {alive.number, 4711})
    assert numbers.profile_of(alive.number) is profile
    assert numbers.profile_of(gone.number) is None
    assert numbers.take() is gone
    for _ in range(3):
        clock.now += 1_000
        numbers.uploaded(CPU, clock.now)
        numbers.uploaded(MEMORY, clock.now, {alive.number})
        assert numbers.profile_of(alive.number) is profile
        assert numbers.take() is not alive
    numbers.uploaded(CPU, clock.now)
    numbers.uploaded(MEMORY, clock.now, ())
    assert numbers.profile_of(alive.number) is None
    assert numbers.take() is alive


def test_number_is_free_at_once_without_an_agent(profile):
    """Without samples there is no upload to wait for."""
    numbers = Marks()
    mark = take(numbers, profile)
    numbers.give_back(mark)
    assert numbers.profile_of(mark.number) is None
    assert numbers.take() is mark


def test_number_without_an_upload_is_free_after_two_minutes(numbers, profile, clock):
    """An agent without samples pushes nothing."""
    mark = take(numbers, profile)
    numbers.give_back(mark)
    clock.now += 120
    assert numbers.take() is not mark
    assert numbers.profile_of(mark.number) is profile
    clock.now += 0.1
    assert numbers.take() is mark
    assert mark.profile is None


def test_numbers_are_free_once_the_agent_has_stopped(numbers, profile):
    numbers.upload_kinds = (CPU, MEMORY)
    resting, alive = take(numbers, profile), take(numbers, profile)
    numbers.give_back(alive)
    numbers.uploaded(CPU, 1010.0)
    numbers.uploaded(MEMORY, 1010.0, {alive.number})
    numbers.give_back(resting)
    assert numbers.count() == (2, 0)
    numbers.forget_samples()
    assert numbers.count() == (2, 2)
    assert resting.profile is alive.profile is None
    mark = numbers.take()
    numbers.give_back(mark)
    assert numbers.count() == (2, 2)
    # Nothing is known of the next agent.
    numbers.upload_kinds = (CPU, MEMORY)
    mark = numbers.take()
    numbers.give_back(mark)
    numbers.uploaded(CPU, 1020.0)
    assert numbers.count() == (2, 1)


def test_no_number_is_shared_when_all_are_in_use(numbers, profile, monkeypatch):
    """Samples are then missing, not wrong."""
    monkeypatch.setattr(marks, "NUMBERS", 5)
    taken = [take(numbers, profile) for _ in range(6)]
    assert [mark.number for mark in taken] == [2, 3, 4, NO_PROFILE, NO_PROFILE, NO_PROFILE]
    assert numbers.profile_of(NO_PROFILE) is None
    for mark in taken[3:]:
        numbers.give_back(mark)
    numbers.uploaded(CPU, 5_000.0)
    assert numbers.take().number == NO_PROFILE
    assert numbers.count() == (3, 0)
    numbers.give_back(taken[1])
    numbers.uploaded(CPU, 5_000.0)
    assert numbers.take() is taken[1]


def test_no_two_threads_get_the_same_number(numbers):
    def work():
        barrier.wait(30)
        for _ in range(500):
            mark = numbers.take()
            if mark.number in in_use:
                twice.append(mark.number)
            in_use.add(mark.number)
            in_use.discard(mark.number)
            numbers.give_back(mark)

    numbers.upload_kinds = ()
    in_use, twice = set(), []
    barrier = threading.Barrier(8)
    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert twice == []
    count, free = numbers.count()
    assert count == free <= 8


def test_owner_keeps_its_number_while_it_is_referred_to(profile):
    owner = Owner(profile)
    mark = owner.mark
    other = owner
    del owner
    assert MARKS.profile_of(mark.number) is profile
    assert MARKS.take() is not mark
    del other
    assert MARKS.profile_of(mark.number) is None
