"""What a Kubernetes certificate lacks, and how to mend that. Connects to nothing, and does not run the kubeadm commands
that it names."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from OpenSSL import crypto

from gotunnel.cli.doctor.findings import Finding, note, ok, problem, warning
from gotunnel.errors import Sentence, printable
from gotunnel.net.certificates import TlsFilesError, dates, load_authorities, spki_pin
from gotunnel.net.expiry import problem_with
from gotunnel.net.trust import Trust

__all__ = ["alternative_names", "judge_apiserver", "judge_kubelet", "kubeadm_cure", "readable"]

OWN = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
"""The names that kubeadm itself puts into each certificate of a kube-apiserver."""
MOST = 16
"""The largest number of a certificate's names in a message."""
ROTATE = (
    "set serverTLSBootstrap: true in /var/lib/kubelet/config.yaml, restart the kubelet, `kubectl get csr`, "
    "`kubectl certificate approve NAME`; then kube-apiserver's --kubelet-certificate-authority can be its CA "
    "(commands not run)"
)


def readable(shown: crypto.X509) -> x509.Certificate | None:
    """Return a certificate that anybody may have sent, or None if a part that is needed cannot be read."""
    try:
        certificate = shown.to_cryptography()
        spki_pin(certificate)
        dates(certificate)
        certificate.issuer.rfc4514_string()
        certificate.subject.rfc4514_string()
    except Exception:  # noqa: BLE001 - a stranger's bytes can be wrong in any way
        return None
    return certificate


def alternative_names(certificate: x509.Certificate) -> list[str]:
    """Return the DNS names and IP addresses of a certificate."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except Exception:  # noqa: BLE001 - no extension, or one that is broken in any way: it names nobody
        return []
    addresses = [str(address) for address in found.get_values_for_type(x509.IPAddress)]
    return [*found.get_values_for_type(x509.DNSName), *addresses]


def judge_apiserver(
    check: str, shown: x509.Certificate, names: Sequence[str], now: datetime.datetime
) -> list[Finding]:
    """Return findings about a kube-apiserver's certificate: what its clients would say, for each name."""
    has = alternative_names(shown)
    listed = _listed(has)
    found = _dates(check, shown, now, "`kubeadm certs renew apiserver`, then restart kube-apiserver (not run)")
    if not names:
        said = Sentence("the kube-apiserver's certificate is for {names}", names=listed)
        hint = "give --name to say by which name it is reached"
        return [*found, note(check, Sentence.joined("; ", (said, hint)))]
    missing = [name for name in names if not _covers(shown, name)]
    for name in missing:
        said = Sentence("the kube-apiserver's certificate has no SAN {name}, only {names}", name=printable(name),
                        names=listed)  # fmt: skip
        found.append(problem(check, said, kubeadm_cure(missing, has)))
    if len(missing) < len(names):
        good = ", ".join(name for name in names if name not in missing)
        found.append(ok(check, Sentence("the kube-apiserver's certificate is for {names}", names=good)))
    return found


def kubeadm_cure(missing: Sequence[str], has: Sequence[str]) -> str:
    """Return the flags that add names to a kube-apiserver's certificate. kubeadm makes a new certificate, with its own
    names and those that it is given; so names that were added earlier are repeated."""
    earlier = [name for name in has if name not in OWN and _plain(name)]
    added, every = ",".join(missing), ",".join([*missing, *earlier])
    return Sentence(
        "a new cluster: kubeadm init --apiserver-cert-extra-sans {added}; one that runs: move "
        "/etc/kubernetes/pki/apiserver.crt and apiserver.key away, kubeadm init phase certs apiserver "
        "--apiserver-cert-extra-sans {every}, then restart kube-apiserver (commands not run)",
        added=shlex.quote(added),
        every=shlex.quote(every),
    )


def judge_kubelet(
    check: str, chain: Sequence[x509.Certificate], names: Sequence[str], ca: Path | None, now: datetime.datetime
) -> list[Finding]:
    """Return findings about a kubelet's certificate: whether `ca` verifies it, and whether it covers each of
    `names`."""
    shown = chain[0]
    listed = _listed(alternative_names(shown))
    found = _dates(check, shown, now, ROTATE)
    itself, issuer = shown.issuer == shown.subject or _by_itself(shown), printable(shown.issuer.rfc4514_string())
    if ca is None:
        said = Sentence("the kubelet's certificate is for {names}, issued by {issuer}", names=listed, issuer=issuer)
        if itself:
            said = Sentence("{said}, which is the node itself: kube-apiserver cannot verify it", said=said)
            return [*found, warning(check, said, ROTATE)]
        return [*found, note(check, Sentence.joined("; ", (said, "give --kubelet-ca FILE to have it verified")))]
    try:
        refusal = _chain_problem(chain, load_authorities(ca), now)
    except TlsFilesError as broken:
        return [*found, problem(check, str(broken), "correct --kubelet-ca")]
    if refusal is not None:
        who = "the node itself has issued it" if itself else Sentence("it was issued by {issuer}", issuer=issuer)
        said = Sentence("the kubelet's certificate does not verify: {refusal}", refusal=refusal)
        return [*found, problem(check, Sentence.joined("; ", (said, who)), ROTATE)]
    missing = [name for name in names if not _covers(shown, name)]
    for name in missing:
        cure = Sentence("give the node that name or address (kubelet --hostname-override, --node-ip), and then: {cure}",
                        cure=ROTATE)  # fmt: skip
        said = Sentence("the kubelet's certificate has no SAN {name}, only {names}", name=printable(name), names=listed)
        found.append(problem(check, said, cure))
    if not missing:
        found.append(ok(check, Sentence("the kubelet's certificate verifies, and is for {names}", names=listed)))
    return found


def _listed(names: Sequence[str]) -> str:
    if not names:
        return Sentence("no name at all")
    some = ", ".join(printable(name, 64) for name in names[:MOST])
    return Sentence("{names} and {count} more", names=some, count=len(names) - MOST) if len(names) > MOST else some


def _by_itself(shown: x509.Certificate) -> bool:
    """Whether a kubelet has issued it itself: `HOST@TIME`, issued by `HOST-ca@TIME` (client-go, util/cert)."""
    subject, issuer = _common_name(shown.subject), _common_name(shown.issuer)
    return "@" in subject and issuer.startswith(f"{subject.partition('@')[0]}-ca@")


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _dates(check: str, shown: x509.Certificate, now: datetime.datetime, cure: str) -> list[Finding]:
    wrong = problem_with(shown, now)
    if wrong is None:
        return []
    first, last = dates(shown)
    expired = not first <= now <= last
    return [(problem if expired else warning)(check, Sentence("its certificate {problem}", problem=wrong), cure)]


def _chain_problem(
    chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate], now: datetime.datetime
) -> str | None:
    store = crypto.X509Store()
    store.set_time(now)
    for authority in authorities:
        store.add_cert(crypto.X509.from_cryptography(authority))
    behind = [crypto.X509.from_cryptography(each) for each in chain[1:]]
    try:
        crypto.X509StoreContext(store, crypto.X509.from_cryptography(chain[0]), behind).verify_certificate()
    except crypto.X509StoreContextError as refused:
        return printable(refused)
    return None


def _covers(shown: x509.Certificate, name: str) -> bool:
    return Trust(name, chain=True).problem(shown) is None


def _plain(name: str) -> bool:
    return name.isascii() and all(character.isalnum() or character in "-._:*" for character in name)
