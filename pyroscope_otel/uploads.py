"""What is said of samples when they are uploaded, and whether there is anybody to say it.

A sample names its profile by a number. The relay, which the agent of this process pushes
to, asks here what each number stands for. Where the agent pushes to its server directly,
nobody could: requests are then told apart by span labels on threads (`labels_only`).
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final

from pyroscope import _native as native

from pyroscope_otel import sampler, thread_labels
from pyroscope_otel.findings.uploads import by_thread_labels
from pyroscope_otel.following.switch import STATE
from pyroscope_otel.marks import LABEL, MARKS
from pyroscope_otel.setting_table import MAX_SPAN_NAMES, UPLOAD_BUFFER

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pyroscope_otel.settings import Settings

logger = logging.getLogger("pyroscope_otel")

OTHER_NAMES: Final = "(other names)"
"""What spans are called whose names are more than `max_span_names`."""


class Uploads:
    """What the relay of this process asks and tells.

    Attributes:
        upload_buffer: How many bytes of profiles are kept while the server is away.
        attribution: ``"stack"``, or ``"thread"`` for no relay.
        sampler_is_ours: Whether the sampler was chosen here, so that another may be.
    """

    def __init__(self) -> None:
        self.upload_buffer = UPLOAD_BUFFER
        self.attribution = "stack"
        self.sampler_is_ours = False
        self._starts_stack = False
        self._max_span_names = MAX_SPAN_NAMES
        self._span_names: set[str] = set()
        self._has_said_directly = False

    def configure(self, settings: Settings) -> None:
        """Go by these settings from the next start of the agent on."""
        self.upload_buffer = settings.upload_buffer
        self.attribution = settings.attribution
        self.sampler_is_ours = settings.cpu_implementation == sampler.AUTO
        self._max_span_names = settings.max_span_names

    @property
    def sampler(self) -> str:
        """The sampler that was started last: ``"pyspy"`` or ``"stack"``."""
        return sampler.STACK if self._starts_stack else sampler.PYSPY

    def wants_relay(self) -> bool:
        """Return whether an agent that starts now goes through a relay."""
        return self.attribution == "stack"

    def labels_of(self, number: int) -> tuple[tuple[str, str], ...]:
        """Return the span labels of what a number stands for at its samples' upload."""
        profile = MARKS.profile_of(number)
        if profile is None:
            return ()
        return tuple(
            (key, self._bounded(value) if key == "span_name" else value)
            for key, value in profile.span_labels()
        )

    def pushed(self, until: Mapping[str, float], live: Collection[int]) -> None:
        """Let numbers be used again whose samples have all been uploaded.

        Args:
            until: When the last sample of each kind of profile was taken, in seconds since
                the epoch.
            live: The numbers that are in the stacks of memory that is in use.
        """
        for kind, moment in until.items():
            MARKS.uploaded(kind, moment, live)

    def agent_starts(self, arguments: dict[str, Any], *, through_relay: bool) -> None:
        """See to it that the sampler that is about to start fits.

        Args:
            arguments: What the agent is started with, to be changed.
            through_relay: Whether it will push to the relay.
        """
        constant = arguments.get("cpu_implementation")
        self._starts_stack = sampler.name_of(constant) == sampler.STACK
        if not self._starts_stack:
            return
        if through_relay or not self.sampler_is_ours:
            sampler.prepare_stack()
        else:
            # It takes no labels of threads, and nobody will read marks.
            arguments["cpu_implementation"] = sampler.implementation(sampler.PYSPY)
            self._starts_stack = False

    def agent_started(self, kinds: Collection[str]) -> None:
        """Follow as it is read: by an agent that starts, whose stacks and labels are new.

        Args:
            kinds: The kinds of profiles that come through the relay; none without one.
        """
        if self._starts_stack:
            sampler.stack_has_started()
        MARKS.upload_kinds = frozenset(kinds)
        STATE.labels_only = not kinds
        # What threads carried under an earlier agent, this one does not know.
        thread_labels.forget()
        if not kinds:
            self._say_directly()

    def agent_stopped(self) -> None:
        """Forget what was sampled: nobody uploads it any more."""
        MARKS.forget_samples()
        thread_labels.forget()

    def look_for_agent(self) -> None:
        """Notice an agent that was started before this package was imported."""
        # The compiled functions: what others put in place of the public ones is no agent.
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
                "Root spans of this process have more than %d names; further ones go under the "
                "label span_name=%r, as each name is a series on the server. Name spans after "
                "routes, not after what is asked for; max_span_names raises the limit",
                self._max_span_names,
                OTHER_NAMES,
            )
        return OTHER_NAMES

    def _say_directly(self) -> None:
        if self._has_said_directly:
            return
        self._has_said_directly = True
        finding = by_thread_labels(is_chosen=self.attribution == "thread")
        logger.info("%s", finding.line)


UPLOADS: Final = Uploads()
os.register_at_fork(after_in_child=MARKS.begin_anew_in_child)
