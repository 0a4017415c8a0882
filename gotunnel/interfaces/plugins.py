"""The contracts of plugins: what each kind is asked for, when, and what a failure does. The contract of relays is in
`relay`."""

from __future__ import annotations

from typing import Any

from zope.interface import Attribute, Interface

from gotunnel.interfaces.relay import IRelay

__all__ = [
    "EXTENSIONS", "IAccessPolicy", "IAuthenticator", "IExtension", "IHealthCheck", "IKeyAuthenticator",
    "IPortAllocator", "ISocketTaker", "IStreamObserver", "ITransportListener", "ITransportProvider",
]  # fmt: skip


class IExtension(Interface):
    """A plugin: it has a name, and makes the object that a configuration asks for by that name.
    `gotunnel.plugin.Plugin` is one. A plugin also provides `twisted.plugin.IPlugin`, and is bound to a name in a module
    of the package `gotunnel.plugins`.

    A module that cannot be imported is reported when a plugin from outside gotunnel is looked up. It affects nothing
    else.

    A plugin may also have a method `check(options)`, which `gotunnel check` calls. It raises the GotunnelError that
    `make` would raise for what the options name, such as a file. The role may be running meanwhile, so `check` must not
    write, open anything to others, ask anybody or start anything; what it cannot find out without that stays unchecked.
    """

    kind = Attribute("the interface of the objects that it makes, one of EXTENSIONS")
    name = Attribute("the word that chooses it among those of its kind: 1 to 64 of a-z 0-9 . _ -")
    summary = Attribute("its purpose, in one line")
    options = Attribute("its options as a model, a subclass of `gotunnel.plugin.Options`")

    def make(*arguments: Any) -> Any:
        """Return an object that provides `kind`. Called when a configuration is applied, with the arguments that the
        docstring of that interface names. The options among them are a valid instance of `options`.

        A GotunnelError that it raises is reported to the operator as a mistake in the configuration: its text says in
        one line what is wrong and what would be right. Any other exception is a defect of the plugin. Either way the
        role does not start, or, at a reload, stays as it was.
        """


class IHealthCheck(Interface):
    """How a client finds out whether one target is healthy. It only probes: its caller decides how often, for how long,
    and what follows from the results, and never starts a probe while another one is running.

    Made with `(reactor, target, options, timeout)`, once for each mapping that asks for it, and again when the
    mapping's target or `health` changes. `target` is a `HostPort`, a `UnixPath`, or the `InProcess` of a program that
    listens through a tunnel; `net.target.target_endpoint` connects to each of them. `timeout` is the seconds that a
    probe has. Making it must not open anything. It is used from the start of the client until it stops, whether or not
    a server is connected.
    """

    def probe() -> Any:
        """Probe once. Return a Deferred that fires with None if the target is healthy, and fails with a `GotunnelError`
        whose text says in one line what is wrong with it. Any other failure or result counts as unhealthy.

        The caller cancels the Deferred when the time is over. However the probe ends, everything that it opened is
        closed.
        """


class IStreamObserver(Interface):
    """Receives the events of each visitor of a role. It decides nothing and delays nothing.

    Made with `(reactor, options, role)` when the configuration is applied; `role` is "server" or "client". For each
    visitor it receives `opened`, then any number of `bytes`, then `closed`. It receives nothing about visitors that
    were there before it was made. The methods are called in the reactor's thread, so slow work belongs elsewhere. What
    they return is not waited for. What they raise, or a Deferred of theirs fails with, is logged once under the
    observer's name; neither the visitor nor another observer is affected. After that it is called as before.

    gotunnel's own observers are `log`, `metrics` and `usage`, for configurations that name them. What every role does
    anyway needs no observer: its counters, its log lines, and the history that `usage` in a configuration writes from
    these counters. An observer costs each visitor about a dozen calls; those cost none.

    An observer with a method `collect()` that returns metrics of `prometheus_client` is asked at each scrape of
    `/metrics`. None of their labels may have a value that a stranger can choose.
    """

    def opened(stream: Any) -> None:
        """A visitor has arrived: it will be served, wait, or be refused. `stream` is a `core.observed.Stream`, the same
        object in every call for this visitor."""

    def bytes(stream: Any, up: int, down: int) -> None:
        """`up` bytes of the visitor have been carried to the target and `down` bytes back, in total. Called every 5
        seconds if they have changed, and before `closed`."""

    def closed(stream: Any, ended: Any) -> None:
        """The visitor has ended. `ended` is a `core.observed.Ended`."""

    def stop() -> None:
        """The role has stopped, or its configuration no longer names this observer. Called once, as the last call;
        visitors that are still there get no `closed`."""


