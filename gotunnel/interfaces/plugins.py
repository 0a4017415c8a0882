"""The contracts of plugins: what each kind is asked for, when, and what a failure does. A relay's is in `relay`."""

from __future__ import annotations

from typing import Any

from zope.interface import Attribute, Interface

from gotunnel.interfaces.relay import IRelay

__all__ = [
    "EXTENSIONS", "IAccessPolicy", "IAuthenticator", "IExtension", "IHealthCheck", "IKeyAuthenticator",
    "IPortAllocator", "ISocketTaker", "IStreamObserver", "ITransportListener", "ITransportProvider",
]  # fmt: skip


class IExtension(Interface):
    """A plugin: it has a name, and makes what a configuration that names it asks for. `gotunnel.plugin.Plugin` is one;
    it provides `twisted.plugin.IPlugin` too, and stands in a module of the package `gotunnel.plugins`.

    A module that cannot be imported is named to whoever asks for a plugin of others, and harms nothing else.

    A plugin may have a method `check(options)`, too, which raises the GotunnelError that `make` would raise for what
    the options name, a file say: `gotunnel check` calls it, beside a role that runs perhaps. Nothing is to be written,
    opened for others, asked or started there, and what cannot be found out without that stays open.
    """

    kind = Attribute("the interface of what it makes, one of EXTENSIONS")
    name = Attribute("the word that chooses it among those of its kind: 1 to 64 of a-z 0-9 . _ -")
    summary = Attribute("what it is for, in one line")
    options = Attribute("its options as a model, a subclass of `gotunnel.plugin.Options`")

    def make(*arguments: Any) -> Any:
        """Return what provides `kind`. Called when the configuration is taken up, with what the docstring of that
        interface says; the options among them are an instance of `options`, and valid.

        A GotunnelError that it raises is told to the operator as a mistake of his configuration: its text says in one
        line what is wrong and what would be right. Anything else that it raises is a defect of the plugin; either way
        the role does not start, or at a reload stays as it was.
        """


class IHealthCheck(Interface):
    """How a client finds out whether one target is there. It only looks: how often, how long, and what follows from the
    results is decided by its caller, who never starts a probe while another one is under way.

    Made with `(reactor, target, options, timeout)`, once for each mapping that asks for it, and anew when its target or
    its `health` changes: `target` is a `HostPort` or a `UnixPath`, or an `InProcess` of a program that listens
    by a tunnel; `net.target.target_endpoint` connects to each. `timeout` is the seconds that a probe has. Nothing is to
    be opened then. Called from the start of the client until it stops, whether or not a server is there.
    """

    def probe() -> Any:
        """Look once. Returns a Deferred that fires with None when the target is well, and fails with a `GotunnelError`
        whose text says in one line what is wrong with it. Anything else counts as a failure.

        The caller cancels it when its time is over. However it ends, whatever the probe had opened is closed with it.
        """


class IStreamObserver(Interface):
    """Who is told of each visitor of a role. It decides nothing and can hold nothing up.

    Made with `(reactor, options, role)`, `role` being "server" or "client", when the configuration is taken up. For
    each visitor it hears `opened`, then any number of `bytes`, then `closed`; of one who was here before it was made it
    hears nothing. Called in the reactor's thread: what takes long belongs elsewhere. What it returns is not waited for;
    what it raises, and what a Deferred of it fails with, is logged once under its name, and neither the visitor nor
    another observer notices. After that it is called as before.

    `log`, `metrics` and `usage` of gotunnel's own are such, for who names them. What every role does without being told
    to is none: its counters, its lines in the log, and the history of `usage` in a configuration, which is written of
    these counters. An observer costs each visitor a dozen calls, and those cost none.

    One with a method `collect()` that returns metrics as `prometheus_client` has them is asked at each scrape of
    `/metrics`. No label of theirs may have a value that a stranger can choose.
    """

    def opened(stream: Any) -> None:
        """A visitor is here, to be served, to wait, or to be turned away; `stream` is a `core.observed.Stream`, the
        same object in each call for him."""

    def bytes(stream: Any, up: int, down: int) -> None:
        """So many bytes of him have been carried in all, to the target and back. Called every 5 seconds where they have
        changed, and ahead of `closed`."""

    def closed(stream: Any, ended: Any) -> None:
        """His time is over; `ended` is a `core.observed.Ended`."""

    def stop() -> None:
        """The role has stopped, or its configuration names this observer no more: nothing is called any more. Called
        once, last; for visitors who are still here no `closed` follows."""


