"""Without code, requests are held from their edge, as a middleware holds them."""

import flask
import pytest
from opentelemetry.instrumentation.flask import FlaskInstrumentor


@pytest.mark.parametrize("wrap", [iter, flask.stream_with_context])
def test_streamed_flask_body_belongs_to_its_request(wrap, now, tracer, provider):  # noqa: ARG001  `tracer` is the recorder's
    """Flask's instrumentation ends the span before the server asks for the body."""
    seen = []

    def produce():
        seen.append(now())
        yield b"x"
        seen.append(now())

    app = flask.Flask(__name__)

    @app.get("/items")
    def view():
        seen.append(now())
        return flask.Response(wrap(produce()))

    FlaskInstrumentor.instrument_app(app, tracer_provider=provider)
    for _ in range(2):
        assert app.test_client().get("/items", buffered=True).data == b"x"
    assert seen == ["GET /items"] * 6
