"""The notary of a local run: one thread that keeps the signing libraries loaded for all the run's steps.

A step tells it its arguments and its environment, hears whether its command may run, tells it the exit code, and hears
whether that is recorded: one connection a step. The socket lies in a folder of mode 0700, and who connects must be the
same user: a process of that user could read the key, too.
"""

import contextlib
import os
import socket
import struct
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from atlas.home import Home
from atlas_components import wire
from atlas_components.desk import Desk, Signer

GRACE = 5.0
"""Seconds for which steps that have not ended are waited for when the run ends (it was interrupted then)."""
_LONGEST = 90  # of a folder's name: a Unix socket's has 107 bytes at most


@contextlib.contextmanager
def serve(home: Home) -> Iterator[Path]:
    """Serve the steps that sign in this home, through the socket at the path that is given."""
    usual = tempfile.gettempdir()
    short = "/tmp"  # noqa: S108  the folder made in it is nobody else's
    with (
        tempfile.TemporaryDirectory(prefix="atlas-", dir=usual if len(usual) < _LONGEST else short) as folder,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        path = Path(folder) / "notary"
        listener.bind(str(path))
        listener.listen()
        signer = Signer(home)
        signer.start()
        served: list[threading.Thread] = []
        accepting = threading.Thread(target=_accept, args=(listener, home, signer, served), daemon=True)
        accepting.start()
        try:
            yield path
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            deadline = time.monotonic() + GRACE
            for thread in served:
                thread.join(max(0, deadline - time.monotonic()))


def _accept(listener: socket.socket, home: Home, signer: Signer, served: list[threading.Thread]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        served[:] = [each for each in served if each.is_alive()]
        served.append(threading.Thread(target=_step, args=(connection, Desk(home, signer)), daemon=True))
        served[-1].start()


def _step(connection: socket.socket, desk: Desk) -> None:
    with connection, contextlib.suppress(OSError, ValueError):  # a step that is gone, or that talks nonsense
        if _user(connection) != os.geteuid():
            return
        count, *texts = wire.receive(connection)
        argv, variables = texts[: int(count)], texts[int(count) :]
        environment = dict(each.split("=", 1) for each in variables)
        refusal = desk.begin(argv, environment)
        wire.send(connection, *refusal)
        if not refusal[0]:
            (exit_code,) = wire.receive(connection)
            wire.send(connection, *desk.end(int(exit_code)))


def _user(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, user, _ = struct.unpack("3i", credentials)
    return int(user)
