"""What switch points do together, in an order that nobody thought of."""

import pytest
import sqlalchemy.ext.asyncio  # noqa: F401  its greenlets are followed once it is imported

from tests.following.random_walk import RandomWalk
from tests.support.event_loops import each_loop, run


@each_loop
@pytest.mark.parametrize("seeds", [range(75), range(75, 150)], ids=str)
def test_each_sample_belongs_to_its_request(tracer, now, new_loop, seeds):
    for seed in seeds:
        run(RandomWalk(tracer, now, seed).serve, new_loop)
