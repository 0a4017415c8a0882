"""What others' scanners say of a server's TLS, and what they are expected to say. `python -m tests.hostile.judges
HOST:PORT` asks all of them about a server that runs, testssl.sh too, which takes a minute; a test asks the quick
ones."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

__all__ = ["CIPHERS", "main", "nmap", "sslscan", "testssl"]

CIPHERS = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
"""All of TLS 1.3 that OpenSSL offers by itself."""
LEAST_BITS = 112
"""Of a group for the key exchange: what NIST SP 800-57 asks for until 2030. OpenSSL's default list has ffdhe2048."""

BY_DESIGN = {
    "cert_chain_of_trust": "the token vouches for the certificate",
    "cert_trust": "nobody looks at its name",
    "cert_trust_wildcard": "nobody looks at its name",
    "cert_subjectAltName": "nobody looks at its name",
    "cert_expirationStatus": "it must not run out",
    "cert_extlifeSpan": "it must not run out",
    "cert_validityPeriod": "it must not run out",
    "cert_notAfter": "it must not run out",
    "cert_revocation": "there is nobody to revoke it",
    "cert_crlDistributionPoints": "there is nobody to revoke it",
    "cert_ocspURL": "there is nobody to revoke it",
    "DNS_CAArecord": "there is no authority",
    "engine_problem": "that is the scanner's own OpenSSL",
    "sessionresumption_ticket": "it hangs up ahead of the session, and calls that a connect problem",
    "sessionresumption_ID": "it hangs up ahead of the session, and calls that a connect problem",
}
"""What testssl.sh finds fault with, for all in a certificate that the server has made for itself.

Of a session to be resumed it only finds fault with its own try: `openssl s_client </dev/null` ends as soon as the
handshake is over, and on a busy machine that is before the server's session has come, so that the second call has no
file to begin with. What a server says about sessions is a finding that is none (INFO), whatever it is.
"""


def run(*command: str | Path, timeout: float = 300) -> str:
    """Return what a command prints."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=timeout, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.stdout


def sslscan(program: str, host: str, port: int) -> list[str]:
    """Return what sslscan says that it should not."""
    text = run(program, "--no-colour", "--xml=-", f"{host}:{port}")
    if "<?xml" not in text:  # it gives up on what does not answer its first hello, now with a document and now without
        return [f"it saw no TLS: {text.strip()[-200:]}"]
    found = ElementTree.fromstring(text[text.index("<?xml") :]).find("ssltest")
    assert found is not None, text
    wrong = []
    for protocol in found.iter("protocol"):
        name = f"{protocol.get('type')} {protocol.get('version')}"
        if (protocol.get("enabled") == "1") != (name == "tls 1.3"):
            wrong.append(f"{name}: enabled={protocol.get('enabled')}")
    for kind, attribute in (("compression", "supported"), ("renegotiation", "supported"), ("heartbleed", "vulnerable")):
        wrong += [f"{kind}: {each.attrib}" for each in found.iter(kind) if each.get(attribute) != "0"]
    ciphers = {str(each.get("cipher")) for each in found.iter("cipher")}
    if ciphers != CIPHERS:
        wrong.append(f"ciphers: {sorted(ciphers)}")
    groups = {str(each.get("name")): int(str(each.get("bits"))) for each in found.iter("group")}
    if "x25519" not in groups or min(groups.values()) < LEAST_BITS:
        wrong.append(f"groups: {groups}")
    algorithms = [each.text for each in found.iter("signature-algorithm")]
    keys = [(each.get("type"), each.get("curve_name")) for each in found.iter("pk")]
    if algorithms != ["ecdsa-with-SHA256"] or keys != [("EC", "prime256v1")]:
        wrong.append(f"certificate: {algorithms}, {keys}")
    return wrong


def nmap(program: str, host: str, port: int) -> list[str]:
    """Return what nmap's ssl-enum-ciphers says that it should not."""
    text = run(program, "-Pn", "-n", "-p", str(port), "--script", "ssl-enum-ciphers", host)
    protocols = re.findall(r"^\|\s+((?:SSL|TLS)v[\d.]+):", text, re.MULTILINE)
    grades = re.findall(r"TLS_AKE_WITH_\w+ \([^)]*\) - (\w)", text)
    least = re.search(r"least strength: (\w)", text)
    good = protocols == ["TLSv1.3"] and grades == ["A"] * 3 and least is not None and least[1] == "A"
    warned = "warnings:" in text
    return [] if good and not warned else [text]


def testssl(program: str, host: str, port: int) -> list[str]:
    """Return what testssl.sh finds fault with, apart from what is so by design."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        run(
            program, "--quiet", "--color", "0", "--warnings", "off", "--fast", "--jsonfile", report,
            "-p", "-s", "-f", "-S", "-U", f"{host}:{port}",
        )  # fmt: skip
        findings = json.loads(report.read_text())
    if not any(each["id"] == "TLS1_3" and each["severity"] == "OK" for each in findings):
        return [f"it did not get to the end: {findings}"]
    faults = [each for each in findings if each["severity"] not in ("OK", "INFO", "DEBUG")]
    return [
        f"{each['id']}: {each['severity']}: {each['finding']}"
        for each in faults
        if each["id"].partition(" ")[0] not in BY_DESIGN
    ]


def main(arguments: list[str]) -> int:
    """Ask all judges that are installed about HOST:PORT; return the exit code."""
    host, _, port = arguments[0].rpartition(":") if len(arguments) == 1 else ("", "", "")
    if not (host and port.isdigit()):
        print("python -m tests.hostile.judges HOST:PORT of a server that runs", file=sys.stderr)
        return 2
    faults = 0
    for judge in (sslscan, nmap, testssl):
        program = shutil.which(judge.__name__) or shutil.which(f"{judge.__name__}.sh")
        if program is None:
            print(f"{judge.__name__}: not installed")
            continue
        wrong = judge(program, host, int(port))
        faults += len(wrong)
        print(f"{judge.__name__}: {'as expected' if not wrong else ''}", *wrong, sep="\n  " if wrong else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