class IPortAllocator(Interface):
    """Chooses the public port of a mapping that leaves it to the server (`remote: 0`).

    Made with `(reactor, options)` by a server when its configuration is applied.
    """

    def candidates(wish: Any) -> Any:
        """Return the ports to try, the best first, as an iterable, or a Deferred of one. `wish` is a `core.ports.Wish`.

        Called once for each mapping with `remote: 0` that is opened anew, also after its client was away for longer
        than its time of grace; a reconnection keeps the port. Of the first 64 candidates the mapping gets the first
        that is free and that the client's rights allow; the others are skipped. For each client there is one call at a
        time.

        The mapping is refused with `port_in_use`, and the client asks again later, if no candidate will do, if this
        method raises, if the Deferred fails, or if it has not fired after 5 seconds (it is then cancelled).
        """


class ITransportProvider(Interface):
    """How a client's control connections and legs reach a server. TLS and the whole of gotunnel's protocol go through
    it, so what carries the bytes need not be trusted.

    Made with `(reactor, options)` by a client, once for the life of the process. A reload that names another one makes
    it as a test only, and does not use the result. A GotunnelError says that it cannot be used like this.
    """

    def endpoint(server: Any, address: Any, timeout: float) -> Any:
        """Return a Twisted IStreamClientEndpoint. `server` is the HostPort that the file names; `address` is the one to
        connect to, perhaps with one IP address of that name. `timeout` is in seconds.

        Called for each connection. The failure of its `connect` is reported to the operator as the reason. `connect`
        must fail within about `timeout` seconds; it is cancelled when the connection is no longer wanted. The transport
        that the protocol gets must have a descriptor and behave like a TCP transport. `net.carried.Carried` makes such
        a transport from bytes that travel in another protocol.
        """


class ITransportListener(Interface):
    """The server's end of an ITransportProvider: accepts clients that do not come to the server's own port.

    Made with `(reactor, options, descriptors)` by a server, once for the life of the process. A reload that names
    another one makes it as a test only, and never lets it listen. `descriptors` is the `net.descriptors.Descriptors` of
    the process. A GotunnelError says that it cannot be used like this.
    """

    address = Attribute("the HostPort where it listens or will listen; no client may publish that port")

    def listen(door: Any, patience: float) -> Any:
        """Listen, and return an IListeningPort. Raises PortUnavailable; it is then called again every few seconds.

        Call `door.buildProtocol(address)` for each connection as soon as its origin is known, since limits and
        penalties depend on that. None means: close the connection. Otherwise give the returned protocol a transport, by
        `makeConnection`.

        The first transport may be the plain network connection. It must then have `getPeer`, `getHost`, `getHandle` and
        `abortConnection`; the protocol must get no bytes from it, but must get `connectionLost`. Close a connection
        that has not said within `patience` seconds what it wants. The last transport may have an attribute `waited`,
        the seconds since the connection was accepted, which the door counts towards its own deadline.
        """


class ISocketTaker(Interface):
    """Provided, beside ITransportListener, by a transport listener that can listen on a socket that systemd holds."""

    def take(listening: Any) -> None:
        """Use this socket of the standard library, which already listens at `address`, and open none. Called before
        `listen`, if at all."""


class IAuthenticator(Interface):
    """Decides which client it is that shows its token, because the token belongs to a third party that has to see it. A
    client that proves, without showing it, that it holds a token is the business of IKeyAuthenticator; that is the
    default.

    Made with `(reactor, options)` by a server when its configuration is applied.
    """

    def judge(login: Any) -> Any:
        """Return a `core.logins.Accepted`, or None for a client that is not let in, or a Deferred of either. `login` is
        a `core.logins.Login`.

        Called for each login of a client that shows its token: inside TLS, after the client has proved that it meant
        this very connection. The name is the client's own claim: this method decides whether the token may have it. It
        is never asked about names that an IKeyAuthenticator owns. Authenticators are asked in the order of the
        configuration until one accepts; up to 64 logins are judged concurrently.

        All authenticators together have four fifths of `handshake_timeout`. What is left of that is divided equally
        between an authenticator and those after it; when its share is over, the Deferred is cancelled. One that raises,
        fails, is late, or returns anything else lets nobody in: the others are asked, and if none accepts, the client
        gets `internal`, at no cost to its address. If all return None, the client gets `auth_failed`, as for a wrong
        token, and its address pays for it. Exceptions are logged without the token.

        An accepted client has the rights of a client without rights of its own, or those in `rights`, with
        `allow_ports` narrowed. It stays until its time is over, or until a reload removes the authenticator or gives
        the client's name an identity.
        """


