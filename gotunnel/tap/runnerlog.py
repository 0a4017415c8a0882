"""The logs that `twistd` and `twist` write, in the language that `log_lang` names. Destination, format and level stay
as the runner was told; JSON stays English, like our own."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.logger import ILogObserver, LegacyLogObserverWrapper, LogEvent, textFileLogObserver
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile
from zope.interface import implementer

from gotunnel.i18n.events import log_language, text_of
from gotunnel.i18n.language import ENGLISH

__all__ = ["LogOfTwistd", "Spoken", "speaking"]

OURS = "gotunnel"
"""The prefix of the namespaces of our own events."""

DEFAULT_FILE = "twistd.log"
"""The log file of a daemon of `twistd` by default."""


def speaking(service: IService, runner: MutableMapping[str, Any] | None, reactor: Any) -> IService:
    """Return the service for a runner with the options `runner`, so that its log is in our language. With any other
    runner than these two, and with one that was given an observer, the log stays as it is."""
    if runner is None:
        return service
    if runner.get("logFormat") == "text" and "fileLogObserverFactory" in runner:  # twist, with parsed options
        make = runner["fileLogObserverFactory"]
        runner["fileLogObserverFactory"] = lambda file: Spoken(make(file))
    elif "logfile" in runner and runner.get("logger") is None:
        return LogOfTwistd(service, runner, reactor)
    return service


@implementer(ILogObserver)
class Spoken:
    """Passes each event of ours to another observer with its text in the language of the log, and other events as they
    are."""

    def __init__(self, observer: Any) -> None:
        self._observer = observer

    def __call__(self, event: LogEvent) -> None:
        """Called for each event of the process."""
        if log_language() is not ENGLISH and event.get("log_namespace", "").startswith(OURS):
            try:
                event = {**event, "log_format": "{said}", "said": text_of(event)}
            except (KeyError, ValueError, AttributeError, IndexError, TypeError):
                pass  # the observer says what is wrong with it
        self._observer(event)


class LogOfTwistd(MultiService):
    """Makes the observer that `twistd` would make, with our language in front of it, and sets it where `twistd` looks
    for one: on the application that the service becomes a part of."""

    def __init__(self, service: IService, runner: Mapping[str, Any], reactor: Any) -> None:
        super().__init__()
        self._runner = runner
        self._reactor = reactor
        service.setServiceParent(self)

    def setServiceParent(self, parent: Any) -> None:
        """Called by the runner, before it begins to log."""
        super().setServiceParent(parent)
        if isinstance(parent, Componentized):
            observer = self._observer()
            if observer is not None:
                parent.setComponent(ILogObserver, Spoken(observer))

    def _observer(self) -> Any:
        if self._runner.get("syslog"):
            from twisted.python.syslog import SyslogObserver  # not every system can import it

            emit: Any = SyslogObserver(self._runner.get("prefix", "")).emit
            return LegacyLogObserverWrapper(emit)
        foreground, name = self._runner.get("nodaemon"), self._runner["logfile"]
        if name == "-" and not foreground:
            return None  # twistd refuses this combination, and ends
        if name == "-" or (foreground and not name):
            return textFileLogObserver(sys.stdout)
        file = LogFile.fromFullPath(name or DEFAULT_FILE)
        if not signal.getsignal(signal.SIGUSR1):  # as in twistd, an existing handler stays
            signal.signal(signal.SIGUSR1, lambda number, frame: self._reactor.callFromThread(file.rotate))
        return textFileLogObserver(file)
