"""Decides which certificates are accepted from a peer, on either TLS library: explains chain errors, checks a server's
name and pins, and a client's name. It holds no connection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from service_identity.cryptography import extract_patterns
from service_identity.hazmat import DNS_ID, IPAddress_ID, ServiceID, verify_service_identity
from twisted.internet.abstract import isIPAddress, isIPv6Address

from gotunnel.errors import GotunnelError, Sentence, printable
from gotunnel.net.certificates import TlsFilesError, load_authorities, spki_pin

__all__ = [
    "CLIENT",
    "CLIENT_CA",
    "NotTrusted",
    "Trust",
    "chain_problem",
    "check_name",
    "client_name_problem",
    "load_trust",
    "server_name_of",
]

CLIENT_CA = "server.tls.client_ca"
CLIENT = "a client"
MOST_NAMES = 4
"""How many names of a certificate a message lists."""


class NotTrusted(GotunnelError):
    """A peer's certificate is not acceptable; the text says why and what to do."""


def server_name_of(name: str) -> str | None:
    """Return a name in the form that TLS sends (RFC 6066, section 3), or None for an IP address or an invalid name."""
    if _is_ip(name):
        return None
    name = name.removesuffix(".")
    if name.isascii():  # nearly all are, and the codec for others costs an idle process memory
        return name if all(0 < len(part) < 64 for part in name.split(".")) else None
    try:
        return name.encode("idna").decode("ascii") or None
    except UnicodeError:  # an empty or too long label
        return None


def chain_problem(code: int, authorities: str, use: str = "a server", known: bool = True) -> str:
    """Return the meaning of OpenSSL's verdict on a certificate, as a continuation of "its certificate".

    `code` is one of X509_V_ERR (openssl-verification-options(1)), `authorities` the configuration key that names the
    trusted authorities, and `known` says whether that key is set.
    """
    if code == 9:
        return "is not valid yet: check the clocks of both machines"
    if code == 10:
        return "has expired: renew it"
    if code == 18:
        return Sentence("is self-signed: an authority of {authorities} must sign it", authorities=authorities)
    if code == 26:
        return Sentence("is not meant for {use}: issue it with the extended key usage for {use}", use=use)
    if not known:
        return Sentence(
            "was not issued by a trusted authority: name its authority in {authorities}",
            authorities=authorities,
        )
    return Sentence(
        "was not issued by an authority of {authorities}: have it issued there, or add its authority",
        authorities=authorities,
    )


@dataclass(frozen=True, slots=True)
class Trust:
    """The requirements on a server's certificate. Without `chain` its name, dates and issuer are not checked; without
    pins its key is not; with both, both are. `keys` is the configuration group with these settings."""

    name: str
    chain: bool = False
    authorities: tuple[x509.Certificate, ...] = ()
    """The authorities that may have issued it; empty with `chain`: those that the system trusts."""
    pins: frozenset[str] = frozenset()
    keys: str = "client.tls"

    @property
    def anybody(self) -> bool:
        """Whether any certificate is accepted: then only the token proves the server."""
        return not self.chain and not self.pins

    def chain_problem(self, code: int) -> str:
        """Return what is wrong with a chain; see the function of this name."""
        return chain_problem(code, f"{self.keys}.ca", known=bool(self.authorities))

    def problem(self, certificate: x509.Certificate) -> str | None:
        """Return what is wrong with the certificate itself, regardless of its chain; None if nothing is."""
        if self.chain and not self._is_for_it(certificate):
            found = ", ".join(printable(name, 64) for name in names(certificate)) or "no name at all"
            return Sentence(
                "is not for {name} but for {names}: see {keys}.server_name", name=self.name, names=found, keys=self.keys
            )
        if self.pins:
            try:
                pin = spki_pin(certificate)
            except Exception:  # noqa: BLE001 - a peer can send anything here, and an unreadable key is not pinned
                return Sentence(
                    "has a key that cannot be read, and {keys}.pin asks for another: somebody sits in "
                    "between",
                    keys=self.keys,
                )
            if pin not in self.pins:
                return (
                    Sentence(
                        "has the pin {pin}, which {keys}.pin does not name: add it if the server's key is "
                        "new, else somebody sits in between",
                        pin=pin, keys=self.keys,
                    )
                )
        return None

    def _is_for_it(self, certificate: x509.Certificate) -> bool:
        name = self.name.removesuffix(".")
        service: ServiceID = IPAddress_ID(name) if _is_ip(name) else DNS_ID(name)
        try:
            verify_service_identity(extract_patterns(certificate), [service], [])
        except Exception:  # noqa: BLE001 - whatever is wrong, the certificate is not verified
            return False
        return True


def load_trust(ca: Path | None, name: str, pins: Iterable[str] = (), keys: str = "client.tls") -> Trust:
    """Return the requirements that the configuration sets for a server's certificate. `ca` is a PEM file. Raises
    TlsFilesError."""
    if ca is not None:
        check_name(name, keys)
    return Trust(name, ca is not None, () if ca is None else load_authorities(ca), frozenset(pins), keys)


def check_name(name: str, keys: str) -> None:
    """Raise TlsFilesError if no certificate can be for this name."""
    if not _is_ip(name) and server_name_of(name) is None:
        raise TlsFilesError(Sentence(
            "{name}: no certificate is for such a name; set {keys}.server_name", name=name, keys=keys
        ))


def client_name_problem(certificate: x509.Certificate | None, client: str) -> str | None:
    """Return why a certificate does not belong to the client named `client`; None if it does.

    A DNS name in its subjectAltName must equal the client's name exactly: no wildcards, no difference in case, and
    never the common name, which authorities fill as they like (RFC 9525, section 2).
    """
    if certificate is None:
        return "there is no client certificate (client.tls.cert)"
    found = names(certificate, only_dns=True)
    if client in found:
        return None
    listed = ", ".join(printable(name, 64) for name in found[:MOST_NAMES]) or "no DNS name at all"
    return Sentence(
        "the client certificate is not for {client} but for {listed}: its subjectAltName must have "
        "DNS:{client}",
        client=client, listed=listed,
    )


def names(certificate: x509.Certificate, only_dns: bool = False) -> list[str]:
    """Return the DNS names and IP addresses of a certificate. Its owner has chosen them."""
    try:
        general = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # noqa: BLE001 - there is no extension, or it is broken in one of many ways
        return []
    found = list(general.get_values_for_type(x509.DNSName))
    if not only_dns:
        found += [str(address) for address in general.get_values_for_type(x509.IPAddress)]
        found = found[:MOST_NAMES]
    return found


def _is_ip(name: str) -> bool:
    return bool(isIPAddress(name) or isIPv6Address(name))
