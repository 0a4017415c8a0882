"""The parts of the `server:` section with limits and penalties for failed logins. Nothing here counts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from gotunnel.config.kinds import FLAG, Section, count, seconds, wrong
from gotunnel.config.networks import Networks

__all__ = ["LimitsConfig", "PenaltiesConfig"]


class LimitsConfig(Section):
    """What one server and one client of it may use at most. A refused one is told so."""

    unauthenticated: Annotated[int, count(1, 100_000)] = Field(
        default=256, description="connections in total that have not yet proved their token"
    )
    unauthenticated_per_address: Annotated[int, count(1, 100_000)] = Field(
        default=32, description="the same, from one address (IPv6: from one /64)"
    )
    mappings: Annotated[int, count(1, 65_535)] = Field(default=128, description="mappings of one client")
    legs: Annotated[int, count(1, 1_000_000)] = Field(default=4096, description="legs of one client")
    visitors: Annotated[int, count(1, 1_000_000)] = Field(
        default=4096, description="visitors of one client at a time"
    )
    pending: Annotated[int, count(1, 1_000_000)] = Field(
        default=1024, description="visitors of one client that wait for a leg"
    )
    streams: Annotated[int, count(1, 1_000_000)] | None = Field(
        default=None,
        description="visitors of all clients at a time; if not set, a little less than half of the limit of file "
        "descriptors",
    )
    flows: Annotated[int, count(1, 1_000_000)] = Field(
        default=1024, description="flows of one mapping with `protocol: udp` at a time; each is also a visitor"
    )
    flows_per_address: Annotated[int, count(1, 1_000_000)] = Field(
        default=256, description="the same, from one address (IPv6: from one /64)"
    )
    new_flows: Annotated[int, count(1, 1_000_000)] = Field(
        default=100, description="new flows of one such mapping per second; the rest is dropped"
    )
    messages: Annotated[int, count(1, 1_000_000)] = Field(
        default=100,
        description="messages of one client per second, including pings; several seconds' worth may come at once",
    )


class PenaltiesConfig(Section):
    """Which addresses are refused for a while (see core.penalties). Times are seconds; IPv6 addresses count by /64."""

    enabled: Annotated[bool, FLAG] = Field(default=True, description="`false`: no address is ever refused")
    auth_failure: Annotated[float, seconds(0, 86_400)] = Field(
        default=5.0, description="penalty for a login or a leg with a wrong proof"
    )
    no_auth: Annotated[float, seconds(0, 86_400)] = Field(
        default=1.0,
        description="penalty for a connection that proves nothing in time or breaks the protocol; none for an address "
        "from which a client logged in within the last hour",
    )
    minimum: Annotated[float, seconds(0, 86_400)] = Field(
        default=15.0, description="an address is refused once more than this is outstanding, until all of it has passed"
    )
    maximum: Annotated[float, seconds(0, 86_400)] = Field(
        default=600.0,
        validate_default=True,
        description="the highest penalty that can be outstanding; not less than `minimum`",
    )
    table: Annotated[int, count(1, 1_000_000)] = Field(
        default=65_536, description="number of addresses that are remembered at most"
    )
    exempt: Networks = Field(
        default=("127.0.0.0/8", "::1/128"), description="networks that never get a penalty"
    )

    @field_validator("maximum")
    @classmethod
    def _not_below_minimum(cls, maximum: float, info: ValidationInfo) -> float:
        minimum = info.data.get("minimum")
        if minimum is not None and maximum < minimum:
            raise wrong(f"{maximum:g} is less than minimum, {minimum:g}", "write a maximum above it, like 600")
        return maximum
