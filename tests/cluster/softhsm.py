"""SoftHSM 2, a real PKCS#11 token in software, in a folder of its own."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pkcs11
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cluster.servers import program

LABEL, SERIAL_PIN = "atlas", "5678"
PIN = "73914682"
"""Of the user; long enough that its digits are nowhere by chance."""


class SoftHsm:
    """A folder of tokens, and the module that serves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.module = program("softhsm")
        self.tokens = folder / "tokens"
        self.tokens.mkdir()
        self.configuration = folder / "softhsm2.conf"
        self.configuration.write_text(f"directories.tokendir = {self.tokens}\nobjectstore.backend = file\n")

    def restart(self) -> None:
        """Have this process see the tokens as a new one would."""
        pkcs11.lib(str(self.module)).reinitialize()

    def token(self, label: str = LABEL) -> None:
        """Make a token."""
        self.tool("--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", SERIAL_PIN)

    def key(self, label: str, *, id: str = "01", curve: ec.EllipticCurve | None = None, token: str = LABEL) -> bytes:
        """Put a new key pair into a token; returns the private key (PKCS #8, DER), which no test may find elsewhere."""
        key = ec.generate_private_key(curve or ec.SECP256R1())
        plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path = self.folder / "import.pem"
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
        self.tool("--import", str(path), "--token", token, "--label", label, "--id", id, "--pin", PIN)
        path.unlink()
        return key.private_bytes(serialization.Encoding.DER, *plain)

    def tool(self, *arguments: str) -> None:
        """`softhsm2-util`."""
        beside = self.module.parents[2] / "bin" / "softhsm2-util"
        subprocess.run(
            [str(beside), "--module", str(self.module), *arguments],
            env={**os.environ, "SOFTHSM2_CONF": str(self.configuration)},
            check=True,
            capture_output=True,
            timeout=30,
        )

    def uri(self, label: str = "ca", token: str = LABEL, **query: Any) -> str:
        """Of a key."""
        further = "".join(f"&{name.replace('_', '-')}={value}" for name, value in query.items())
        return f"pkcs11:token={token};object={label}?module-path={self.module}{further}"
