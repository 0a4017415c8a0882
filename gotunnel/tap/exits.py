"""Exit codes, and how an expected error ends a process: with its lines on standard error, and no traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.python.usage import UsageError

from gotunnel.errors import ConfigError, ConfigUnfit, GotunnelError
from gotunnel.i18n.errors import error_text
from gotunnel.i18n.language import Language, of_environment

__all__ = ["BAD_USAGE", "FAILED", "one_line_errors"]

FAILED = 1
"""Exit code: failed while running."""

BAD_USAGE = 2
"""Exit code: bad command line or configuration. The units in etc/systemd do not restart the process then."""


@contextmanager
def one_line_errors(program: str, language: Language | None = None) -> Iterator[None]:
    """Turn an expected error into its lines on standard error, and SystemExit with the right code. The default language
    is that of the environment, since a user has just typed a command.

    On a UsageError `twistd` would exit with 1 and `twist` with 64; both let a SystemExit pass.
    """
    try:
        yield
    except ConfigError as error:
        print(error_text(error, language or of_environment()), file=sys.stderr)
        raise SystemExit(BAD_USAGE) from None
    except UsageError as error:
        said = language or of_environment()
        cure = said.sentence(f"Try '{program} --help'.")
        print(f"{program}: {error_text(error, said)}\n{cure}", file=sys.stderr)
        raise SystemExit(BAD_USAGE) from None
    except BrokenPipeError:  # of `--help | head -1`: not worth a word
        raise SystemExit(FAILED) from None
    except (GotunnelError, OSError) as error:
        print(f"{program}: {error_text(error, language or of_environment())}", file=sys.stderr)
        raise SystemExit(BAD_USAGE if isinstance(error, ConfigUnfit) else FAILED) from None
