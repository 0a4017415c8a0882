"""client.tls.pin: every way in which the field writes a pin, and nothing else."""

from __future__ import annotations

import base64

from tests.config.files import CLIENT, OTHER_TOKEN, SERVER, FileTestCase

DIGEST = bytes(range(224, 256))
STANDARD = base64.b64encode(DIGEST).decode()
ONE = f"sha256:{STANDARD}"


class PinTests(FileTestCase):
    """What is taken and what is not."""

    def pins(self, value: str) -> tuple[str, ...]:
        """Return what a file's value becomes."""
        client = self.load(CLIENT + f"  local_ports: 22\n  tls: {{pin: {value}}}\n").client
        assert client is not None
        return client.tls.pin

    def test_forms(self) -> None:
        """All of them are one pin."""
        urlsafe = base64.urlsafe_b64encode(DIGEST).decode()
        self.assertNotEqual(urlsafe, STANDARD)
        for text in (
            ONE,
            f"sha256/{STANDARD}",
            f"sha256//{STANDARD}",
            f"sha256:{urlsafe}",
            f"sha256:{STANDARD.rstrip('=')}",
            f"sha256:{DIGEST.hex()}",
            f"sha256:{DIGEST.hex().upper()}",
        ):
            self.assertEqual(self.pins(f'"{text}"'), (ONE,), text)

    def test_several(self) -> None:
        """A list takes several; without the key there is none."""
        other = "sha256:" + base64.b64encode(bytes(32)).decode()
        self.assertEqual(self.pins(f'["{ONE}", "{other}"]'), (ONE, other))
        self.assertEqual(self.pins("[]"), ())

    def test_refused(self) -> None:
        """Anything else is, with the cure; a list names the item."""
        for text in (
            STANDARD,
            "sha256:",
            "sha1:" + STANDARD,
            "sha256:" + base64.b64encode(bytes(31)).decode(),
            "sha256:" + base64.b64encode(bytes(33)).decode(),
            "sha256:" + "é" * 43 + "=",
            "sha256:" + STANDARD + "\\n" + STANDARD,
            "sha256:" + DIGEST.hex()[:-1],
        ):
            (problem,) = self.problems(CLIENT + f'  local_ports: 22\n  tls: {{pin: ["{ONE}", "{text}"]}}\n')
            self.assertEqual(problem.key, "client.tls.pin[1]", text)
            self.assertIn("is not a pin", problem.wrong)
            self.assertIn("gotunnel pin", problem.cure)

    def test_with_tls_off(self) -> None:
        """Whoever pins a key believes that it is checked: that is no warning, it is refused."""
        (problem,) = self.problems(CLIENT + f'  local_ports: 22\n  tls: {{mode: off, pin: "{ONE}"}}\n')
        self.assertEqual((problem.key, problem.cure), ("client.tls.pin", "set mode: required, or remove pin"))


class CertificateKeysTests(FileTestCase):
    """The other keys about certificates."""

    def test_pairs(self) -> None:
        """A certificate and its key stand together, at both ends."""
        (self.folder / "c.pem").write_text("x")
        for key, other in (("cert", "key"), ("key", "cert")):
            (problem,) = self.problems(CLIENT + f"  local_ports: 22\n  tls: {{{key}: c.pem}}\n")
            self.assertEqual(problem.key, "client.tls.key")
            self.assertIn(other if key == "cert" else "needs cert", f"{problem.key} {problem.wrong}")

    def test_client_ca_with_tls_off(self) -> None:
        """As a pin: refused."""
        (self.folder / "c.pem").write_text("x")
        (problem,) = self.problems(f"{SERVER}  tls: {{mode: off, client_ca: c.pem}}\n")
        self.assertEqual(problem.key, "server.tls.client_ca")

    def test_client_ca_beside_version_1(self) -> None:
        """Go clients have no TLS and so no certificate: that is said."""
        self.write("x", "c.pem")
        text = f'{SERVER}  tls: {{client_ca: c.pem}}\n  v1: {{enabled: true, token: "{OTHER_TOKEN}"}}\n'
        self.assertEqual(sum("get in without it" in line for line in self.load(text).warnings), 1)
        self.assertEqual(self.load(f"{SERVER}  tls: {{client_ca: c.pem}}\n").warnings, [])

    def test_unused(self) -> None:
        """What mode: off makes useless draws a warning each."""
        (self.folder / "c.pem").write_text("x")
        file = self.load(CLIENT + "  local_ports: 22\n  tls: {mode: off, ca: c.pem, cert: c.pem, key: c.pem}\n")
        self.assertEqual(sum("is not used, since client.tls.mode is off" in line for line in file.warnings), 2)
