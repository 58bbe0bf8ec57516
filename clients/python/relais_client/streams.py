"""Server-sent events, read line by line without any I/O (HTML standard, "interpreting an event stream")."""

from dataclasses import dataclass, field

from relais_client.models import Event


@dataclass(slots=True)
class EventLines:
    """What a stream has said so far: whole events, and where to go on after a cut.

    Attributes:
        last_id: Of the last event that was read; what `Last-Event-ID` says when the stream is opened again.
        wait_s: How long to wait before that.
    """

    last_id: str | None = None
    wait_s: float = 2.0
    _data: list[str] = field(default_factory=list)
    _id: str | None = None

    def read(self, line: str) -> Event | None:
        """Take one line without its end; answer the event that it ended, if it did."""
        if not line:
            data, self._data = self._data, []
            if not data:
                return None
            event = Event.model_validate_json("\n".join(data))
            self.last_id = self._id or str(event.id)
            return event
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value
        elif name == "retry" and value.isdigit():
            self.wait_s = int(value) / 1_000
        return None

    def cut(self) -> None:
        """The stream ended: what stood half in it is told again after the last whole event."""
        self._data = []
