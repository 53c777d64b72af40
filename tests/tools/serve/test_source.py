"""Source lines: which files are shown, to which clients, and the times of each line."""

import http.client
import os
import time
import types

import pytest

from pyroscope_otel.tools.serve import LocalServer
from pyroscope_otel.tools.serve.source import CannotShow, Sources, is_local
from tests.tools.serve.exports import MS, Client, span

TEXT = "def outer():\n    inner()\n    return 1\n\n\ndef inner():\n    pass\n" + "\n" * 30
NOW = 2**62


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def sources(folder):
    return Sources([folder])


@pytest.fixture
def file(folder):
    file = folder / "app.py"
    file.write_text(TEXT)
    os.utime(file, ns=(1, 1))
    return file


# Files


def read(sources, file, before_ns=NOW):
    return sources.read(str(file), before_ns=before_ns, last_line=1, by_local=True)


def test_file_under_the_folder(sources, file):
    path, lines = read(sources, file)
    assert path == str(file)
    assert lines[:3] == ["def outer():", "    inner()", "    return 1"]
    assert read(sources, "app.py") == (path, lines)


def refusal(sources, file, before_ns=NOW):
    with pytest.raises(CannotShow) as refused:
        read(sources, file, before_ns)
    return str(refused.value)


NOT_UNDER = "only files under the server's working directory and installed packages are shown"


def test_file_elsewhere(sources, folder):
    (folder.parent / "secret.py").write_text("x")
    assert refusal(sources, folder.parent / "secret.py") == NOT_UNDER
    assert refusal(sources, "../secret.py") == NOT_UNDER
    assert refusal(sources, f"{folder}/../secret.py") == NOT_UNDER


def test_folder_whose_name_starts_the_same(sources, folder):
    (folder.parent / "workshop").mkdir()
    (folder.parent / "workshop" / "a.py").write_text("x")
    assert refusal(sources, folder.parent / "workshop" / "a.py") == NOT_UNDER


def test_link_to_a_file_elsewhere(sources, folder):
    (folder.parent / "secret.py").write_text("x")
    (folder / "link.py").symlink_to(folder.parent / "secret.py")
    assert refusal(sources, folder / "link.py") == NOT_UNDER


def test_link_to_a_file_that_is_not_python(sources, folder):
    (folder / ".env").write_text("PASSWORD=1")
    (folder / "link.py").symlink_to(folder / ".env")
    assert refusal(sources, folder / "link.py") == NOT_UNDER


def test_file_that_is_not_python(sources, folder):
    (folder / ".env").write_text("PASSWORD=1")
    assert refusal(sources, folder / ".env") == "it is not a Python file"
    assert refusal(sources, "<string>") == "it is not a Python file"


@pytest.mark.parametrize("name", ["gone.py", "\0.py", "a/" * 3000 + "b.py", "app.py/x.py"])
def test_missing_file(sources, file, name):
    assert file.exists()
    assert refusal(sources, name) == "there is no such file on this machine"


def test_not_a_regular_file(sources, folder):
    (folder / "folder.py").mkdir()
    assert refusal(sources, "folder.py") == "it is not a regular file"
    os.mkfifo(folder / "pipe.py")
    assert refusal(sources, "pipe.py") == "it is not a regular file"


def test_too_large_file(sources, folder):
    with (folder / "large.py").open("w") as large:
        large.truncate(2 * 1024 * 1024 + 1)
    assert refusal(sources, "large.py") == "the file is larger than 2097152 bytes"


def test_file_changed_after_the_profile(sources, file):
    os.utime(file, ns=(0, 5000))
    assert read(sources, file, 5000)[0] == str(file)
    reason = "the file has changed since it ran"
    assert refusal(sources, file, 4999) == reason


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"# coding: latin-1\n\xe4\n", ["# coding: latin-1", "ä"]),
        (b"\xef\xbb\xbfa\r\nb\rc", ["a", "b", "c"]),
        (b"# coding: nonsense\n\xff", ["# coding: nonsense", "\N{REPLACEMENT CHARACTER}"]),
        (b"a\x0cb\n\xe2\x80\xa8c", ["a\x0cb", "\N{LINE SEPARATOR}c"]),
    ],
)
def test_lines_are_split_as_python_does(sources, folder, content, lines):
    (folder / "a.py").write_bytes(content)
    assert read(sources, "a.py")[1] == lines


# Clients


