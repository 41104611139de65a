"""A step's side of the notary of its run: a desk that is in another process. Imports next to nothing."""

import socket
from collections.abc import Mapping, Sequence

from atlas_components import wire

_GONE = "the notary of this run cannot be reached, and the provenance is not recorded"
_MEND = "run the pipeline again; its steps need the process that started it"


class Client:
    """Has one step recorded; what it refuses reads as `desk.Desk` says it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection = socket.socket(socket.AF_UNIX)

    def begin(self, argv: Sequence[str], environment: Mapping[str, str]) -> tuple[str, str]:
        """Tell the notary of the step; its command must not start if this refuses."""
        try:
            self._connection.connect(self._path)
            variables = [f"{name}={value}" for name, value in environment.items()]
            refusal = self._ask(str(len(argv)), *argv, *variables)
        except OSError as error:
            refusal = f"{_GONE}: {error}", _MEND
        if refusal[0]:
            self._connection.close()
        return refusal

    def end(self, exit_code: int) -> tuple[str, str]:
        """Tell the notary how the command ended; the step must fail if this refuses."""
        try:
            return self._ask(str(exit_code))
        except OSError as error:
            return f"{_GONE}: {error}", _MEND
        finally:
            self._connection.close()

    def _ask(self, *texts: str) -> tuple[str, str]:
        wire.send(self._connection, *texts)
        answer = wire.receive(self._connection)
        if len(answer) != 2:
            raise ConnectionError("it answers what no notary answers")
        return answer[0], answer[1]