class IPortAllocator(Interface):
    """Which public port a mapping gets that leaves it to the server (`remote: 0`).

    Made with `(reactor, options)` by a server, when its configuration is taken up.
    """

    def candidates(wish: Any) -> Any:
        """Return the ports to try, the best first, as an iterable; or a Deferred of one. `wish` is a `core.ports.Wish`.

        Called once for each mapping with `remote: 0` that is opened anew, also after its client was away for more than
        its time of grace; a reconnection keeps the port. Of the first 64 candidates the mapping gets the first that the
        client's rights allow and that is free; what is not allowed is passed over. Called one at a time for each
        client.

        When none will do, when it raises, when the Deferred fails or has not fired after 5 seconds (it is cancelled
        then), the mapping is refused with `port_in_use`, and the client asks again later.
        """


class ITransportProvider(Interface):
    """How a client's control connections and legs reach a server. TLS and all that gotunnel says go through it: who
    carries the bytes need not be trusted with them.

    Made with `(reactor, options)` by a client, once for the life of the process, and by a reload that names another one
    to try it, which asks nothing of what it has made. A GotunnelError says that it cannot be used like this.
    """

    def endpoint(server: Any, address: Any, timeout: float) -> Any:
        """Return an IStreamClientEndpoint of Twisted. `server` is the HostPort that the file names, `address` the one
        to connect to, with one IP address of that name perhaps.

        Asked anew for each connection. What its `connect` fails with is told to the operator as the reason, and it must
        fail within some `timeout` seconds; it is cancelled when nobody wants it any more. The transport that the
        protocol gets must have a descriptor and behave as one of TCP: `net.carried.Carried` makes such a one of bytes
        that travel in another protocol.
        """


class ITransportListener(Interface):
    """The other end of it: where a server takes clients that do not come to its own port.

    Made with `(reactor, options, descriptors)` by a server, once for the life of the process, and by a reload that
    names another one to try it, which never lets it listen; `descriptors` is the `net.descriptors.Descriptors` of the
    process. A GotunnelError says that it cannot be used like this.
    """

    address = Attribute("the HostPort where it listens, or is to: no client may publish its port")

    def listen(door: Any, patience: float) -> Any:
        """Listen, and return an IListeningPort. Raises PortUnavailable, and is then called again every few seconds.

        `door.buildProtocol(address)` is to be called for each connection as soon as it is known where that comes from,
        which is what limits and penalties go by. None means that it is to be closed; else what it returns gets a
        transport by `makeConnection`. As long as there is nothing but the transport of the network, that must know
        `getPeer`, `getHost`, `getHandle` and `abortConnection`, and the protocol gets no bytes and must be told of
        `connectionLost`. Who does not say within `patience` seconds what he wants is to be closed. The last transport
        may have `waited`, the seconds since the connection was accepted: the door's own deadline counts them.
        """


class ISocketTaker(Interface):
    """What a transport listener provides beside ITransportListener if it can listen on a socket that systemd holds."""

    def take(listening: Any) -> None:
        """Listen on this socket of the standard library, which listens already where `address` says, and open none.
        Called before `listen`, if at all."""


class IAuthenticator(Interface):
    """Who is this client, of those that show their token: it is the business of somebody else, who has to see it. Who
    proves that he holds one without showing it, as all do that are not told otherwise, is IKeyAuthenticator's.

    Made with `(reactor, options)` by a server, when its configuration is taken up.
    """

    def judge(login: Any) -> Any:
        """Return a `core.logins.Accepted`, or None for a client that is not let in, or a Deferred of either. `login` is
        a `core.logins.Login`.

        Called for each login of a client that shows its token: inside TLS, when it has proved that it meant this very
        connection. Its name is what it says itself: whether this token may have it is for this method to decide. Names
        that an IKeyAuthenticator owns are never asked about. Authenticators are asked in the order of the configuration
        until one accepts; up to 64 logins are judged side by side.

        All together have four fifths of `handshake_timeout`, each as much of what is left as those behind it; then the
        Deferred is cancelled. One that raises, fails, is
        late, or returns anything else lets nobody in: the others are asked, and if none accepts the client hears
        `internal`, at no cost to its address. If all say None it hears `auth_failed`, as for a wrong token, and its
        address pays for it. What is raised is logged, without the token.

        An accepted client has the rights of a client without rights of its own, or those that `rights` says, with
        `allow_ports` narrowed; it stays until its time is over, or until a reload removes the authenticator or gives
        its name an identity.
        """