@pytest.mark.parametrize(
    ("host", "headers", "local"),
    [
        ("127.0.0.1", {}, True),
        ("127.8.0.1", {}, True),
        ("::1", {}, True),
        ("192.168.1.7", {}, False),
        ("127.0.0.1", {"x-forwarded-for": "1.2.3.4"}, False),
        ("127.0.0.1", {"forwarded": "for=1.2.3.4"}, False),
    ],
)
def test_clients_on_this_machine(host, headers, local):
    client = types.SimpleNamespace(host=host)
    assert is_local(types.SimpleNamespace(client=client, headers=headers)) is local


# Through the API


@pytest.fixture
def served(folder, monkeypatch):
    monkeypatch.chdir(folder)
    with LocalServer(port=0, otlp_port=None) as server:
        yield Client(server.url)


def profile(client, *samples, ago=0):
    root = span(start_ms=time.time_ns() // MS - ago)
    client.add(root)
    client.add_samples(*((root.span_id.hex(), stack, ms) for stack, ms in samples))
    return root.span_id.hex()


def test_lines_have_their_times(served, file):
    outer, inner = (("outer", str(file), 2), ("inner", str(file), 7))
    again = [outer, ("outer", str(file), 2), ("outer", str(file), 3)]
    of = profile(served, ([outer, inner], 30), ([outer], 10), (again, 20))
    found = served.get("/api/source", function="outer", file=str(file), profile_id=of)
    assert (found["path"], found["line"], found["reason"]) == (str(file), 2, None)
    lines = {line["number"]: line for line in found["lines"]}
    assert lines[1] == {"number": 1, "text": "def outer():"}
    assert lines[2]["text"] == "    inner()"
    assert (lines[2]["self_ns"], lines[2]["total_ns"]) == (10 * MS, 60 * MS)
    assert (lines[3]["self_ns"], lines[3]["total_ns"]) == (20 * MS, 20 * MS)
    assert max(lines) == 9  # six after the last measured line
    route = served.get(
        "/api/source", function="outer", file=str(file), service="shop", route="GET /cart"
    )
    assert route == found


def test_file_without_samples_is_not_read(served, file, folder):
    (folder / "other.py").write_text("secret = 1")
    of = profile(served, ([("outer", str(file), 2)], 30))
    for function, name in (("outer", str(folder / "other.py")), ("inner", str(file))):
        status, reason = served.refused("/api/source", function=function, file=name, profile_id=of)
        assert (status, reason) == (404, f"no sample has {function} of {name}")


def test_changed_file_shows_only_the_times(served, file):
    of = profile(served, ([("outer", str(file), 2)], 30), ago=60_000)
    file.write_text(TEXT)
    found = served.get("/api/source", function="outer", file=str(file), profile_id=of)
    assert found["path"] is None
    assert found["reason"].startswith("the file has changed since")
    times = {"self_ns": 30 * MS, "total_ns": 30 * MS}
    assert found["lines"] == [{"number": 2, "text": None, **times}]


def test_file_with_too_few_lines(served, file):
    of = profile(served, ([("outer", str(file), 99)], 30))
    found = served.get("/api/source", function="outer", file=str(file), profile_id=of)
    assert found["reason"] == "the file has fewer lines than were measured: it is another file"


def test_lines_of_a_long_function_are_bounded(served, folder):
    file = folder / "long.py"
    file.write_text("x\n" * 5000)
    os.utime(file, ns=(1, 1))
    of = profile(served, *(([("f", str(file), line)], ms) for line, ms in ((1, 1), (4000, 9))))
    found = served.get("/api/source", function="f", file=str(file), profile_id=of)
    numbers = [line["number"] for line in found["lines"]]
    assert len(numbers) <= 240
    assert 4000 in numbers


def test_other_machines_get_only_the_times(served, file):
    of = profile(served, ([("outer", str(file), 2)], 30))
    connection = http.client.HTTPConnection(served.url.partition("//")[2])
    path = f"/api/source?function=outer&file={file}&profile_id={of}"
    connection.request("GET", path, headers={"X-Forwarded-For": "10.0.0.9"})
    body = connection.getresponse().read()
    connection.close()
    assert b"readers on the server's own machine only" in body
    assert b"inner()" not in body


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"function": "f"}, "source needs a function and a file"),
        ({"file": "f"}, "source needs a function and a file"),
        ({"function": "f", "file": "f"}, "source needs a profile_id, or a service and a route"),
    ],
)
def test_bad_query(client, query, reason):
    assert client.refused("/api/source", **query) == (400, reason)
