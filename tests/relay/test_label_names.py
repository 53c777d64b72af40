"""Labels that an application puts on its threads, under names that Grafana does not show."""

from pyroscope_otel.setup.findings.profiling import judge_labels
from pyroscope_otel.setup.uploads import Uploads
from tests.relay.rows import Mark, body, row
from tests.relay.test_relay import push, relaying
from tests.support.push_server import Server

OURS = (("span_id", "00000000000000aa"), ("span_name", "GET /"), ("pyroscope_otel", "7-7"))


def upload(*pushes):
    """Upload each as a relay of its own does: an agent may be started again."""
    uploads = Uploads()
    with Server(200) as server:
        for sent in pushes:
            with relaying(server.url, uploads) as relay:
                push(relay, sent)


def labelled(*labels):
    return body(row("work", Mark(7), labels=labels))


def test_a_name_that_is_not_classic(logged):
    upload(labelled(("team name", "a"), ("region", "eu")))
    (finding,) = judge_labels(["team name"])
    assert logged() == [f"WARNING {finding.line}"]
    assert "'team_name' instead of 'team name'" in finding.line


def test_it_is_said_once(logged):
    upload(labelled(("1st", "a")), labelled(("1st", "b")), labelled(("pod-name", "c")))
    (line,) = logged()
    assert "'_1st' instead of '1st'" in line


def test_of_any_sample(logged):
    """Also of one that is nobody's, beside one of a request."""
    upload(body(row("work", Mark(7)), row("other", labels=[("team name", "a")])))
    logged(1)


def test_names_that_are_classic(logged):
    upload(labelled(("region", "eu"), ("thread_id", "7")), labelled(*OURS))
    assert logged() == []
