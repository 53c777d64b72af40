"""A shop whose orders are prepared by Celery tasks.

The queue is a folder, so no broker is needed.
"""

from __future__ import annotations

import os
from pathlib import Path

from celery import Celery, exceptions

from benchmarks.attribution.burn import burn, turns
from benchmarks.attribution.set_up import set_up_celery
from benchmarks.attribution.spans import FOLDER_VARIABLE, name_order

PREPARE = "prepare"


def connected(folder: Path) -> Celery:
    """Return an application with its queue and results in a folder.

    Messages go to an outbox first, and `send` moves them. Otherwise the worker could read a
    message that is only partly written.
    """
    queue, outbox, results = (folder / name for name in ("queue", "outbox", "results"))
    for one in (queue, outbox, results):
        one.mkdir(exist_ok=True)
    app = Celery("shop", broker="filesystem://", backend=results.as_uri())
    app.conf.broker_transport_options = {
        "data_folder_in": str(queue),
        "data_folder_out": str(outbox),
        "control_folder": str(folder / "control"),
        "polling_interval": 0.05,
    }
    return app


def send(folder: Path, orders: int) -> None:
    """Send all orders at once, and wait until they are prepared.

    Raises:
        TimeoutError: An order was not prepared within a minute.
    """
    app = connected(folder)
    answers = [app.send_task(PREPARE, [order]) for order in range(orders)]
    for message in (folder / "outbox").iterdir():
        message.rename(folder / "queue" / message.name)
    for answer in answers:
        try:
            answer.get(timeout=60, interval=0.02)
        except exceptions.TimeoutError as error:
            raise TimeoutError("a task was not done within a minute") from error


def prepare(order: int) -> None:
    name_order(order)
    for _ in turns():
        burn(order)


def worker() -> Celery:
    app = connected(Path(os.environ[FOLDER_VARIABLE]))
    app.task(prepare, name=PREPARE)
    set_up_celery()
    return app


if FOLDER_VARIABLE in os.environ:
    app = worker()
