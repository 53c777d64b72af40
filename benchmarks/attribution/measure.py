"""Compares the request in a sample's labels with the request in its stack."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.attribution.burn import exact_id, is_without_request, request_of
from benchmarks.attribution.run import Package, Recording, Sampler, run
from benchmarks.attribution.spans import process_by_order, profile_ids_by_order

if TYPE_CHECKING:
    from benchmarks.attribution.cases import Case
    from pyroscope_otel.pprof.pushes import Sample

_SAMPLE_NANOSECONDS = 10_000_000  # at the agent's default of 100 Hz
_RIGHT, _MISSING = "right", "no span_id"
_LABELS = ("span_id", "span_name", "trace_id")


@dataclass
class Attribution:
    """How samples were attributed.

    Attributes:
        measures: The unit of all counts: `cpu` for samples of 10 ms, or `alloc_space` for bytes.
        samples: The number of samples of requests. Each should carry its request's profile id.
        right: The number of samples with the right profile id.
        missing: The number of samples without a profile id.
        stray: The number of samples with a profile id although they belong to no request.
        verdicts: The number of samples of each kind, in words.
        double: The number of requests with more than one profile id.
        without: The number of requests without a profile id.
        tracebacks: The number of tracebacks in the server's log.
        workers: The processes with right samples.
        pushes: The number of the agents' pushes.
    """

    case: str
    package: str
    slice_ms: float
    sampler: Sampler = "auto"
    measures: str = "cpu"
    samples: int = 0
    right: int = 0
    missing: int = 0
    stray: int = 0
    requests: int = 0
    double: int = 0
    without: int = 0
    tracebacks: int = 0
    workers: set[str] = field(default_factory=set)
    pushes: int = 0
    verdicts: dict[str, int] = field(default_factory=dict)

    @property
    def precision(self) -> float | None:
        """The right share of the labelled samples, or None without labelled samples."""
        labelled = self.samples - self.missing + self.stray
        return self.right / labelled if labelled else None

    @property
    def recall(self) -> float | None:
        """The right share of all samples of requests, or None without samples."""
        return self.right / self.samples if self.samples else None

    def as_dict(self) -> dict[str, Any]:
        """Return all attributes as plain values."""
        shares = {"precision": self.precision, "recall": self.recall}
        return asdict(self) | shares | {"workers": len(self.workers)}


def measure(  # noqa: PLR0913 a case, and the ways to run it
    case: Case,
    package: Package,
    slice_ms: float = 20,
    seconds: float = 4,
    upload_interval: int = 1,
    *,
    sampler: Sampler = "auto",
) -> Attribution:
    """Run a case and judge its samples.

    Args:
        case: The case.
        package: `old` is the released 1.1.0; `hand` our span processor, added by hand; `ours`
            our middleware; `direct` our middleware with thread labels
            (`attribution="thread"`); `zero` environment variables without code; `exact` no
            package, but labels set right around the work, the best that labels can do on this
            machine at this moment.
        slice_ms: The CPU time that a request burns before it lets others run.
        seconds: The CPU time that all requests burn together.
        upload_interval: See `run`.
        sampler: The setting `cpu_implementation`. By hand and without our package, `auto` is
            the agent's own default, PySpy.

    Raises:
        ServerError: The server or a request failed.
    """
    result = Attribution(case.name, package, slice_ms, sampler, case.measures)
    judge(run(case, package, slice_ms, seconds, upload_interval, sampler=sampler), result)
    return result


def judge(recording: Recording, result: Attribution) -> None:
    """Judge the samples of a recording, and count them in `result`."""
    ids = profile_ids_by_order(recording.spans)
    if result.package == "exact":
        ids = {order: {exact_id(order)} for order in range(recording.requests)}
    result.requests = recording.requests
    result.double = sum(len(found) > 1 for found in ids.values())
    result.without = sum(not ids.get(order) for order in range(recording.requests))
    result.tracebacks = recording.log.count("Traceback (most recent call last)")
    processes = process_by_order(recording.spans)
    verdicts: Counter[str] = Counter()
    for profile in recording.profiles:
        if profile.sample_type != result.measures:
            continue
        result.pushes += 1
        for sample in profile.samples:
            count = _count(sample, result.measures)
            if not count:
                continue
            order = request_of(sample)
            if order is not None:
                verdict = _verdict(sample, ids, order)
                verdicts[verdict] += count
                if verdict == _RIGHT:
                    result.workers |= {processes[order]} if order in processes else set()
            elif is_without_request(sample):
                labelled = any(sample.label_values(key) for key in _LABELS)
                verdicts["no request, labelled" if labelled else "no request"] += count
    result.verdicts = dict(verdicts.most_common())
    result.right = verdicts[_RIGHT]
    result.missing = verdicts[_MISSING]
    result.stray = verdicts.pop("no request, labelled", 0)
    result.samples = verdicts.total() - verdicts["no request"]


def _count(sample: Sample, measures: str) -> int:
    if measures != "cpu" or not sample.value:
        return sample.value
    # Stack's values are the elapsed CPU time, which is never exactly 10 ms.
    return max(1, round(sample.value / _SAMPLE_NANOSECONDS))


def _verdict(sample: Sample, ids: dict[int, set[str]], order: int) -> str:
    span_ids = sample.label_values("span_id")
    for key in _LABELS:
        if len(sample.label_values(key)) > 1:
            mine = bool(ids.get(order, set()) & set(span_ids))
            return f"two values of {key}, {'one' if mine else 'none'} of them right"
    if not span_ids:
        return _MISSING
    if span_ids[0] in ids.get(order, ()):
        return _RIGHT
    others = set().union(*ids.values())
    return "another request's" if span_ids[0] in others else "unknown span_id"
