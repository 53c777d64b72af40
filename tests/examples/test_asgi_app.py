"""The plain ASGI example, started with its documented command."""

from __future__ import annotations

import signal

from tests.examples.started import started


def test_streamed_report_is_in_the_profile_of_its_request():
    with started("example_apps/asgi_app.py") as example:
        lines = example.get("/").decode().splitlines()
        link = example.link("GET")
    assert [line.partition(":")[0] for line in lines] == ["January", "February", "March", "April"]
    assert "add_up_sales" in link.functions
    assert link.span.resource["service.name"] == link.profile_labels["service_name"] == "reports"


def test_last_samples_are_uploaded_at_the_stop():
    never = {"PYROSCOPE_UPLOAD_INTERVAL": "3600s"}
    with started("example_apps/asgi_app.py", environment=never, stop=signal.SIGTERM) as example:
        # On a busy machine the sampler may miss a short request.
        for _ in range(5):
            example.get("/")
        assert example.profiles == []
    assert "add_up_sales" in example.find_link("GET").functions
