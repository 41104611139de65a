"""A simulated platform, real evidence, and steps that carry either."""

import datetime as dt
import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from atlas.evidence.providers import Attestation
from atlas.evidence.simulator.platform import UnsafeSimulatedPlatform
from atlas.evidence.simulator.td import UnsafeSimulatedTd
from atlas.evidence.tdx.collateral import Collateral, parse_collateral
from atlas.trust import EvidenceRoot, Tee
from support import forge

NOW = forge.now().replace(microsecond=0)


@cache
def platform() -> UnsafeSimulatedPlatform:
    return UnsafeSimulatedPlatform.new(NOW)


@cache
def stranger() -> UnsafeSimulatedPlatform:
    """A platform whose manufacturer has the same name and another root."""
    return UnsafeSimulatedPlatform.new(NOW)


def simulated_root() -> EvidenceRoot:
    return EvidenceRoot("simulated", platform().root, Tee.TDX, simulated=True)


@dataclass
class Provider:
    """What a careless or hostile pod would be given."""

    name: str = "simulated"
    td: UnsafeSimulatedTd = field(default_factory=UnsafeSimulatedTd)
    version: int = 4
    event_log: bool = True
    maker: UnsafeSimulatedPlatform | None = None

    def attest(self, report_data: bytes) -> Attestation:
        quote = (self.maker or platform()).quote(report_data, self.td, self.version)
        return Attestation(quote, self.td.event_log if self.event_log else None)


def resigned(collateral: Collateral, part: str, **changes: Any) -> Collateral:
    """Collateral whose TCB info or enclave identity says something else, signed by whoever should."""
    text = json.dumps(json.loads(getattr(collateral, part)) | changes)
    fields: dict[str, Any] = {part: text, f"{part}_signature": platform().signer.sign(text.encode())}
    return replace(collateral, **fields)


# ------------------------------------------------------------------------------------------------ real evidence


def _signed(path: Path, key: str) -> tuple[str, bytes]:
    """The exact bytes of a signed document inside of an answer of the manufacturer, and its signature."""
    text = path.read_text()
    start = text.index(f'"{key}":') + len(key) + 3
    start += len(text[start:]) - len(text[start:].lstrip())
    _, size = json.JSONDecoder().raw_decode(text[start:])
    return text[start : start + size], bytes.fromhex(json.loads(text)["signature"])


def _with(base: Collateral, tcb: tuple[str, bytes], qe: tuple[str, bytes] | None = None, **parts: Any) -> Collateral:
    base = replace(base, tcb_info=tcb[0], tcb_info_signature=tcb[1], **parts)
    return replace(base, qe_identity=qe[0], qe_identity_signature=qe[1]) if qe else base


def real_collateral(data: Path, name: str) -> Collateral:
    """The collateral sets that the data's README names."""
    tdx = data / "tdx"
    if name in ("tdx_quote", "tdx_quote_outdated", "sgx_quote"):
        return parse_collateral((tdx / "phala" / f"{name}_collateral.json").read_bytes())
    google = tdx / "go-tdx-guest"
    if name == "1025":
        folder = tdx / "automata" / "1025"
        return _with(
            real_collateral(data, "tdx_quote"),
            _signed(folder / "tcb_info.json", "tcbInfo"),
            _signed(folder / "identity.json", "enclaveIdentity"),
            pck_crl=(folder / "pck_crl.der").read_bytes(),
        )
    if name == "v5":
        return _with(
            real_collateral(data, "tdx_quote_outdated"), _signed(google / "sample_tcbinfo_response_v5", "tcbInfo")
        )
    assert name == "2023"
    chain = (google / "tcb_signing_chain_2018.pem").read_text()
    return _with(
        real_collateral(data, "tdx_quote"),
        _signed(google / "sample_tcbInfo_response", "tcbInfo"),
        _signed(google / "sample_qeIdentity_response", "enclaveIdentity"),
        pck_crl=(google / "pckcrl").read_bytes(),
        root_ca_crl=(google / "rootcrl.der").read_bytes(),
        tcb_info_issuer_chain=chain,
        qe_identity_issuer_chain=chain,
    )


def day(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
