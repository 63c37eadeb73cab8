"""A command line without a terminal: run a command in this process and look at what it said."""

import contextlib
import io
from dataclasses import dataclass, field

from buildgraph.cli import app
from buildgraph.report.terminal import Terminal


@dataclass
class Said:
    code: int
    out: str
    err: str


@dataclass
class Asked:
    """Stands for the floor below: remembers each question, answers with what it was given."""

    answers: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)

    def replace(self, monkeypatch, **answers):
        from buildgraph.cli import engine

        for name, answer in answers.items():
            monkeypatch.setattr(engine, name, self._make(name, answer))
        return self

    def _make(self, name, answer):
        def asked(*args, **kwargs):
            self.calls.append((name, args, kwargs))
            return answer(*args, **kwargs) if callable(answer) else answer

        return asked

    @property
    def request(self):
        return self.calls[-1][1][0]


def run(*arguments: str) -> Said:
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = app.run(list(arguments), Terminal(err))
    out.seek(0)
    return Said(code, out.read(), err.getvalue())
