"""Mounts as values: what is mounted is said by the value, where by :meth:`attach`.

A place is a path, or an open descriptor (O_PATH) where a path could change under way. Every mount is made in the
process's private mount namespace (:mod:`~buildgraph.sandbox.namespace`), so it is gone with the process, however that
ends. Overlays are made with one call per lower directory, because an option string overflows; kernels without that
(before 6.7) get the option string with short names of open directories.

``xino``, ``metacopy``, ``redirect_dir`` and ``index`` are off: with them on, an upper directory is not only what a
command changed. ``volatile`` leaves out every fsync; what survives a power cut is
:class:`~buildgraph.sandbox.snapshot.Snapshots`' concern.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path

from buildgraph.errors import MachineError
from buildgraph.sandbox import syscalls
from buildgraph.values import dataclass

_INITIAL_USER_NAMESPACE = 0xEFFFFFFD  # PROC_USER_INIT_INO of the kernel
_OPTIONS = {b"xino": b"off", b"metacopy": b"off", b"redirect_dir": b"nofollow", b"index": b"off"}
Place = Path | int

_OPTIONS_MAX = 4095
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Overlay:
    """``lowers`` are bottom first, at least one with an upper directory, at least two without (then read-only)."""

    lowers: tuple[Path, ...]
    upper: Path | None = None
    work: Path | None = None
    volatile: bool = True

    def attach(self, at: Place) -> None:
        """Raises MachineError ``no-overlay`` with the kernel's reason."""
        if most_lowers() > _LOWERS_AS_OPTION:
            self._attach_stepwise(at)
        else:
            self._attach_as_option(at)

    def _attach_stepwise(self, at: Place) -> None:
        with ExitStack() as stack:
            context = _closing(stack, syscalls.fsopen(b"overlay"))
            try:
                for key, value in _OPTIONS.items():
                    syscalls.fsconfig_string(context, key, value)
                for flag in self._flags():
                    syscalls.fsconfig_flag(context, flag)
                for lower in reversed(self.lowers):
                    _configure_path(context, b"lowerdir+", lower)
                if self.upper and self.work:
                    _configure_path(context, b"upperdir", self.upper)
                    _configure_path(context, b"workdir", self.work)
                attributes = syscalls.MOUNT_ATTR_NODEV | (
                    0 if self.upper else syscalls.MOUNT_ATTR_RDONLY
                )
                mounted = _closing(stack, syscalls.fsmount(context, attributes))
            except OSError as error:
                raise self._refused(error, syscalls.messages(context)) from error
            syscalls.move_mount(mounted, _target(at))

    def _attach_as_option(self, at: Place) -> None:
        with ExitStack() as stack:
            lowers = b":".join(_short(stack, path) for path in reversed(self.lowers))
            parts = [b"lowerdir=" + lowers]
            if self.upper and self.work:
                parts.append(b"upperdir=" + _short(stack, self.upper))
                parts.append(b"workdir=" + _short(stack, self.work))
            parts += [key + b"=" + value for key, value in _OPTIONS.items()]
            parts += self._flags()
            options = b",".join(parts)
            if len(options) > _OPTIONS_MAX:
                raise self._refused(OSError(7, "their names are too long together"), "")
            try:
                flags = syscalls.MS_NODEV | (0 if self.upper else syscalls.MS_RDONLY)
                syscalls.mount(b"overlay", _name(at), b"overlay", flags, options)
            except OSError as error:
                raise self._refused(error, "") from error

    def _flags(self) -> list[bytes]:
        flags = [] if in_initial_user_namespace() else [b"userxattr"]
        return [*flags, b"volatile"] if self.upper and self.volatile else flags

    def _refused(self, error: OSError, said: str) -> MachineError:
        place = self.upper or self.lowers[-1]
        why = f"{error.strerror} ({said})" if said else str(error.strerror)
        return MachineError(
            "no-overlay",
            f"the kernel cannot lay {len(self.lowers)} directories over each other for {place}: {why}",
            hint="put the store on ext4, xfs, btrfs or tmpfs (BUILDGRAPH_HOME), "
            "not on a network or overlay file system; `buildgraph doctor` tries it",
        )


