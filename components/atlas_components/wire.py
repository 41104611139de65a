"""Messages between a step and the notary of its run: lists of texts, through a Unix socket.

A step's short-lived process imports this, so it needs nothing but sockets. Texts are arguments and environment
variables, which hold no NUL; one separates them here.
"""

import os
from socket import socket

MAX_BYTES = 16 << 20
"""Largest message; Linux gives a process 6 MiB of arguments and environment at most."""


def send(connection: socket, *texts: str) -> None:
    """Send a message.

    Raises:
        OSError: if the other side is gone.
    """
    content = b"\0".join(map(os.fsencode, texts))
    connection.sendall(len(content).to_bytes(4, "big") + content)


def receive(connection: socket) -> list[str]:
    """Receive a message.

    Raises:
        OSError: if the other side is gone, or sends something else.
    """
    size = int.from_bytes(_exactly(connection, 4), "big")
    if size > MAX_BYTES:
        raise ConnectionError(f"a message of {size} bytes")
    return [os.fsdecode(each) for each in _exactly(connection, size).split(b"\0")]


def _exactly(connection: socket, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        part = connection.recv(size - len(content))
        if not part:
            raise ConnectionError("the other side has hung up")
        content += part
    return bytes(content)
