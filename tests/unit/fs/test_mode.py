import pytest

from buildgraph.fs.mode import apply_mode, is_symbolic
from buildgraph.spec.model import Mode


@pytest.mark.parametrize(
    ("mode", "symbolic", "directory", "want"),
    [
        (0o644, "u+x", False, 0o744),
        (0o755, "go-rx", False, 0o700),
        (0o640, "a+X", False, 0o640),
        (0o640, "a+X", True, 0o751),
        (0o750, "a+X", False, 0o751),
        (0o640, "o=g", False, 0o644),
        (0o740, "g=u,o=g", False, 0o777),
        (0o600, "g+u", False, 0o660),
        (0o666, "go-u", False, 0o600),
        (0o755, "u+s,g+s,+t", False, 0o7755),
        (0o777, "=r", False, 0o444),
        (0o777, "o=", False, 0o770),
    ],
)
def test_clauses(mode, symbolic, directory, want):
    assert is_symbolic(symbolic)
    assert apply_mode(mode, Mode(symbolic=symbolic), directory=directory) == want


def test_octal_gives_folders_x_where_it_gives_r_unless_it_is_meant_for_them():
    assert apply_mode(0o755, Mode(octal=0o640), directory=False) == 0o640
    assert apply_mode(0o755, Mode(octal=0o640), directory=True) == 0o750
    assert apply_mode(0o755, Mode(octal=0o640), directory=True, given_as_is=True) == 0o640


@pytest.mark.parametrize("text", ["64a", "u", "u+q", "x+r", "u=rwg"])
def test_what_is_no_clause(text):
    assert not is_symbolic(text)
