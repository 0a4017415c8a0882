"""The options of authenticators with keys of clients. Nothing here reads a file."""

from __future__ import annotations

from pydantic import Field

from gotunnel.config.clients import RightsConfig
from gotunnel.config.kinds import Section
from gotunnel.config.paths import ClientsFile, TokenFile
from gotunnel.config.routes import ClientPatterns

__all__ = ["IdentitiesOptions", "SharedTokenOptions"]


class IdentitiesOptions(Section):
    """A file with more identities."""

    file: ClientsFile = Field(
        description="clients file as `gotunnel client` writes it, in addition to the server's own; read again when it "
        "changes, and never written"
    )


class SharedTokenOptions(RightsConfig):
    """One more token, the clients that may use it, and what they may do."""

    token_file: TokenFile = Field(
        description="file that holds the token, read again when it changes; only its owner may read it"
    )
    clients: ClientPatterns = Field(default=("*",), description="names of clients that it lets in")
