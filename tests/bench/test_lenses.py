"""Reading what strace and perf print."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench.lenses import call_counts, calls_table, symbol_lines

STRACE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000300          10        30           sendto
 40.00    0.000200           5        40        10 recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    0.000500           7        70        10 total
"""

PERF = """\
# Samples: 1K of event 'cpu-clock'
#
# Overhead  Shared Object   Symbol
# ........  ..............  ......
    29.46%  [kernel]        [k] finish_task_switch
    16.10%  libpython3.so   [.] _PyEval_EvalFrameDefault

"""


class StraceTests(SynchronousTestCase):
    """`strace -c`."""

    def test_counts(self) -> None:
        """Lines with and without errors count, the total does not."""
        self.assertEqual(call_counts(STRACE), {"sendto": 30, "recvfrom": 40})

    def test_table(self) -> None:
        """Calls are told for one of what was done, the most frequent first."""
        rows = [line.split() for line in calls_table({"server": STRACE, "client": ""}, 10, "visit").splitlines()]
        self.assertEqual(rows[0], ["system", "calls", "per", "visit", "server", "client", "both"])
        self.assertEqual(rows[1:], [
            ["recvfrom", "4.00", "0.00", "4.00"], ["sendto", "3.00", "0.00", "3.00"], ["all", "7.00", "0.00", "7.00"],
        ])  # fmt: skip


class PerfTests(SynchronousTestCase):
    """`perf report`."""

    def test_lines(self) -> None:
        """Comments and empty lines go; no more than asked for stay."""
        self.assertEqual(len(symbol_lines(PERF)), 2)
        self.assertEqual(len(symbol_lines(PERF, 1)), 1)
        self.assertIn("finish_task_switch", symbol_lines(PERF)[0])
