"""Connects the relay to marks and settings.

A sample names its profile by a number. The relay, which this process's agent pushes to, calls
this module to resolve numbers. If the agent pushes to its server directly, nothing resolves
numbers, and thread labels identify requests instead (`labels_only`).
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final

from pyroscope import _native as native

from pyroscope_otel.link import thread_labels
from pyroscope_otel.link.marks import LABEL, MARKS
from pyroscope_otel.link.state import STATE
from pyroscope_otel.relay import log
from pyroscope_otel.setup import sampler
from pyroscope_otel.setup.findings.profiling import judge_labels
from pyroscope_otel.setup.findings.upload_state import by_thread_labels
from pyroscope_otel.setup.setting_table import MAX_SPAN_NAMES, UPLOAD_BUFFER

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pyroscope_otel.setup.settings import Settings

logger = logging.getLogger("pyroscope_otel")

OTHER_NAMES: Final = "(other names)"
"""The label value for all span names beyond `max_span_names`."""


class Uploads:
    """The callbacks of this process's relay.

    Attributes:
        upload_buffer: How many bytes of profiles are kept while the server is unavailable.
        attribution: ``"stack"``, or ``"thread"`` for no relay.
        sampler_is_ours: Whether this package chose the sampler and may change it.
    """

    def __init__(self) -> None:
        self.upload_buffer = UPLOAD_BUFFER
        self.attribution = "stack"
        self.sampler_is_ours = False
        self._starts_stack = False
        self._max_span_names = MAX_SPAN_NAMES
        self._span_names: set[str] = set()
        self._warned_of_labels = False
        self._has_logged_direct_mode = False

    def configure(self, settings: Settings) -> None:
        """Apply these settings from the agent's next start."""
        self.upload_buffer = settings.upload_buffer
        self.attribution = settings.attribution
        self.sampler_is_ours = settings.cpu_implementation == sampler.AUTO
        self._max_span_names = settings.max_span_names

    @property
    def sampler(self) -> str:
        """The sampler that started last: ``"pyspy"`` or ``"stack"``."""
        return sampler.STACK if self._starts_stack else sampler.PYSPY

    def wants_relay(self) -> bool:
        """Return whether an agent that starts now should push to a relay."""
        return self.attribution == "stack"

    def labels_of(self, number: int) -> tuple[tuple[str, str], ...]:
        """Return the span labels for a number, at the upload of its samples."""
        profile = MARKS.profile_of(number)
        if profile is None:
            return ()
        return tuple(
            (key, self._bounded(value) if key == "span_name" else value)
            for key, value in profile.span_labels()
        )

    def pushed(
        self, until: Mapping[str, float], live: Collection[int], label_names: Collection[str]
    ) -> None:
        """Free the numbers whose samples have all been uploaded.

        Args:
            until: When the last sample of each kind of profile was taken, in seconds since the
                epoch.
            live: The numbers in the stacks of live memory.
            label_names: The names of the labels that the application put on its threads.
        """
        for kind, moment in until.items():
            MARKS.uploaded(kind, moment, live)
        if not self._warned_of_labels:
            for finding in judge_labels(sorted(label_names)):
                self._warned_of_labels = True
                log.write(logging.WARNING, "%s", finding.line)

    def agent_starts(self, arguments: dict[str, Any], *, through_relay: bool) -> None:
        """Prepare the sampler that is about to start, or replace it.

        Args:
            arguments: The agent's arguments. They may be changed.
            through_relay: Whether the agent will push to the relay.
        """
        constant = arguments.get("cpu_implementation")
        self._starts_stack = sampler.name_of(constant) == sampler.STACK
        if not self._starts_stack:
            return
        if through_relay or not self.sampler_is_ours:
            sampler.prepare_stack()
        else:
            # Stack reads no thread labels, and nothing would read marks.
            arguments["cpu_implementation"] = sampler.implementation(sampler.PYSPY)
            self._starts_stack = False

    def agent_started(self, kinds: Collection[str]) -> None:
        """Adapt following to an agent that has just started.

        Args:
            kinds: The kinds of profiles that come through the relay. Empty without one.
        """
        if self._starts_stack:
            sampler.stack_has_started()
        MARKS.upload_kinds = frozenset(kinds)
        STATE.labels_only = not kinds
        STATE.async_marks = bool(kinds) and not self._starts_stack
        # The new agent does not know the labels that threads carried before.
        thread_labels.forget()
        if not kinds:
            self._log_direct_mode()

    def agent_stopped(self) -> None:
        """Forget all samples: nothing uploads them any more."""
        MARKS.forget_samples()
        thread_labels.forget()

    def look_for_agent(self) -> None:
        """Detect an agent that was started before this package was imported."""
        # Use the compiled functions: other tools may have replaced the public ones.
        if native.add_thread_tag(LABEL, "probe"):
            native.remove_thread_tag(LABEL, "probe")
            self.agent_started(())

    def _bounded(self, name: str) -> str:
        names = self._span_names
        if name in names:
            return name
        if len(names) < self._max_span_names:
            names.add(name)
            return name
        if OTHER_NAMES not in names:
            names.add(OTHER_NAMES)
            logger.warning(
                "Root spans of this process have more than %d names; further names get the "
                "label span_name=%r, because each name is a series on the server. Name spans after "
                "routes rather than paths, or raise max_span_names",
                self._max_span_names,
                OTHER_NAMES,
            )
        return OTHER_NAMES

    def _log_direct_mode(self) -> None:
        if self._has_logged_direct_mode:
            return
        self._has_logged_direct_mode = True
        finding = by_thread_labels(is_chosen=self.attribution == "thread")
        logger.info("%s", finding.line)


UPLOADS: Final = Uploads()
os.register_at_fork(after_in_child=MARKS.reset_in_child)
