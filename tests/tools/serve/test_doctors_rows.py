"""The doctor's spans and profiles are not listed as requests."""

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from pyroscope_otel.setup.findings.names import DOCTOR_ATTRIBUTE, DOCTOR_SERVICE
from tests.tools.serve.exports import MS, export, span


def test_spans_of_the_doctor_are_accepted_and_not_stored(client):
    client.add(span(), service=DOCTOR_SERVICE)
    status = client.get("/api/status")
    assert (status["spans"], status["requests"], status["trace_exports"]) == (0, 0, 0)
    assert status["services"] == []


def test_spans_of_its_requests_to_an_application_are_not_stored(client):
    request = ExportTraceServiceRequest.FromString(export(span()))
    request.resource_spans[0].resource.attributes.add(
        key=DOCTOR_ATTRIBUTE, value={"string_value": "true"}
    )
    request.MergeFromString(export(kept := span()))  # another resource of the same export
    assert client.send_traces(request.SerializeToString())[0] == 200
    (found,) = client.get("/api/requests")["requests"]
    assert found["profile_id"] == kept.span_id.hex()


def test_profile_of_the_doctor_can_be_read_and_is_not_counted(client):
    client.add_samples(("00000000000000ab", [("f", "f.py", 1)], 20), service=DOCTOR_SERVICE)
    assert client.get("/api/flamegraph", profile_id="00000000000000ab")["total_ns"] == 20 * MS
    status = client.get("/api/status")
    assert (status["pushes"], status["services"]) == (0, [])
    assert client.get("/api/requests")["requests"] == []
