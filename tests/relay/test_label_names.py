"""Thread labels of the application whose names Grafana does not show."""

from pyroscope_otel.setup.findings.profiling import judge_labels
from pyroscope_otel.setup.uploads import Uploads
from tests.relay.rows import Mark, body, row
from tests.relay.test_relay import push, relaying
from tests.support.push_server import Server

OURS = (("span_id", "00000000000000aa"), ("span_name", "GET /"), ("pyroscope_otel", "7-7"))


def upload(*pushes):
    """Upload each push through its own relay: an agent may be started again."""
    uploads = Uploads()
    with Server(200) as server:
        for sent in pushes:
            with relaying(server.url, uploads) as relay:
                push(relay, sent)


def labelled(*labels):
    return body(row("work", Mark(7), labels=labels))


def test_unusual_name_is_logged(logged):
    upload(labelled(("team name", "a"), ("region", "eu")))
    (finding,) = judge_labels(["team name"])
    assert logged() == [f"WARNING {finding.line}"]
    assert "'team_name' instead of 'team name'" in finding.line


def test_name_is_logged_once(logged):
    upload(labelled(("1st", "a")), labelled(("1st", "b")), labelled(("pod-name", "c")))
    (line,) = logged()
    assert "'_1st' instead of '1st'" in line


def test_label_of_any_sample_counts(logged):
    """Also of a sample of no request, beside one of a request."""
    upload(body(row("work", Mark(7)), row("other", labels=[("team name", "a")])))
    logged(1)


def test_usual_names_are_not_logged(logged):
    upload(labelled(("region", "eu"), ("thread_id", "7")), labelled(*OURS))
    assert logged() == []
