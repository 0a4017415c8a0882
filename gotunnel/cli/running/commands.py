"""The command lines that ask a running role, or tell it what to do. Parses only; the work is done elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gotunnel.cli.group import Command, CommandGroup

__all__ = ["COMMANDS"]

Function = Callable[..., Any]


def _where(command: Function) -> Function:
    """Add the options that say which process to ask."""
    options = (
        click.option("--role", type=click.Choice(("server", "client")), help="Ask only this process."),
        click.option("-c", "--config", metavar="FILE", help="The configuration of the process to ask."),
        click.option("--state", metavar="DIR", help="The process's state folder."),
        click.option("--socket", metavar="PATH", help="The process's admin socket."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(cls=Command)
@click.option("--streams", is_flag=True, help="Also show each visitor.")
@click.option("--events", is_flag=True, help="Also show recent events.")
@click.option("--watch", is_flag=True, help="Refresh until Ctrl-C.")
@click.option("--interval", metavar="SECONDS", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects, one for each process.")
@click.option("--ready", is_flag=True, help="Print only what is wrong; exit code 1 unless all are ready.")
@click.option("--client", metavar="NAME", help="With --ready, on a server: this client must be connected, too.")
@_where
def status(
    streams: bool, events: bool, watch: bool, interval: float, as_json: bool, ready: bool, client: str | None,
    **where: Any,
) -> None:  # fmt: skip
    """Show the state of the server or client that runs here: connections, mappings and visitors.

    Exit code 0 if it answers, 1 if nothing does, 2 for a mistake on the command line.
    """
    from gotunnel.cli.running.asking import Where
    from gotunnel.cli.running.status import Wish, show_ready, show_status

    if interval != interval:  # nan passes every range check
        raise click.UsageError("--interval is not a number of seconds")
    if client is not None and not ready:
        raise click.UsageError("--client can only be used with --ready")
    if ready:
        show_ready(Where(**where), client)
    else:
        show_status(Where(**where), Wish(streams, events, as_json, interval if watch else None))


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--stream", metavar="ID", help="Only reset this visitor, by the id that the log and --streams show.")
@_where
def kick(name: str | None, stream: str | None, **where: Any) -> None:
    """End the session of client NAME, with all its visitors; on a client, end its session with server NAME.

    It may come back, and usually does; `gotunnel client revoke` keeps a client out.
    """
    from gotunnel.cli.running.asking import Where
    from gotunnel.cli.running.doing import kick as kick_now

    if name is not None and stream is not None:
        raise click.UsageError("name a session or a stream, not both")
    kick_now(Where(**where), name, stream)


@click.group(cls=CommandGroup)
def mapping() -> None:
    """Close a mapping to new visitors, and open it again."""


def _switch(command: Function) -> Function:
    return click.argument("name")(
        click.option("--client", metavar="NAME", help="The client, if several have a mapping of that name.")(
            _where(command)
        )
    )


@mapping.command()
@_switch
def off(name: str, client: str | None, **where: Any) -> None:
    """Accept no new visitors for mapping NAME. Visitors already there may finish; the port stays reserved.

    The mapping stays off until `gotunnel mapping on`, or until the process that was asked restarts; a reload does not
    change it. A server closes the public port; a client has all its servers close it.
    """
    from gotunnel.cli.running.asking import Where
    from gotunnel.cli.running.doing import switch

    switch(Where(**where), name, client, on=False)


@mapping.command()
@_switch
def on(name: str, client: str | None, **where: Any) -> None:
    """Accept visitors for mapping NAME again."""
    from gotunnel.cli.running.asking import Where
    from gotunnel.cli.running.doing import switch

    switch(Where(**where), name, client, on=True)


@click.command("log-level", cls=Command)
@click.argument("level", required=False, type=click.Choice(("debug", "info", "warn", "error")))
@_where
def log_level(level: str | None, **where: Any) -> None:
    """Show the log level, or change it until the process ends."""
    from gotunnel.cli.running.asking import Where
    from gotunnel.cli.running.doing import set_level

    set_level(Where(**where), level)


@click.command(cls=Command)
@click.option(
    "--timeout", metavar="SECONDS", type=click.FloatRange(0, 86_400), default=30.0, show_default=True,
    help="How long visitors have to finish.",
)  # fmt: skip
@_where
def drain(timeout: float, **where: Any) -> None:
    """Accept no new visitors, let the present ones finish, and wait until they have. The process keeps running, but
    serves nobody.

    Exit code 0 if all visitors finished, 1 if some were disconnected or if that is not known.
    """
    from gotunnel.cli.running.asking import Where
    from gotunnel.cli.running.doing import drain as drain_now

    if timeout != timeout:  # nan passes every range check
        raise click.UsageError("--timeout is not a number of seconds")
    drain_now(Where(**where), timeout)


@click.command(cls=Command)
@_where
def reload(**where: Any) -> None:
    """Read the configuration file again and apply what has changed, without disconnecting a visitor; print what
    changed and what needs a restart. SIGHUP does the same.

    Exit code 0 if the file was accepted, 1 if it cannot be used: then nothing has changed.
    """
    from gotunnel.cli.running.asking import Where
    from gotunnel.cli.running.doing import reload as reload_now

    reload_now(Where(**where))


@click.command(cls=Command)
@click.option(
    "--since", metavar="TIME", default="24h", show_default=True,
    help="A length of time before now (90m, 24h, 7d, 12w), or a date (2026-11-29T14:00).",
)  # fmt: skip
@click.option("--until", metavar="TIME", help="The same, for the end of the time; default: now.")
@click.option(
    "--by", "ways", multiple=True, type=click.Choice(("mapping", "client", "total", "minute", "hour", "day")),
    help="What gets a row of its own; default: mapping. One of the first three can be combined with one of the "
         "last.",
)  # fmt: skip
@click.option("--client", metavar="NAME", help="Only this client.")
@click.option("--mapping", metavar="NAME", help="Only this mapping, forward or egress socket.")
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects, one for each process.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values, times in UTC.")
@_where
def usage(
    since: str, until: str | None, ways: tuple[str, ...], client: str | None, mapping: str | None, as_json: bool,
    as_csv: bool, **where: Any,
) -> None:  # fmt: skip
    """Show what mappings and clients have carried: bytes, visitors, failures, and the most visitors at once.

    It asks the server or client that runs here; if none runs, it reads the file that one has left.
    """
    import time

    from gotunnel.cli.running.asking import Where
    from gotunnel.cli.running.past import STEPS, Asked, show_usage, time_of

    steps, groups = [way for way in ways if way in STEPS], [way for way in ways if way not in STEPS]
    if len(steps) > 1 or len(groups) > 1 or (as_json and as_csv):
        raise click.UsageError(
            "say one of `minute`, `hour`, `day`, one of `mapping`, `client`, `total`, and one of --json and --csv"
        )
    now = time.time()
    query = {"since": time_of(since, now), "by": groups[0] if groups else "total" if steps else "mapping"}
    if until is not None:
        query["until"] = time_of(until, now)
    if steps:
        query["step"] = str(STEPS[steps[0]])
    # A name in another encoding belongs to nobody, and becomes one with question marks.
    query |= {
        key: value.encode("utf-8", "replace").decode()
        for key, value in (("client", client), ("mapping", mapping)) if value is not None
    }  # fmt: skip
    show_usage(Where(**where), Asked(query, as_json, as_csv))


@click.command(cls=Command)
@click.option(
    "--port", metavar="PORT", type=click.IntRange(0, 65535), help="Serve the page on this port of 127.0.0.1."
)
@_where
def dashboard(port: int | None, **where: Any) -> None:
    """Print a link to the dashboard of the server or client that runs here. The link logs in one browser, once,
    within ten minutes.

    If the process listens on an address (admin.addr), the link leads there. Otherwise, and with --port, this command
    serves the page on a port of 127.0.0.1 until Ctrl-C.
    """
    from gotunnel.cli.running.asking import Where
    from gotunnel.cli.running.dashboard import show_dashboard

    show_dashboard(Where(**where), port)


COMMANDS = (status, usage, dashboard, kick, mapping, log_level, reload, drain)
