"""The state of one session: what its client shows, and what that means for waiting calls and observers. The actions of
a session are in `session` and `publishing`."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred

from gotunnel.address import HostPort, is_ip, is_wildcard
from gotunnel.api.addresses import TunnelAddress, twisted_address
from gotunnel.api.events import Connected, Lost, MappingClosed, MappingOpened, Observers
from gotunnel.api.refusals import not_let_in, port_refused
from gotunnel.api.settings import Settings
from gotunnel.client.link import Link
from gotunnel.client.links import Links
from gotunnel.client.service import ClientService
from gotunnel.client.standing import MappingStatus, Standing
from gotunnel.errors import AuthRejected, NotConnected, Sentence
from gotunnel.interfaces import IRelay

__all__ = ["SessionState", "is_shut"]


class SessionState:
    """The base of a session that shows its state. `Publishing` and `Session` set all of these attributes."""

    observers: Observers
    settings: Settings
    _ending: list[Deferred[None]] | None  # the calls that wait for its end
    _service: ClientService | None
    _told: dict[str, HostPort | None]  # the open mappings that observers were told
    _up: bool | None  # the state that observers were told
    _withdrawn: set[str]  # the mappings that the server has been asked to close

    @property
    def links(self) -> Links:
        """The links of its client. Raises NotConnected if there is no client."""
        if self._service is None:
            raise NotConnected("the tunnel is closed")
        links = self._service.links
        assert isinstance(links, Links)
        return links

    @property
    def link(self) -> Link:
        """The link to its server. Raises NotConnected if there is no client."""
        return self.links.links[0]

    @property
    def relay(self) -> IRelay:
        """The relay that moves its bytes. Raises NotConnected if there is no client."""
        if self._service is None:
            raise NotConnected("the tunnel is closed")
        return self._service.relay

    @property
    def connected(self) -> bool:
        """Whether the server is connected."""
        return self._service is not None and self.link.session is not None

    def address(self, name: str) -> HostPort | None:
        """Return the public address of a mapping, if it has one now."""
        status = None if self._service is None else self.link.published.statuses.get(name)
        return None if status is None else status.address

    def public_address(
        self, name: str, known: HostPort | None, protocol: str = "tcp"
    ) -> IPv4Address | IPv6Address | TunnelAddress:
        """Return that address, or else `known`, with the IP address at which this process reaches the server."""
        address = self.address(name) or known
        if address is None:
            return TunnelAddress(name)
        ip = "" if self._service is None else self.link.server_ip
        if ip and (not is_ip(address.host) or is_wildcard(address.host)):
            return twisted_address(HostPort(ip, address.port), protocol)
        return twisted_address(address, protocol)

    def streams(self, name: str | None = None) -> int:
        """Return the number of visitors, including those that this process has sent; or that of one mapping."""
        if self._service is None:
            return 0
        return self.links.streams if name is None else self.links.streams_by_mapping[name]

    def _is_open(self, name: str, patient: bool) -> MappingStatus | None:
        link = self._is_connected(patient)
        status = None if link is None else link.published.statuses.get(name)
        if status is not None and status.standing is Standing.REFUSED:
            raise port_refused(status)
        return status if status is not None and status.standing is Standing.OPEN else None

    def _is_connected(self, patient: bool) -> Link | None:
        link = self.link
        if self._ending is not None:
            raise NotConnected("the tunnel is closed")
        if link.session is None and isinstance(link.failure, AuthRejected) and not patient:
            raise not_let_in(link.failure)
        return None if link.session is None else link

    def _is_closed(self, name: str) -> bool:
        return self.link.session is None or name not in self.link.published.closing

    def _too_late(self) -> NotConnected:
        trouble = "" if self._service is None else self.link.trouble
        return NotConnected(trouble or Sentence(
            "{server} does not answer in time", server=self.settings.server
        ))

    def _tell(self) -> None:
        link, tell = self.link, self.observers.tell
        up = link.session is not None
        if up and not self._up:
            tell(Connected(link.label))
        elif not up and link.trouble and self._up is not False:
            tell(Lost(link.label, link.trouble))
        self._up = up if up or link.trouble else self._up
        for name in [name for name in self._withdrawn if self._is_closed(name)]:
            self._tell_withdrawn(name)  # first: it may have been published again
        for name, status in link.published.statuses.items():
            closed = _why_closed(status)
            if status.standing is Standing.OPEN and closed is None:
                if name not in self._told or self._told[name] != status.address:
                    self._told[name] = status.address
                    tell(MappingOpened(name, status.address))
            elif name in self._told and closed is not None:
                del self._told[name]
                tell(MappingClosed(name, closed))

    def _tell_withdrawn(self, name: str) -> None:
        if name in self._withdrawn:
            self._withdrawn.discard(name)
            if name in self._told:
                del self._told[name]
                self.observers.tell(MappingClosed(name, "closed by this program"))


def _why_closed(status: MappingStatus) -> str | None:
    """Why visitors cannot connect; None while they can, or while that is unknown."""
    if status.down is not None:
        return Sentence("its target is down: {down}", down=status.down)
    if status.standing is Standing.REFUSED:
        return status.reason
    if status.shut is not None:
        return _shut(status.shut)
    return None


def _shut(reason: str) -> Sentence:
    return Sentence("the server lets no visitor in: {reason}", reason=reason)


def is_shut(closed: MappingClosed) -> bool:
    """Whether the server still has the mapping but lets no visitors in for now, for example because its operator wants
    that."""
    return isinstance(closed.reason, Sentence) and closed.reason.english == _shut("").english
