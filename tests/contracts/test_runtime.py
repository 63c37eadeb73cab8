"""What every runtime does alike."""

import os
import threading
import time
from pathlib import Path

import pytest
from support import sandboxes
from support.bed import Bed, command_lines, processes_with
from support.onruntime import OnRuntime

from buildgraph.errors import MachineError, UsageError
from buildgraph.sandbox import profile
from buildgraph.sandbox.runtime import (
    Bubblewrap,
    Command,
    OciRuntime,
    Runtime,
)

STATUS = "grep -E ^Cap\\|^NoNewPrivs /proc/self/status"


def capabilities(status: str) -> dict[str, str]:
    return dict(line.split(":\t") for line in status.splitlines())


class RuntimeContract(OnRuntime):
    # What a command is given

    def test_output_and_exit_code(self, bed: Bed) -> None:
        argv = ("sh", "-c", "echo out; echo err >&2; echo out again; exit 7")
        ended, output = sandboxes.run(bed.runtime, bed.command(*argv))
        assert (ended.code, ended.ok, output) == (7, False, "out\nerr\nout again\n")

    def test_a_signal_is_128_and_its_number(self, bed: Bed) -> None:
        ended, _ = sandboxes.run(
            bed.runtime, bed.command("sh", "-c", "sh -c 'kill -9 $$'; exit $?")
        )
        assert (ended.code, ended.signal) == (137, 9)

    def test_a_missing_program_is_127(self, bed: Bed) -> None:
        assert sandboxes.run(bed.runtime, bed.command("nonesuch"))[0].code == 127
        assert sandboxes.run(bed.runtime, bed.command("/bin/nonesuch"))[0].code == 127

    def test_a_file_that_is_no_program_is_126(self, bed: Bed) -> None:
        assert sandboxes.run(bed.runtime, bed.command("/etc/passwd"))[0].code == 126

    def test_nothing_to_read_from_stdin(self, bed: Bed) -> None:
        assert bed.sh("cat; echo done") == "done\n"

    def test_only_the_declared_environment(self, bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OUTSIDE", "leaks")
        text = bed.sh("env", env={"A": "1", "EMPTY": "", "ODD": "a b\n$c"}, workdir="/tmp")
        found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
        found.pop("SHLVL")  # the shell's own
        assert found == {
            "A": "1",
            "EMPTY": "",
            "ODD": "a b",
            "HOME": "/root",
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PWD": "/tmp",
        }

    def test_declared_home_and_path_win(self, bed: Bed) -> None:
        env = {"HOME": "/h", "PATH": "/bin"}
        assert bed.sh("echo $HOME $PATH", env=env) == "/h /bin\n"

    def test_workdir_is_made_and_is_a_change(self, bed: Bed) -> None:
        assert bed.sh("pwd", workdir="/srv/app") == "/srv/app\n"
        assert bed.changes() == ["srv", "srv/app"]

    def test_a_workdir_that_is_a_file_is_an_error(self, bed: Bed) -> None:
        with pytest.raises(UsageError) as caught:
            bed.sh("pwd", workdir="/etc/passwd/x")
        assert caught.value.code == "bad-workdir"

    def test_changes_are_the_commands_own(self, bed: Bed) -> None:
        bed.sh("echo x > /new; rm /etc/group; ls /proc /sys /dev >/dev/null; cat /etc/hosts")
        assert bed.changes() == ["etc", "etc/group", "new"]

    def test_running_nothing_changes_nothing(self, bed: Bed) -> None:
        bed.sh("true")
        assert bed.changes() == []

    def test_umask_and_host_name(self, bed: Bed) -> None:
        before = os.umask(0o077)
        try:
            text = bed.sh("umask; hostname; cat /etc/hostname; touch f; stat -c %a f", workdir="/")
        finally:
            os.umask(before)
        assert text.split() == ["0022", "buildgraph", "buildgraph", "644"]

    def test_it_is_process_one_and_sees_only_its_own(self, bed: Bed) -> None:
        assert bed.sh("echo $$; ls /proc | grep -c '^[0-9]'").split()[0] == "1"
        assert "python" not in bed.sh("ps")

    def test_devices(self, bed: Bed) -> None:
        text = bed.sh(
            "for d in null zero full random urandom tty ptmx; do test -c /dev/$d; done;"
            "dd if=/dev/zero bs=4 count=1 2>/dev/null | sort; echo > /dev/null;"
            "readlink /dev/fd; readlink /dev/stdin; stat -c %a /dev/shm; touch /dev/shm/x; ls /dev"
        )
        assert "/proc/self/fd\n/proc/self/fd/0\n1777\n" in text
        assert "vda" not in text

    # What it may not do

    def test_capabilities_are_dockers(self, bed: Bed) -> None:
        found = capabilities(bed.sh(STATUS))
        assert len(profile.CAPABILITIES) == 14
        assert {found[f"Cap{name}"] for name in ("Eff", "Prm", "Bnd")} == {"00000000a80425fb"}
        assert found["NoNewPrivs"] == "1"

    def test_who_stops_being_root_has_no_capabilities(self, bed: Bed) -> None:
        script = "echo 'u:x:1000:1000::/:/bin/sh' >> /etc/passwd; busybox su u -c "
        found = capabilities(bed.sh(f"{script} '{STATUS}'"))
        assert {found[f"Cap{name}"] for name in ("Eff", "Prm", "Amb")} == {"0000000000000000"}
        assert found["CapBnd"] == "00000000a80425fb"

    @pytest.mark.parametrize(
        "script",
        [
            "mount -t tmpfs none /tmp",
            "umount /proc",
            "unshare -m true",
            "unshare -U true",
            "hostname other",
            "echo 1 > /proc/sys/kernel/printk",
            "echo x > /sys/kernel/uevent_seqnum",
            "ls /sys/firmware/*",
            "grep . /proc/timer_list",
            "dd if=/dev/mem count=1",
            "mknod /x b 254 0 && dd if=/x of=/dev/null count=1",
        ],
    )
    def test_refused(self, bed: Bed, script: str) -> None:
        ended, output = sandboxes.run(bed.runtime, bed.command("sh", "-c", script))
        assert ended.code not in (0, 126, 127), output

    def test_masked_paths_are_empty(self, bed: Bed) -> None:
        text = bed.sh("cat /proc/keys /proc/interrupts 2>/dev/null | wc -c || true; ls /proc/acpi")
        assert text.strip() in ("", "0")

    def test_ids_can_be_given_away(self, bed: Bed) -> None:
        assert bed.sh("touch /f; chown 1000:2000 /f; chmod 4755 /f; stat -c '%u:%g %a' /f") == (
            "1000:2000 4755\n"
        )

    # Network

    def test_without_a_network_the_machine_s_is_not_seen(self, bed: Bed) -> None:
        assert bed.sh("ls /sys/class/net; tail -n +3 /proc/net/dev | wc -l") == "lo\n1\n"

    def test_no_network(self, bed: Bed) -> None:
        text = bed.sh(
            "ip -o link | grep -v lo: | grep -vc 'NOARP' || true; ip -o addr; cat /etc/resolv.conf"
        )
        assert "127.0.0.1/8" in text
        assert "nameserver" not in text
        assert "eth0" not in text

    def test_the_machines_network(self, bed: Bed) -> None:
        own = os.readlink("/proc/self/ns/net")
        text = bed.sh("readlink /proc/self/ns/net; cat /etc/resolv.conf", network="host")
        assert text.startswith(own)
        assert Path("/etc/resolv.conf").read_text() in text

    def test_hosts(self, bed: Bed) -> None:
        text = bed.sh("cat /etc/hosts; echo more >> /etc/hosts", hosts={"db": "10.0.0.7"})
        assert "127.0.0.1\tlocalhost\n" in text
        assert "10.0.0.7\tdb\n" in text
        assert bed.changes() == []

    # The end

    def test_what_it_leaves_running_ends_with_it(self, bed: Bed) -> None:
        mark = f"300.{os.getpid()}"
        bed.sh(f"setsid sleep {mark} >/dev/null 2>&1 & sleep {mark} & echo started")
        assert not processes_with(mark)

    def test_a_time_limit_ends_everything(self, bed: Bed) -> None:
        mark = f"301.{os.getpid()}"
        script = f"setsid sleep {mark} >/dev/null 2>&1 & echo first; sleep {mark}; echo never"
        before = time.monotonic()
        ended, output = sandboxes.run(bed.runtime, bed.command("sh", "-c", script, timeout=0.5))
        assert (ended.timed_out, ended.ok, output) == (True, False, "first\n")
        assert time.monotonic() - before < 20
        assert not processes_with(mark)

    def test_cancelling_ends_everything(self, bed: Bed) -> None:
        mark = f"302.{os.getpid()}"
        cancelled = threading.Event()
        script = f"trap '' TERM INT; setsid sleep {mark} & echo up; exec >&- 2>&-; sleep {mark}"
        ended = bed.runtime.run(
            bed.command("sh", "-c", script), lambda _: cancelled.set(), cancelled
        )
        assert ended.cancelled
        assert not processes_with(mark)

    def test_an_observer_that_raises_ends_everything(self, bed: Bed) -> None:
        mark = f"303.{os.getpid()}"

        def fail(_: bytes) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            bed.runtime.run(
                bed.command("sh", "-c", f"echo up; sleep {mark}"), fail, threading.Event()
            )
        assert not processes_with(mark)

    def test_much_output(self, bed: Bed) -> None:
        assert len(bed.sh("dd if=/dev/zero bs=1M count=8 2>/dev/null")) == 8 << 20

    def test_several_at_once(self, bed: Bed) -> None:
        results: list[str] = []
        threads = [
            threading.Thread(target=lambda n=n: results.append(bed.sh(f"echo {n}")))
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(results) == [f"{n}\n" for n in range(6)]


class OciContract(RuntimeContract):
    def test_another_user(self, bed: Bed) -> None:
        keys = {"uid": 1000, "gid": 1000, "groups": (2000,), "workdir": "/home/app"}
        text = bed.sh("id -u; id -g; id -G; pwd; echo $HOME; touch f; stat -c %u f .", **keys)
        assert text.split() == [
            *["1000", "1000"],
            "1000",
            "2000",
            "/home/app",
            "/home/app",
            "1000",
            "1000",
        ]

    def test_capabilities_of_another_user_are_none_and_no_ones_are_handed_on(
        self, bed: Bed
    ) -> None:
        none, bound = "0000000000000000", "00000000a80425fb"
        root, user = capabilities(bed.sh(STATUS)), capabilities(bed.sh(STATUS, uid=1000, gid=1000))
        assert (root["CapInh"], root["CapAmb"]) == (none, none)
        assert {user[f"Cap{name}"] for name in ("Inh", "Prm", "Eff", "Amb")} == {none}
        assert (user["CapBnd"], user["NoNewPrivs"]) == (bound, "1")

    def test_privileges_can_be_gained_where_asked(self, bed: Bed) -> None:
        assert "NoNewPrivs:\t0" in bed.sh("cat /proc/self/status", no_new_privs=False)

    def test_limits(self, bed: Bed) -> None:
        command = bed.command("sh", "-c", "x=a; while true; do x=$x$x; done", memory=32 << 20)
        assert bed.runtime.refuses(command) is None
        ended, _ = sandboxes.run(bed.runtime, command)
        assert ended.signal == 9
        assert bed.sh("true", cpus=0.5) == ""


class TestBubblewrap(RuntimeContract):
    def make(self, scratch: Path) -> Runtime:
        return Bubblewrap(scratch)

    def test_what_it_refuses(self, bed: Bed) -> None:
        for keys in ({"uid": 1}, {"gid": 1}, {"cpus": 1.0}, {"memory": 1}, {"no_new_privs": False}):
            assert bed.runtime.refuses(bed.command("true", **keys))
        assert bed.runtime.refuses(bed.command("true")) is None

    def test_the_environment_is_in_no_process_list(self, bed: Bed) -> None:
        seen: list[str] = []
        looked = threading.Event()

        def look(_: bytes) -> None:
            seen.extend(command_lines())
            looked.set()

        script = f"echo up; sleep 306.{os.getpid()}"
        bed.runtime.run(bed.command("sh", "-c", script, env={"TOKEN": "hunter2"}), look, looked)
        assert any("bwrap" in line for line in seen)
        assert not any("hunter2" in line for line in seen)

    def test_a_root_that_is_not_there(self, bed: Bed) -> None:
        command = Command(bed.store.tmp / "none", ("true",), readonly_root=True)
        with pytest.raises((MachineError, FileNotFoundError)):
            sandboxes.run(bed.runtime, command)


class TestRunc(OciContract):
    def make(self, scratch: Path) -> Runtime:
        return OciRuntime("runc", scratch)


class TestCrun(OciContract):
    def make(self, scratch: Path) -> Runtime:
        return OciRuntime("crun", scratch)