class IKeyAuthenticator(Interface):
    """Who is this client, of those that prove that they hold a token without showing it (section 5 of the protocol).

    That is no question for `IAuthenticator.judge`. What such a client sends is a MAC over the first two messages and
    its TLS session, made with a key K that is derived from its token and its name: nothing can be read from that, and
    who compares must take as long for each name, or strangers could try which names there are. So nobody is shown this
    login; the server asks for keys, compares all of them itself, and then asks whose the proved one is. All of it is
    answered at once, from memory: what takes its time (a database, a directory) is read beforehand.

    The two of gotunnel's own are such: `identities`, those with keys of their own, and `token`, whoever has a shared
    one. A server always has the ones that its `clients`, its clients file and its `token` make; those that
    `authenticators` names come behind them, in that order.

    Made with `(reactor, options)` by a server, when its configuration is taken up; a reload keeps those whose options
    are the same. What a method raises, or answers that is none of what is said here, is logged once, without its words,
    and lets nobody in.
    """

    size = Attribute("how many keys `keys` returns: from 1 to 8, and the same number as long as it lives")
    version = Attribute(
        "anything: looked at twice a second, and where it differs from before, `accept` is asked again about each "
        "client that it has let in"
    )

    def owns(client: str) -> bool:
        """Whether this name belongs to somebody here: then nobody else's keys open it, and no IAuthenticator is asked.
        Where two own a name the first does. One that cannot say, because it raises, keeps the name from all behind it.
        """

    def keys(client: str, now: float) -> Any:
        """Return `size` keys of 32 bytes, any of which lets this name in at `now` (Unix seconds):
        `gotunnel.wire.handshake.derive_key(token, client)`. For each name by the same steps, and filled up with random
        ones that nobody holds. Called for each login, whose ever the name is, before the client has proved anything.
        """

    def accept(client: str, key: bytes, now: float) -> Any:
        """Return a `core.logins.Accepted` for a client that has proved this key; None if the key is not one of this
        name here, or its client may not come in (any more). Called when it has proved it, again when it is about to be
        let in, and when `version` differs; with None then its session ends within a second.

        The rights are those of IAuthenticator's clients. Of the server's own two the configuration says the rights.
        """


class IAccessPolicy(Interface):
    """The last word, within the rights of clients, on what they publish and reach, and on each visitor.

    Made with `(reactor, options)` by a server, when its configuration is taken up. Each method returns None for yes, or
    a text that says why not, or a Deferred of either; the text goes into the log, and to the client of a publication or
    a dial, never to a visitor. What raises, fails, has not fired after 5 seconds (it is cancelled then) or is anything
    else means no: it fails closed, and the log says so, as often as is good for it. What was allowed once is not asked
    about again.
    """

    def publish(publication: Any) -> Any:
        """May this client listen on this port? `publication` is a `core.logins.Publication`. Asked after its rights,
        ahead of listening; for `remote: 0` for each candidate. A no is `acl_denied` for the client, who asks again
        later."""

    def dial(dial: Any) -> Any:
        """May this client reach this target through the server? `dial` is a `core.logins.Dial`. Asked after
        `allow_dial`, ahead of looking up its name; the visitor waits meanwhile. A no resets him with `not_allowed`."""

    def enter(entry: Any) -> Any:
        """May this visitor come to this mapping now? `entry` is a `core.logins.Entry`. Asked once for each visitor of a
        public port, and for one who comes from another client's forward; nothing is read from him meanwhile, and he may
        go away by himself. A no resets him; his outcome is `denied`."""


EXTENSIONS = {
    "access": IAccessPolicy,
    "authenticator": IAuthenticator,
    "health": IHealthCheck,
    "keys": IKeyAuthenticator,
    "listener": ITransportListener,
    "observer": IStreamObserver,
    "ports": IPortAllocator,
    "relay": IRelay,
    "transport": ITransportProvider,
}
"""What plugins can bring: the word of `gotunnel plugins` for each kind, and the interface of what they make."""
