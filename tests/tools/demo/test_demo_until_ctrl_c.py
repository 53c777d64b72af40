"""The demo without `--once`: it prints its links, continues, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
from contextlib import closing
from pathlib import Path

import pytest

from tests.tools.command_process import PATIENCE_SECONDS, ask, wait_until
from tests.tools.demo.demo_process import is_served, running_demo, stacks

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def taken_port():
    """Occupy Pyroscope's default port, unless another program has it."""
    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", 4040))
            other.listen()
        except OSError:
            assert is_served("http://127.0.0.1:4040")
        yield 4040


def test_prints_its_links_and_continues_until_ctrl_c(tmp_path, taken_port):
    with running_demo(tmp_path) as demo:
        shop = demo.shop()
        url = demo.wait_for(r"Local server +(http://\S+)")
        taken = f"Port {taken_port} is taken: using a free one. Choose another with --port.\n"
        assert taken in demo.printed
        assert url != f"http://127.0.0.1:{taken_port}"

        profile_id = demo.wait_for(rf"{url}/#/request/([0-9a-f]{{16}})\n")
        left, right = ask(url, f"requests/{profile_id}")["profiles"]
        assert {left["route"], right["route"]} == {"GET /invoice/{number}", "GET /report/{month}"}
        hot = {profile["route"]: hot_functions(url, profile) for profile in (left, right)}
        # Their turns take half a millisecond to two. Neither has the work of the other.
        invoices = {"price_line", "round_to_cents", "add_tax"}
        reports = {"rank_products", "draw_chart", "report"}
        for route, own, others in (
            ("GET /invoice/{number}", invoices, reports),
            ("GET /report/{month}", reports, invoices),
        ):
            assert hot[route] & own
            assert not hot[route] & others
        compared = re.search(rf"{url}/#/difference\?left=(\w+)&right=(\w+)\n", demo.printed)
        assert set(compared.groups()) == {left["profile_id"], right["profile_id"]}

        slow = demo.wait_for(rf"{url}/#/difference\?left=(\w+)&right=route\n")
        difference = f"difference?profile_id={slow}&against_route=1"
        assert ask(url, difference)["left"]["title"] == "GET /invoice/{number}"
        # The link is printed once some samples of the request have arrived. This function's may
        # come with the next upload.
        wait_until(
            lambda: has_more_on_the_left(ask(url, difference)["root"], "find_discounts"),
            lambda: ask(url, difference),
        )

        before = ask(url, "status")["requests"]
        wait_until(lambda: ask(url, "status")["requests"] > before, lambda: "more requests")

        assert demo.end_by(signal.SIGINT) == 0
        assert demo.printed.endswith("\nStopped.\n")
        assert "\x1b" not in demo.printed
        assert not is_served(shop)
        assert not is_served(url)
        assert list((tmp_path / "temporary").iterdir()) == []


def hot_functions(url, profile):
    """Return the functions with more than a tenth of a profile's time."""
    flame = ask(url, f"flamegraph?profile_id={profile['profile_id']}")
    found = {}
    for path, nanoseconds in stacks(flame["root"]):
        found[path[-1]] = found.get(path[-1], 0) + nanoseconds
    return {name for name, nanoseconds in found.items() if nanoseconds > flame["total_ns"] / 10}


def both_sides(node, function):
    """Return a function's times on both sides of a difference."""
    if node["name"] == function:
        return node["left_ns"], node["right_ns"]
    sides = [both_sides(child, function) for child in node["children"]]
    return tuple(map(sum, zip(*sides, strict=True))) or (0, 0)


def has_more_on_the_left(root, function):
    """Return whether the left side of a difference spent more time in a function."""
    # Not the total: on a busy machine, PySpy counts more for concurrent requests.
    left, right = both_sides(root, function)
    return left > right


@pytest.mark.parametrize(
    ("number", "moment"),
    [(signal.SIGTERM, "Example shop"), (signal.SIGHUP, "Local server")],
    ids=["SIGTERM among requests", "SIGHUP at the start"],
)
def test_other_signals_also_stop_it(tmp_path, number, moment):
    with running_demo(tmp_path, "--port", "0") as demo:
        url = demo.wait_for(rf"{moment} +(http://\S+)")
        assert demo.end_by(number) == 0
        assert demo.printed.endswith("\nStopped.\n")
        assert not is_served(url)
        assert list((tmp_path / "temporary").iterdir()) == []


def test_shop_ends_if_the_demo_is_killed(tmp_path):
    with running_demo(tmp_path, "--port", "0") as demo:
        shop = demo.shop()
        assert is_served(shop)
        assert demo.end_by(signal.SIGKILL) == -signal.SIGKILL
        wait_until(lambda: not is_served(shop), lambda: "the end of the shop")


def test_end_of_the_shop_is_reported(tmp_path):
    with running_demo(tmp_path, "--port", "0") as demo:
        url = demo.wait_for(r"Local server +(http://\S+)")
        demo.shop()
        os.kill(child_of(demo.process.pid), signal.SIGKILL)
        assert demo.process.wait(PATIENCE_SECONDS) == 1
        assert "\npyroscope-otel: The shop has exited with status -9. It printed" in demo.printed
        assert not is_served(url)
        assert list((tmp_path / "temporary").iterdir()) == []


def child_of(pid):
    """Return the id of a process's only child."""
    (child,) = [
        int(stat.parent.name)
        for stat in Path("/proc").glob("[0-9]*/stat")
        if parent_in(stat) == pid
    ]
    return child


def parent_in(stat):
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None  # the process has ended
