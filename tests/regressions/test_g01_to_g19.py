"""The failures that were measured in the Go gotunnel (G1 to G19), and traps that Twisted and Python hold (T1 to T7):
which test would see each of them here. Those tests that exist for their own sake stay where they are; those that do
not are beside this file. This file checks that all of them exist. Where a failure is one of version 1 of the protocol,
the test that sees it in our server of version 1 has a name as well.

=== ====================================================================================================================
G1  a port that is registered again listens, and nobody serves it
    tests.regressions.test_ports.AgainTests.test_works_later
    tests.regressions.test_takeover_rounds.PathTests.test_other_address
G2  a client comes back while visitors wait: the server dies
    tests.regressions.test_ports.AgainTests.test_while_visitors_wait
G3  after a heartbeat timeout a port listens for ever and nobody serves it
    tests.regressions.test_ports.AgainTests.test_silent_client
    tests.regressions.test_loss.StoppedTests.test_client
G4  a target that was down and is up again stays closed
    tests.integration.test_health.TcpTests.test_flap
    tests.v1.test_admission.ConversationTests.test_flap
G5  four bytes of length from a stranger take gigabytes
    tests.wire.test_frames.FrameDecoderTests.test_hostile_headers
    tests.server.test_greeting.FrameTests.test_limit_at_the_header
G6  each listener that was closed takes a processor for ever
    tests.regressions.test_ports.AgainTests.test_two_hundred_cycles
G7  frames of visitors that come at once interleave
    tests.e2e.test_crowd.CrowdTests.test_nobody_is_mixed_up
G8  a leg that was brought by somebody else reads the next visitor's bytes
    tests.server.test_greeting.LegTests.test_other_session
    tests.server.test_greeting.LegTests.test_replayed
    tests.integration.test_hostile.MiddleTests.test_legs
    tests.v1.test_legs.OwnershipTests.test_never_ahead
    tests.v1.test_legs.OwnershipTests.test_not_asked_for
    tests.v1.test_legs.OwnershipTests.test_another_address
G9  one client takes, closes or opens the port of another one
    tests.integration.test_tunnel.MappingTests.test_refusals
    tests.server.test_registration.GrantTests.test_others_port
    tests.e2e.test_mappings.MappingTests.test_several_clients
    tests.server.test_rights_matrix.MatrixTests.test_matrix
    tests.v1.test_admission.ConversationTests.test_port_of_another
G10 any type of message registers a port; any number is a port
    tests.wire.test_messages.RefusalTests.test_type
    tests.wire.test_messages.RefusalTests.test_bad_mappings
    tests.server.test_greeting.FrameTests.test_hostile_first_frames
    tests.server.test_matrix.ServerMatrixTests.test_matrix
    tests.v1.test_admission.RefusalTests.test_ports
G11 the client is told ok before anything listens
    tests.server.test_registration.GrantTests.test_listens_before_ok
    tests.integration.test_tunnel.MappingTests.test_port_in_use
    tests.v1.test_admission.RefusalTests.test_occupied
G12 a visitor who ends his direction first gets no answer
    tests.e2e.test_manners.MannersTests.test_visitor_half_closes_first
    tests.e2e.test_last_bytes.LastBytesTests.test_upload
    tests.e2e.test_last_bytes.LastBytesTests.test_download
G13 strangers who say nothing are held for ever, and the log is filled
    tests.server.test_reception.DeadlineTests.test_silent
    tests.server.test_reception.DeadlineTests.test_drip
    tests.server.test_reception.CrowdTests.test_log_is_limited
    tests.integration.test_hostile.StrangerTests.test_silent_tls_peers
G14 a client does not notice that nobody answers, and dials in step with all others
    tests.regressions.test_loss.BlackHoleTests.test_nothing_under_way
    tests.client.test_session.HeartbeatTests.test_silent_server
    tests.client.test_link.ReconnectTests.test_full_jitter
G15 the server names what the client dials
    tests.client.test_legs.OpenTests.test_unknown_mapping
    tests.client.test_legs.OpenTests.test_hostile_bodies
G16 the token is in the log, on the wire, or `changeme`
    tests.integration.test_hostile.SecretTests.test_full_run
    tests.integration.test_hostile.MiddleTests.test_control
    tests.wire.test_handshake.VersionTests.test_hello_holds_no_token
    tests.wire.test_keys.MacTests.test_same
    tests.config.test_tokens.RefusalTests.test_placeholders
    tests.config.test_tokens.RefusalTests.test_short
G17 each reconnect leaves a probe of the target behind
    tests.regressions.test_churn.ReconnectTests.test_five_hundred
    tests.client.test_health.LinkTests.test_reconnects
G18 visitors wait without limit, or are dropped after they were let in
    tests.server.test_visitors.LegTests.test_too_many_visitors
    tests.server.test_visitors.LegTests.test_no_leg
    tests.server.test_visitors.LegTests.test_each_his_own_time
    tests.v1.test_legs.OwnershipTests.test_one_for_each
G19 a configuration of the wrong kind is a traceback
    tests.config.test_any_bytes.AnyBytesTests.test_any_values
    tests.config.test_mappings.LocalPortsTests.test_bad_ports
    tests.e2e.test_exit_codes.CommandTests.test_bad_client_file
T1  comparing secrets raises for text beyond ASCII
    tests.wire.test_traps.TrapTests.test_compare_digest
    tests.wire.test_traps.TrapTests.test_lone_surrogates
    tests.wire.test_traps.TrapTests.test_broken_utf8
T2  json takes other encodings, double keys, true for 1, NaN, 1e400; depth and digits are bombs
    tests.wire.test_traps.TrapTests.test_other_encodings
    tests.wire.test_traps.TrapTests.test_duplicate_keys
    tests.wire.test_traps.TrapTests.test_true_is_no_port
    tests.wire.test_traps.TrapTests.test_float_is_no_port
    tests.wire.test_traps.TrapTests.test_not_a_number
    tests.wire.test_traps.TrapTests.test_overflowing_float
    tests.wire.test_traps.TrapTests.test_depth_bomb
    tests.wire.test_traps.TrapTests.test_big_integer
T3  the usual limit of a frame is 99,999 bytes
    tests.wire.test_frames.FrameDecoderTests.test_limits_of_the_contract
    tests.server.test_greeting.FrameTests.test_longest
T4  a port that is being closed cannot be bound
    tests.server.test_registration.ChangeTests.test_unregister_and_again_at_once
    tests.server.test_takeover.GraceTests.test_back_while_ports_are_closing
T5  without descriptors listening fails in another way than dialling
    tests.server.test_registration.GrantTests.test_no_descriptors
    tests.e2e.test_descriptors.DescriptorTests.test_client
T6  a clock that is set moves all timers
    tests.tap.test_clock.JumpTests.test_forwards
    tests.tap.test_clock.JumpTests.test_backwards
    tests.e2e.test_clock.WallClockTests.test_back
T7  accepting without descriptors resets visitors, and fills the log
    tests.net.test_descriptors.PortTests.test_out_of_descriptors
    tests.net.test_fast_listener.ListenerTests.test_out_of_descriptors
    tests.e2e.test_descriptors.DescriptorTests.test_server
=== ====================================================================================================================
"""

