"""Spans that nobody will see, because more came than could be sent: counted, and said."""

import time
from collections.abc import Iterable
from typing import Final

import structlog
from opentelemetry import metrics
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

NO_ROOM: Final = "queue_full"
"""More came than wait to be sent; the word of the semantic conventions for it."""
NOT_TAKEN: Final = "not_taken"
"""The receiver did not take them, however often they were sent."""
SAY_EVERY_S: Final = 60.0


class Losses:
    """How many spans were lost since the process began, and why."""

    def __init__(self) -> None:
        self.counts = {NO_ROOM: 0, NOT_TAKEN: 0}
        self._said = 0
        self._say_at_s = 0.0

    def add(self, count: int, why: str) -> None:
        """Count some; say so in the log once a minute at most."""
        self.counts[why] += count
        now_s = time.monotonic()
        if now_s >= self._say_at_s:
            whole = sum(self.counts.values())
            lost, self._said, self._say_at_s = whole - self._said, whole, now_s + SAY_EVERY_S
            structlog.get_logger().warning("spans lost", since_last_said=lost, **self.counts)

    def observed(self, _options: CallbackOptions) -> Iterable[Observation]:
        """Answer the counts as a metric holds them."""
        return [Observation(count, {"error.type": why}) for why, count in self.counts.items()]

    def measure(self) -> None:
        """Show the counts among the metrics of this process."""
        metrics.get_meter("relais").create_observable_counter(
            "relais.spans.lost", [self.observed], "{span}", "Spans that were not sent: nobody finds them."
        )


class Batches(BatchSpanProcessor):
    """Sends spans in batches. One for which there is no room costs next to nothing, and is counted.

    The SDK itself would write a log record for each of them, in the midst of the load that causes it.

    Args:
        exporter: Sends them.
        losses: Counts.
        every_ms: How often they leave.
    """

    def __init__(self, exporter: SpanExporter, losses: Losses, every_ms: int) -> None:
        super().__init__(exporter, schedule_delay_millis=every_ms)
        self._losses = losses
        # The SDK shows neither to anybody; a test sees to it that they are still there.
        self._waiting = self._batch_processor._queue  # noqa: SLF001
        self._room = self._batch_processor._max_queue_size  # noqa: SLF001

    def on_end(self, span: ReadableSpan) -> None:
        """Let a span wait to be sent, if it is to be and there is room."""
        if len(self._waiting) < self._room:
            super().on_end(span)
        elif span.context and span.context.trace_flags.sampled:
            self._losses.add(1, NO_ROOM)
