"""Which tokens protect, which are refused, and which get a warning."""

from __future__ import annotations

import base64
import random
import uuid

from twisted.trial.unittest import SynchronousTestCase

from gotunnel.config.tokens import new_token, refusal, warning

GOLDEN = "0123456789abcdef" * 4


class RefusalTests(SynchronousTestCase):
    """Tokens that a server or a client does not start with."""

    def reason(self, token: str) -> str:
        """Return why the token is refused."""
        refused = refusal(token)
        assert refused is not None, f"{token!r} is accepted"
        what, cure = refused
        if len(token.strip()) > 8:
            self.assertNotIn(token.strip(), what + cure)
        self.assertTrue(cure)
        return what

    def test_placeholders(self) -> None:
        """What documents print is refused in every spelling."""
        for token in (
            "your-very-secure-k8s-token-here",
            "YOUR-VERY-SECURE-K8S-TOKEN-HERE",
            "your_very_secure_k8s_token_here",
            "changeme",
            "ChangeMe",
            "change-me",
            "change_me_please_now_1234",
            "<token>",
            "<your-secret-token>",
            "secret",
            "SECRET",
            "token",
            "your-token",
            "local-demo-token",
            "http-demo-token",
            "my-super-secret-token",
            "password1234567890",
            "<3f9a7c21e8d44b60af17c3925be8d046>",
            "placeholder-placeholder",
            "replace-me-with-a-token",
            "[token goes here]",
            "example",
            "qwertyuiopasdfghjkl",
            "insert-your-token",
            "put-your-secret-here",
        ):
            self.assertEqual(self.reason(token), "is a placeholder that everybody can guess", token)

    def test_short(self) -> None:
        """Nothing, white space, and fewer than 16 characters after stripping."""
        self.assertEqual(self.reason(""), "is empty")
        self.assertEqual(self.reason(" \n\t"), "is empty")
        self.assertIn("shorter than 16", self.reason("7f3a9c51e8d24b6"))
        self.assertIn("shorter than 16", self.reason(" 7f3a9c51e8d24b6 \n"))
        self.assertIsNone(refusal("7f3a9c51e8d24b60"))
        self.assertIn("longer than", self.reason("7f3a9c51e8d24b6x" * 65))

    def test_repetition(self) -> None:
        """One character, a short text over and over, a placeholder over and over."""
        for token in (
            "a" * 16,
            "0" * 64,
            "ab" * 20,
            "abcdefg1" * 4,
            "secretsecretsecret",
            GOLDEN,
            "x7q!" * 9 + "x7",
        ):
            self.assertIn("over and over", self.reason(token), token)
        self.assertIsNone(refusal("7f3a9c51e8d24b60" * 2))

    def test_sequence(self) -> None:
        """Digits and letters in order, upwards and downwards."""
        for token in (
            "0123456789abcdef",
            "abcdefghijklmnop",
            "1234567890123456",
            "fedcba9876543210",
            "ABCDEFGHIJKLMNOPQ",
            "11223344556677889900",
        ):
            self.assertIn("sequence", self.reason(token), token)

    def test_characters(self) -> None:
        """No white space, no control characters, nothing that has several encodings."""
        self.assertIn("white space", self.reason("7f3a9c51e8d2 4b60af17c3925be8d046"))
        self.assertIn("white space", self.reason("7f3a9c51e8d2\n4b60af17c3925be8d046"))
        self.assertIn("control character", self.reason("7f3a9c51e8d2\x004b60af17c3925be8d046"))
        self.assertIn("control character", self.reason("7f3a9c51e8d2\x7f4b60af17c3925be8d046"))
        self.assertIn("not ASCII", self.reason("7f3a9c51e8d2é4b60af17c3925be8d046"))

    def test_shell(self) -> None:
        """A here-document with quotes around EOF leaves the command in the file."""
        self.assertIn("no shell has run", self.reason("$(openssl rand -hex 32)"))
        self.assertIn("no shell has run", self.reason("`openssl rand -hex 32`"))


class WarningTests(SynchronousTestCase):
    """Tokens that are accepted with a word about them."""

    def test_random_tokens(self) -> None:
        """No generator that people use is refused or warned about."""
        chance = random.Random(7)
        for _ in range(300):
            raw = chance.randbytes(32)
            for token in (
                raw.hex(),
                raw[:16].hex(),
                base64.b64encode(raw).decode(),
                base64.urlsafe_b64encode(raw).decode().rstrip("="),
                base64.b32encode(raw[:20]).decode().lower(),
                str(uuid.UUID(bytes=raw[:16], version=4)),
            ):
                self.assertIsNone(refusal(token), token)
                self.assertIsNone(warning(token), token)
            self.assertIsNone(refusal(base64.urlsafe_b64encode(raw[:16]).decode().rstrip("=")))

    def test_new_token(self) -> None:
        """Our own are accepted, and differ."""
        first, second = new_token(), new_token()
        self.assertNotEqual(first, second)
        for token in (first, second):
            self.assertEqual(len(token), 64)
            self.assertIsNone(refusal(token))
            self.assertIsNone(warning(token))

    def test_doubtful(self) -> None:
        """Words, few characters and short ones are named for what they are."""
        for token, reason in (
            ("correct-horse-battery-staple", "words"),
            ("KubernetesClusterTunnel2024", "words"),
            ("thequickbrownfoxjumpsoverthelazydog", "words"),
            ("7f3a9c51e8d24b60", "too short"),
            ("8305714962081937", "too short"),
            ("aqqzaqazzqazaqzqzaqaazqq", "few different"),
            ("7f3a9c51e8d24b60" * 2, "repeats itself"),
        ):
            self.assertIsNone(refusal(token), token)
            self.assertIn(reason, warning(token) or "", token)

    def test_linear(self) -> None:
        """The longest token is judged at once, whatever is in it."""
        for token in ("a-" * 512, "aB" * 500 + "!", "a" * 1000 + "-!", "ab1" * 341):
            refusal(token)
            warning(token)
