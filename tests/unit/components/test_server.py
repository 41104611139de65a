import contextlib
import multiprocessing
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from atlas.statement import Step
from atlas_components import server, wire
from atlas_components.client import Client
from atlas_components.server import serve
from atlas_components.step import NOTARY
from unit.components.support import StepRunner


def test_only_its_user_reaches_the_notary(runner: StepRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(runner.home) as path:
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        monkeypatch.setattr(server, "_user", lambda _: os.geteuid() + 1)
        code, out, err = runner.run(runner.argv(runner.executor_input(), "echo", "ran"), ATLAS_NOTARY=str(path))
    assert (code, out) == (2, "")
    assert "atlas-run: the notary of this run cannot be reached" in err
    assert "mend: " in err
    assert not runner.deposits()
    assert not path.parent.exists()


def test_the_system_tells_whose_process_connects() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    with one, other:
        assert server._user(one) == os.geteuid()


def test_a_notary_that_is_gone_before_the_command(runner: StepRunner, tmp_path: Path) -> None:
    argv = runner.argv(runner.executor_input(), "echo", "ran")
    code, out, err = runner.run(argv, ATLAS_NOTARY=str(tmp_path / "none"))
    assert (code, out) == (2, "")
    assert "cannot be reached" in err


@pytest.mark.parametrize(("own", "expected"), [(0, 2), (9, 9)])
def test_a_notary_that_dies_meanwhile_fails_the_step(runner: StepRunner, own: int, expected: int) -> None:
    ready, serving = multiprocessing.get_context("spawn").Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(runner.home, serving))
    process.start()
    path = ready.recv()
    command = ["sh", "-c", f'kill -KILL "$0"; exit {own}', str(process.pid)]
    code, _, err = runner.run(runner.argv(runner.executor_input(), *command), ATLAS_NOTARY=path)
    process.join()
    assert code == expected
    assert "is not recorded" in err
    assert not runner.deposits()


def _serve(home: object, ready: object) -> None:
    with serve(home) as path:  # type: ignore[arg-type]
        ready.send(str(path))  # type: ignore[attr-defined]
        time.sleep(60)


def test_an_interrupted_run_waits_for_its_step(runner: StepRunner) -> None:
    with serve(runner.home) as path:
        argv = runner.argv(
            runner.executor_input(), sys.executable, "-c", "import time; print('up', flush=True); time.sleep(30)"
        )
        process = runner.start(argv, ATLAS_NOTARY=str(path))
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        threading.Timer(0.3, process.send_signal, (signal.SIGTERM,)).start()
    assert process.wait(timeout=30) == 128 + signal.SIGTERM
    maker = runner.statement().maker
    assert isinstance(maker, Step)
    assert maker.exit_code == 128 + signal.SIGTERM
    process.communicate()


def test_the_command_does_not_see_the_notary(runner: StepRunner) -> None:
    with serve(runner.home) as path:
        argv = runner.argv(runner.executor_input(), "sh", "-c", f"echo ${{{NOTARY}-none}}")
        assert runner.run(argv, ATLAS_NOTARY=str(path))[1] == "none\n"


def test_steps_are_served_at_the_same_time(runner: StepRunner) -> None:
    told = runner.executor_input()
    with serve(runner.home) as path:
        first, second = Client(str(path)), Client(str(path))
        for each in (first, second):
            assert each.begin(runner.argv(told, "true"), {}) == ("", "")
        for each in (second, first):
            assert each.end(0) == ("", "")
    assert len(runner.deposits()) == 2


def test_nonsense_ends_its_own_connection_only(runner: StepRunner) -> None:
    with serve(runner.home) as path:
        for message in (b"", b"\xff" * 8, b"\0\0\0\1x", b"\0\0\0\0", b"\0\0\0\3" + b"1\0a", b"\0\0\0\5" + b"0\0abc"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
                connection.sendall(message)
                connection.shutdown(socket.SHUT_WR)
                with contextlib.suppress(ConnectionResetError):  # it hangs up, or says that these are no arguments
                    answer = connection.recv(100)
                    assert answer == b"" or b"these arguments" in answer
        assert runner.run(runner.argv(runner.executor_input(), "true"), ATLAS_NOTARY=str(path))[0] == 0


def test_texts_arrive_as_they_were() -> None:
    one, other = socket.socketpair(socket.AF_UNIX)
    texts = ["", "ä\n", os.fsdecode(b"\xff"), "x" * 100_000, ""]
    with one, other:
        sending = threading.Thread(target=wire.send, args=(one, *texts))
        sending.start()
        assert wire.receive(other) == texts
        sending.join()


def test_a_long_temporary_folder_does(runner: StepRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with serve(runner.home) as path:
        assert runner.run(runner.argv(runner.executor_input(), "true"), ATLAS_NOTARY=str(path))[0] == 0


def test_what_a_served_step_imports_is_next_to_nothing() -> None:
    heavy = "{'typing', 'dataclasses', 're', 'json', 'inspect', 'atlas', 'atlas.errors', 'subprocess', 'threading'}"
    script = f"import sys, atlas_components.step, atlas_components.client; print(sorted(set(sys.modules) & {heavy}))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    found = subprocess.run(
        [sys.executable, "-S", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"
