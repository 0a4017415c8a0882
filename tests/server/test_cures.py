"""What a server says is to be done about whom it refuses or cuts: by what has happened."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.core.view import STOPPING
from gotunnel.server.cures import cut_cure, refusal_cure


class CureTests(SynchronousTestCase):
    """The words behind the reason."""

    def test_refused(self) -> None:
        """A wrong token is to be compared; a server that could not judge one, another mode and a certificate are
        not."""
        self.assertIn("compare its name and its token", refusal_cure("auth_failed", "the token is wrong"))
        for code, reason, has in (
            ("internal", "the server cannot have the token judged now; its log says more", "preceding lines"),
            ("auth_failed", "the client certificate is not for edge but for other", "server.tls.client_ca"),
            ("tls_required", "this server wants TLS", "tls.mode"),
            ("protocol_error", "a connection begins with hello or leg", "one release"),
        ):
            said = refusal_cure(code, reason)
            self.assertIn(has, said)
            self.assertNotIn("token", said)
        self.assertEqual(refusal_cure("going_away", "version 1 is off"), "")
        self.assertIn("raise that limit", refusal_cure("limit", "limits.mappings, 128 for this client"))
        self.assertEqual(refusal_cure("limit", STOPPING), "", "a limit that is higher would not help")

    def test_cut(self) -> None:
        """The list of clients has those with a token of their own, and nobody whom an authenticator let in."""
        self.assertIn("`gotunnel client list`", cut_cure("", False))
        for authenticator in ("", "webhook"):
            self.assertIn("server.tls.client_ca", cut_cure(authenticator, True))
        said = cut_cure("webhook", False)
        self.assertIn("authenticator webhook", said)
        self.assertNotIn("client list", said)