class IKeyAuthenticator(Interface):
    """Decides which client it is that proves that it holds a token without showing it (section 5 of the protocol).

    `IAuthenticator.judge` cannot do that. Such a client sends a MAC over the first two messages and its TLS session,
    made with a key K that is derived from its token and its name. Nothing can be read from the MAC, and the comparison
    must take equally long for each name, so that strangers cannot find out which names exist. So plugins do not see the
    login: the server asks for keys, compares all of them itself, and then asks whose the proved key is. Every method
    answers at once, from memory; anything slow (a database, a directory) must be read beforehand.

    gotunnel's own two are `identities`, for clients with keys of their own, and `token`, for every client that has a
    shared token. A server always has those that its `clients`, its clients file and its `token` make; those that
    `authenticators` names come after them, in that order.

    Made with `(reactor, options)` by a server when its configuration is applied; a reload keeps those whose options are
    unchanged. If a method raises, or returns something that this contract does not allow, that is logged once, without
    its text, and lets nobody in.
    """

    size = Attribute("how many keys `keys` returns: from 1 to 8; it never changes")
    version = Attribute(
        "any value; it is read twice a second, and when it has changed, `accept` is called again for each client that "
        "was let in"
    )

    def owns(client: str) -> bool:
        """Return whether this name belongs to a client known here. If so, no other plugin's keys open it, and no
        IAuthenticator is asked. If two plugins own a name, it belongs to the first. A plugin that raises here keeps the
        name from all plugins after it."""

    def keys(client: str, now: float) -> Any:
        """Return `size` keys of 32 bytes, each of which lets this name in at `now` (Unix seconds):
        `gotunnel.wire.handshake.derive_key(token, client)`. Take the same steps for every name, and fill up with random
        keys that nobody holds. Called for each login, whosever the name is, before the client has proved anything."""

    def accept(client: str, key: bytes, now: float) -> Any:
        """Return a `core.logins.Accepted` for a client that has proved this key. Return None if the key is not one of
        this name here, or if its client may not come in (any more). Called when the client has proved the key, again
        just before it is let in, and when `version` changes; None then ends its session within a second.

        The rights are those of IAuthenticator's clients. For the server's own two plugins the configuration defines
        them.
        """


class IAccessPolicy(Interface):
    """The last word, within the rights of clients, on what they publish and reach, and on each visitor.

    Made with `(reactor, options)` by a server when its configuration is applied. Each method returns None for yes, a
    text that says why not, or a Deferred of either. The text is logged, and sent to the client for a publication or a
    dial, never to a visitor. A method that raises, fails, has not fired after 5 seconds (it is then cancelled), or
    returns anything else means no: the policy fails closed. That is logged at a limited rate. What was allowed once is
    not asked about again.
    """

    def publish(publication: Any) -> Any:
        """May this client listen on this port? `publication` is a `core.logins.Publication`. Asked after the client's
        rights, before listening; for `remote: 0`, about each candidate. A no reaches the client as `acl_denied`; it
        asks again later."""

    def dial(dial: Any) -> Any:
        """May this client reach this target through the server? `dial` is a `core.logins.Dial`. Asked after
        `allow_dial` and before the target's name is resolved; the visitor waits meanwhile. A no resets it with
        `not_allowed`."""

    def enter(entry: Any) -> Any:
        """May this visitor come to this mapping now? `entry` is a `core.logins.Entry`. Asked once for each visitor of a
        public port, and for each one from another client's forward. Meanwhile nothing is read from the visitor, and it
        may disconnect. A no resets it; its outcome is `denied`."""


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
"""What plugins can provide: the word for each kind in `gotunnel plugins`, and the interface of what they make."""
