"""Scenario 13: code in a scheduler that is not followed belongs to none.

If asyncio runs Twisted's reactor, asyncio's own tasks are followed.
"""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("reactor", ["default", "asyncio"])
def test_twisted_steps_belong_to_no_request(pytestconfig, attribution, reactor):
    subprocess.run(
        [sys.executable, "-m", "tests.following.twisted_program", attribution, reactor],
        check=True,
        timeout=30,
        cwd=pytestconfig.rootpath,
    )
