"""The server's answers about the mappings of a client: what they mean for a mapping, and when to retry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet

from gotunnel.address import HostPort
from gotunnel.client.cures import cure_for
from gotunnel.client.standing import MappingStatus, Standing
from gotunnel.config.model import MappingConfig
from gotunnel.core.backoff import Backoff
from gotunnel.core.loglimit import once_in_a_while
from gotunnel.errors import Sentence, printable
from gotunnel.logs import Logger
from gotunnel.wire.messages import MappingResult

__all__ = ["Answers"]


class Answers:
    """The base of Published that handles the server's answers. `retry()` is called when some mappings were refused."""

    log = Logger()

    def __init__(
        self, mappings: Iterable[MappingConfig], server: HostPort, retry: Callable[[], None]
    ) -> None:
        self.statuses = {mapping.name: MappingStatus(mapping) for mapping in mappings}
        self.server = server
        self.off: AbstractSet[str] = frozenset()
        """Mappings that an operator has switched off. Their visitors are not served, whatever the server does."""
        self.changed: Callable[[], None] = lambda: None
        """Called when the server has answered, and when a target goes down or up."""
        self.news = False
        """Whether the last answer has led to a log line about a refusal."""
        self._unfit: set[str] = set()  # never requested, because the server's version cannot carry them
        self._can_group = True
        self._retry = retry
        self._backoff = self._ladder()

    def pause(self) -> float:
        """Return the seconds until the next retry of refused mappings: one round for all, with growing pauses."""
        return 1.0 + self._backoff.failed()

    def answered(self, results: Iterable[MappingResult], now: float = 0.0) -> None:
        """Handle the server's answers to some requests. `now` is in seconds."""
        refused = self.news = False
        for result in results:
            status = self.statuses.get(result.name)
            if status is None:
                continue
            if result.status == "ok":
                self._opened(status, result)
            else:
                refused = True
                self._refused(status, result, now)
        if refused:
            self._retry()
        elif all(
            status.standing is not Standing.REFUSED or name in self._unfit for name, status in self.statuses.items()
        ):  # fmt: skip
            self._backoff = self._ladder()
        self.changed()

    def shut(self, name: str, reason: str | None) -> bool:
        """Note why the server lets nobody in to a mapping; None if it does again. Returns whether that is new."""
        status = self.statuses.get(name)
        said = None if reason is None else printable(reason)
        if status is None or status.shut == said:
            return False
        status.shut = said
        self.changed()
        return True

    @staticmethod
    def _ladder() -> Backoff:
        return Backoff(first=2.0, cap=60.0)

    def _opened(self, status: MappingStatus, result: MappingResult) -> None:
        config, status.lines = status.config, None
        if not config.public:
            self._shared(status)
            return
        host = config.bind if config.bind is not None else self.server.host
        address = HostPort(host, result.remote_port or config.remote_port)
        known = status.standing is Standing.OPEN and status.address == address
        status.standing, status.address, status.reason = Standing.OPEN, address, ""
        if known:
            return
        if config.name in self.off:
            self.log.info(
                "mapping {mapping} registered: {address} opens when an operator switches it on again here",
                mapping=config.name, address=str(status.address),
            )  # fmt: skip
            return
        if status.down is not None:
            self.log.info(
                "mapping {mapping} registered: {address} opens when {target} is up again",
                mapping=config.name, address=status.where, target=str(config.local),
            )  # fmt: skip
            return
        self.log.info(
            "mapping {mapping} open: visitors of {address} reach {target}",
            mapping=config.name, address=status.where, target=str(config.local),
        )  # fmt: skip

    def _shared(self, status: MappingStatus) -> None:
        known = status.standing is Standing.OPEN
        status.standing, status.reason = Standing.OPEN, ""
        if not known:
            config = status.config
            self.log.info(
                "mapping {mapping} registered: the clients {clients} reach {target} through the server",
                mapping=config.name, clients=", ".join(config.clients), target=str(config.local),
            )  # fmt: skip

    def _refused(self, status: MappingStatus, result: MappingResult, now: float) -> None:
        config, code, said = status.config, result.code or "", result.reason or ""
        reason = Sentence("{code}: {said}", code=printable(result.code), said=printable(said))
        if status.standing is not Standing.REFUSED or status.reason != reason:
            status.since = now
        status.standing, status.address = Standing.REFUSED, None
        status.code, status.reason = printable(code), reason
        if status.lines is None:
            status.lines = once_in_a_while()
        more = status.lines.more(reason, now)
        if more is None:
            return
        self.news = True
        hint = cure_for(
            code, said, grouped=config.group is not None, can_group=self._can_group, udp=config.protocol == "udp"
        )
        self.log.warn(
            "mapping {mapping} refused by the server {server}: port {port}: {reason}{hint}{more}",
            mapping=config.name, server=str(self.server), port=config.remote_port, reason=reason, hint=hint, more=more,
        )  # fmt: skip