@dataclass(frozen=True, slots=True)
class Bind:
    """The file or directory ``source`` once more; what is mounted below it only if ``recursive``.

    In a user namespace the kernel refuses to leave out mounts that were there before.
    """

    source: Path
    writable: bool = False
    recursive: bool = False
    devices: bool = False
    setuid: bool = False

    def attach(self, at: Place) -> None:
        attributes = 0 if self.writable else syscalls.MOUNT_ATTR_RDONLY
        attributes |= 0 if self.devices else syscalls.MOUNT_ATTR_NODEV
        attributes |= 0 if self.setuid else syscalls.MOUNT_ATTR_NOSUID
        tree = syscalls.open_tree(os.fsencode(self.source), recursive=self.recursive)
        try:
            syscalls.mount_setattr(tree, attributes, recursive=self.recursive)
            syscalls.move_mount(tree, _target(at))
        finally:
            os.close(tree)


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """Memory; ``size`` in bytes (None: the kernel's default, half of the memory)."""

    size: int | None = None
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    devices: bool = False

    def attach(self, at: Place) -> None:
        mounted = self.made()
        try:
            syscalls.move_mount(mounted, _target(at))
        finally:
            os.close(mounted)

    def made(self) -> int:
        """A descriptor of its root, mounted nowhere yet; the caller closes it."""
        context = syscalls.fsopen(b"tmpfs")
        try:
            syscalls.fsconfig_string(context, b"mode", b"%o" % self.mode)
            syscalls.fsconfig_string(context, b"uid", b"%d" % self.uid)
            syscalls.fsconfig_string(context, b"gid", b"%d" % self.gid)
            if self.size is not None:
                syscalls.fsconfig_string(context, b"size", b"%d" % self.size)
            attributes = syscalls.MOUNT_ATTR_NOSUID
            attributes |= 0 if self.devices else syscalls.MOUNT_ATTR_NODEV
            return syscalls.fsmount(context, attributes)
        finally:
            os.close(context)


@dataclass(frozen=True, slots=True)
class Sysfs:
    """A fresh, read-only ``/sys`` without anything that is mounted in the machine's own."""

    def attach(self, at: Place) -> None:
        with ExitStack() as stack:
            context = _closing(stack, syscalls.fsopen(b"sysfs"))
            attributes = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID
            mounted = _closing(stack, syscalls.fsmount(context, attributes))
            syscalls.move_mount(mounted, _target(at))


@dataclass(frozen=True, slots=True)
class Devpts:
    """Pseudo-terminals of its own."""

    def attach(self, at: Place) -> None:
        with ExitStack() as stack:
            context = _closing(stack, syscalls.fsopen(b"devpts"))
            for key, value in ((b"ptmxmode", b"0666"), (b"mode", b"0620"), (b"gid", b"5")):
                syscalls.fsconfig_string(context, key, value)
            syscalls.fsconfig_flag(context, b"newinstance")
            mounted = _closing(stack, syscalls.fsmount(context, syscalls.MOUNT_ATTR_NOSUID))
            syscalls.move_mount(mounted, _target(at))


Mount = Overlay | Bind | Tmpfs | Sysfs | Devpts


@contextmanager
def attached(mount: Mount, at: Path) -> Iterator[Path]:
    """``mount`` at the existing path ``at`` until the block ends."""
    mount.attach(at)
    try:
        yield at
    finally:
        detach(at)


def detach(at: Path) -> None:
    syscalls.umount(os.fsencode(at))


_LOWERS_AS_OPTION = 200  # 17 bytes each of at most 4,095
_LOWERS_STEPWISE = 400  # the kernel's own bound is 500


@cache
def most_lowers() -> int:
    """How many lower directories an overlay can have here."""
    try:
        context = syscalls.fsopen(b"overlay")
    except OSError:
        return _LOWERS_AS_OPTION
    try:
        syscalls.fsconfig_string(context, b"lowerdir+", b"/")
    except OSError:
        return _LOWERS_AS_OPTION
    else:
        return _LOWERS_STEPWISE
    finally:
        os.close(context)


def in_initial_user_namespace() -> bool:
    """Outside of it overlays keep their marks in ``user.overlay.*`` attributes, inside in ``trusted.overlay.*``."""
    try:
        return os.stat("/proc/self/ns/user").st_ino == _INITIAL_USER_NAMESPACE
    except OSError:
        return True


def _configure_path(context: int, key: bytes, path: Path) -> None:
    """By the short name of a descriptor, looked up at once.

    The kernel takes at most 255 bytes and splits some names; and whoever reads the list of mounts, as bubblewrap does
    again and again, pays for each byte of it.
    """
    fd = os.open(path, _FOLDER)
    try:
        syscalls.fsconfig_string(context, key, b"/proc/self/fd/%d" % fd)
    finally:
        os.close(fd)


def _short(stack: ExitStack, path: Path) -> bytes:
    return b"/proc/self/fd/%d" % _closing(stack, os.open(path, _FOLDER))


def _target(at: Place) -> bytes | int:
    return at if isinstance(at, int) else os.fsencode(at)


def _name(at: Place) -> bytes:
    return b"/proc/self/fd/%d" % at if isinstance(at, int) else os.fsencode(at)


def _closing(stack: ExitStack, fd: int) -> int:
    stack.callback(os.close, fd)
    return fd
