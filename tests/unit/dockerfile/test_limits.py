"""Texts that stand for more than they say: each is refused, or ends soon."""

import pytest

from buildgraph.dockerfile.budget import Budget
from buildgraph.dockerfile.check import check
from buildgraph.dockerfile.convert import image_config
from buildgraph.dockerfile.outline import outline
from buildgraph.dockerfile.source import Source
from buildgraph.dockerfile.state import StageState
from buildgraph.dockerfile.words import expand
from buildgraph.errors import UsageError
from buildgraph.fs.gomatch import matcher
from buildgraph.names import Platform
from buildgraph.oci.config import Config

_LONG = "FROM scratch\nENV A=xxxxxxxx\n" + "ENV A=$A$A\n" * 18
"""A variable of two million characters in twenty lines."""

_DIGITS = "9" * 10_000


@pytest.mark.parametrize(
    "more",
    [
        "LABEL B=x$A\n" * 100,
        "ENV " + " \\\n".join(f"B{n}=x$A" for n in range(100)) + "\n",
        "COPY <<E /x\n$A x\nE\n" * 100,
        "COPY --exclude=x$A a b\n" * 100,
        "RUN --mount=type=cache,target=/x$A a\n" * 100,
        "ARG B=x$A\n" + "RUN b\n" * 100,
        "EXPOSE " + "1-65535 \\\n" * 1000 + " 1\n",
        "".join(f"ENV A{n}=1\nRUN x\n" for n in range(3000)),
    ],
)
def test_what_grows_without_end_is_refused(more: str) -> None:
    with pytest.raises(UsageError) as failure:
        image_config(_LONG + more)
    assert failure.value.code == "dockerfile-too-large"
    assert failure.value.where is not None
    assert failure.value.where.line > 20


def test_arguments_of_the_first_lines_too() -> None:
    text = _LONG.replace("ENV", "ARG").partition("\n")[2]
    for more in ("".join(f"ARG B{n}=x$A\n" for n in range(100)), "FROM x$A\n" * 100):
        report = check(f"{text}{more}FROM scratch\n")
        assert report.error is not None
        assert report.error.code in ("dockerfile-too-large", "bad-base-name")
        with pytest.raises(UsageError):
            outline(f"{text}{more}FROM scratch\n")


def test_checks_too() -> None:
    report = check(_LONG + "LABEL B=x$A\n" * 100)
    assert report.error is not None
    assert report.error.code == "dockerfile-too-large"


def test_many_findings_in_one_instruction_show_its_lines_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = 0
    row = Source._row

    def counted(source: Source, number: int, *, marked: bool) -> str:
        nonlocal shown
        shown += 1
        return row(source, number, marked=marked)

    monkeypatch.setattr(Source, "_row", counted)
    report = check("FROM scratch\nENV" + "".join(f" \\\n A{n}=$B{n}" for n in range(1000)) + "\n")
    assert len(report.findings) == 1000
    assert shown == 39
    assert report.findings[0].location.excerpt.splitlines()[32] == "     …"


def test_triggers_that_fire_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buildgraph.dockerfile.budget.MOST", 1 << 16)
    triggers = "FROM scratch AS a\n" + "ONBUILD ENV B=1\n" * 8
    assert check(triggers + "FROM a\n" * 7).error is None
    error = check(triggers + "FROM a\n" * 8).error
    assert error is not None
    assert (error.code, error.where and error.where.line) == ("dockerfile-too-large", 17)


def test_an_argument_that_is_declared_again_and_again_is_one_argument() -> None:
    state = StageState.of_image(
        Config("amd64", "linux"), Platform.parse("linux/amd64"), (), Budget()
    )
    for _ in range(100):
        state.declare("A", "1")
    assert len(state.args) == 1
    assert state.run_line(("x",)) == "RUN |1 A=1 x"


def test_what_many_lines_say_is_not_refused() -> None:
    text = (
        "FROM scratch\n" + "".join(f"ARG A{n}=$A{n - 1}\n" for n in range(3000)) + "RUN x\n" * 300
    )
    _, history = image_config(text)
    assert len(history) == 3300


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (f"COPY --from={_DIGITS} / /", "unknown-stage"),
        (f"EXPOSE {_DIGITS}", "bad-port"),
        (f"RUN --mount=type=cache,target=/x,uid={_DIGITS} x", "bad-mount"),
        (f"STOPSIGNAL {_DIGITS}", "bad-signal"),
        (f"COPY --chmod={_DIGITS.replace('9', '7')} a b", "bad-mode"),
        ("ADD https://[ /x", "bad-address"),
        (f"FROM {'a-' * 9000}", "bad-base-name"),
        (f"FROM --platform={'a/' * 9000} scratch", "bad-platform"),
    ],
)
def test_values_of_any_length_are_told_in_short(line: str, code: str) -> None:
    with pytest.raises(UsageError) as failure:
        image_config(f"FROM scratch\n{line}\n")
    assert failure.value.code == code
    assert len(failure.value.message) <= 500
    assert len(failure.value.hint) <= 500


def test_the_message_of_a_required_variable_is_told_in_short() -> None:
    with pytest.raises(UsageError) as failure:
        expand(f"${{A:?{_DIGITS}}}", {})
    assert len(failure.value.message) <= 500


def test_a_number_too_large_for_an_owner_is_a_name() -> None:
    _, history = image_config(f"FROM scratch\nCOPY --chown={_DIGITS} a b\n")
    assert _DIGITS in history[0].created_by


def test_a_long_pattern_is_told_in_short() -> None:
    with pytest.raises(UsageError) as failure:
        matcher("[" + "a" * 10_000)
    assert len(failure.value.message) < 1000


@pytest.mark.parametrize(
    "line",
    [
        "COPY a\0b /",
        "COPY a /b\0",
        "ADD --unpack a\0* /",
        "COPY <<'a\0b' /x/\na\0b",
        "WORKDIR /a\0",
        "RUN --mount=source=a\0,target=/b x",
        "RUN --mount=type=tmpfs,target=/b\0 x",
    ],
)
def test_no_path_has_a_nul_character(line: str) -> None:
    with pytest.raises(UsageError) as failure:
        image_config(f"FROM scratch\n{line}\n")
    assert failure.value.code == "nul-in-path"
    assert failure.value.where is not None
    assert failure.value.where.line == 2
