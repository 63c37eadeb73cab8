"""``login`` and ``logout``: whose user name and password a registry gets."""

import os
import sys

import click

from buildgraph.cli import engine
from buildgraph.cli.command import command
from buildgraph.cli.session import Session
from buildgraph.errors import UsageError

_LONGEST = 64 << 10


@command(
    "login",
    examples=(
        ("buildgraph login registry.example.com", "asks for user name and password"),
        ("buildgraph login -u me --password-stdin ghcr.io < token", "for a script"),
    ),
)
@click.argument("registry", metavar="REGISTRY")
@click.option("-u", "--username", metavar="NAME", default="", help="The user name.")
@click.option(
    "-p",
    "--password",
    metavar="TEXT",
    default="",
    help="The password. Everybody on this machine can see it; better is --password-stdin.",
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def login(
    session: Session, *, registry: str, username: str, password: str, password_stdin: bool
) -> None:
    """Log in to a registry, docker.io for Docker Hub. The registry is asked; what it takes is kept where docker and
    podman find it, too: in the credential store if one is configured, else in a file that only you can read."""
    host = engine.registry_host(registry)
    if password:
        if password_stdin:
            raise UsageError("usage", "--password and --password-stdin exclude each other")
        session.note(
            "warning: a password on the command line can be seen by everybody; use --password-stdin"
        )
    elif password_stdin:
        if not username:
            raise UsageError("usage", "--password-stdin needs --username", hint="add -u NAME")
        password = _read_password()
    username = username or _ask("user name", hidden=False)
    if ":" in username:
        raise UsageError("usage", f"the user name {username!r} has a colon, which none can have")
    password = password or _ask("password", hidden=True)
    kept = engine.login(os.environ, host, username, password)
    where = f"in {kept.place}" + ("" if kept.encrypted else ", not encrypted")
    session.note(f"logged in to {host} as {username}; the password is kept {where}")
    if not kept.asked:
        session.note(f"warning: {host} asks nobody who they are, so the password was not checked")


def _read_password() -> str:
    """All of standard input but the end of its line."""
    try:
        password = sys.stdin.read(_LONGEST).removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        password = ""
    if not password:
        raise UsageError("usage", "standard input holds no password")
    return password


def _ask(what: str, *, hidden: bool) -> str:
    if not sys.stdin.isatty():
        raise UsageError(
            "usage",
            f"there is no terminal to ask for the {what}",
            hint="give -u NAME and --password-stdin",
        )
    try:
        answer: str = click.prompt(what.capitalize(), hide_input=hidden, err=True)
    except click.Abort:
        raise KeyboardInterrupt from None
    return answer


@command(
    "logout",
    examples=(("buildgraph logout registry.example.com", "forget the user name and password"),),
)
@click.argument("registry", metavar="REGISTRY")
def logout(session: Session, registry: str) -> None:
    """Forget what is kept for a registry, in every file and credential store where it is kept."""
    host = engine.registry_host(registry)
    if engine.logout(os.environ, host):
        session.note(f"logged out of {host}")
    else:
        session.note(f"not logged in to {host}")
