"""What ssl's errors are told as."""

import ssl

import pytest

from buildgraph.registry.failure import unreachable
from buildgraph.registry.tls import told


def failed(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


@pytest.mark.parametrize(
    "reason",
    [
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_UNKNOWN_CA",
    ],
)
def test_who_is_asked_for_a_certificate_is_told_where_it_goes(reason):
    error = unreachable("r.example", told(failed(reason)), answered=False)
    assert error.code == "registry-tls"
    assert "who this machine is" in error.message
    assert "client-cert" in error.hint


def test_whom_nobody_trusts():
    error = ssl.SSLCertVerificationError(1, "no")
    error.verify_message = "it is not signed"
    cut = told(error)
    assert "not signed" in cut.reason
    assert cut.untrusted
    assert "`ca`" in unreachable("r.example", cut, answered=False).hint


def test_other_failures_of_tls():
    cut = told(failed("WRONG_VERSION_NUMBER"))
    assert cut.permanent
    assert not cut.nameless
    assert "wrong version number" in cut.reason


@pytest.mark.parametrize("kind", [ssl.SSLEOFError, ssl.SSLZeroReturnError])
def test_a_connection_that_ended_may_be_tried_again(kind):
    assert not told(kind(1, "gone")).permanent