from __future__ import annotations

import importlib
import re

from twisted.trial.unittest import SynchronousTestCase

ROWS = [f"G{number}" for number in range(1, 20)] + [f"T{number}" for number in range(1, 8)]


def rows(table: str) -> dict[str, list[str]]:
    """Return the names of the tests of each row."""
    found: dict[str, list[str]] = {}
    for line in table.splitlines():
        head = re.match(r"([GT]\d+) +\S", line)
        if head is not None:
            found[head[1]] = []
        elif line.startswith("    tests."):
            found[list(found)[-1]].append(line.strip())
    return found


def missing(name: str) -> bool:
    """Whether there is no such test."""
    module, case, method = name.rsplit(".", 2)
    try:
        found = getattr(getattr(importlib.import_module(module), case), method)
    except (ImportError, AttributeError):
        return True
    return not callable(found)


class CatalogueTests(SynchronousTestCase):
    """The table above."""

    def test_every_row(self) -> None:
        """Each failure has a row, and each row a test."""
        found = rows(__doc__ or "")
        self.assertEqual(list(found), ROWS)
        self.assertEqual([row for row, names in found.items() if not names], [])

    def test_every_name(self) -> None:
        """Each test that is named exists; one that does not would be found."""
        names = [name for row in rows(__doc__ or "").values() for name in row]
        self.assertEqual([name for name in names if missing(name)], [])
        self.assertTrue(missing("tests.wire.test_traps.TrapTests.test_nothing"))
        self.assertTrue(missing("tests.wire.test_nothing.TrapTests.test_compare_digest"))
