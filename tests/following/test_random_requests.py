"""What switch points do together, in an order that nobody thought of."""

import pytest

from tests.support.event_loops import each_loop, run
from tests.support.random_walk import RandomWalk
from tests.support.random_wsgi_walk import RandomWsgiWalk


@each_loop
@pytest.mark.parametrize("seeds", [range(75), range(75, 150)], ids=str)
def test_each_sample_belongs_to_its_asyncio_request(tracer, now, new_loop, seeds):
    for seed in seeds:
        run(RandomWalk(tracer, now, seed).serve, new_loop)


def test_each_sample_belongs_to_its_wsgi_request(tracer, now):
    for seed in range(100):
        RandomWsgiWalk(tracer, now, seed).serve()
