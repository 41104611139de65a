"""Manufacturers whose word on their hardware is believed, by their root certificates."""

from dataclasses import dataclass
from enum import StrEnum

from cryptography import x509

from atlas.errors import DocumentError
from atlas.trust.authority import Certified, load_ca

INTEL = "intel"
"""Name of the evidence root whose certificate need not be given."""
# Intel SGX Root CA, SHA-256 44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3 (of the DER)
INTEL_ROOT = """\
-----BEGIN CERTIFICATE-----
MIICjzCCAjSgAwIBAgIUImUM1lqdNInzg7SVUr9QGzknBqwwCgYIKoZIzj0EAwIw
aDEaMBgGA1UEAwwRSW50ZWwgU0dYIFJvb3QgQ0ExGjAYBgNVBAoMEUludGVsIENv
cnBvcmF0aW9uMRQwEgYDVQQHDAtTYW50YSBDbGFyYTELMAkGA1UECAwCQ0ExCzAJ
BgNVBAYTAlVTMB4XDTE4MDUyMTEwNDUxMFoXDTQ5MTIzMTIzNTk1OVowaDEaMBgG
A1UEAwwRSW50ZWwgU0dYIFJvb3QgQ0ExGjAYBgNVBAoMEUludGVsIENvcnBvcmF0
aW9uMRQwEgYDVQQHDAtTYW50YSBDbGFyYTELMAkGA1UECAwCQ0ExCzAJBgNVBAYT
AlVTMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEC6nEwMDIYZOj/iPWsCzaEKi7
1OiOSLRFhWGjbnBVJfVnkY4u3IjkDYYL0MxO4mqsyYjlBalTVYxFP2sJBK5zlKOB
uzCBuDAfBgNVHSMEGDAWgBQiZQzWWp00ifODtJVSv1AbOScGrDBSBgNVHR8ESzBJ
MEegRaBDhkFodHRwczovL2NlcnRpZmljYXRlcy50cnVzdGVkc2VydmljZXMuaW50
ZWwuY29tL0ludGVsU0dYUm9vdENBLmRlcjAdBgNVHQ4EFgQUImUM1lqdNInzg7SV
Ur9QGzknBqwwDgYDVR0PAQH/BAQDAgEGMBIGA1UdEwEB/wQIMAYBAf8CAQEwCgYI
KoZIzj0EAwIDSQAwRgIhAOW/5QkR+S9CiSDcNoowLuPRLsWGf/Yi7GSX94BgwTwg
AiEA4J0lrHoMs+Xo5o/sX6O9QWxHRAvZUGOdRQ7cvqRXaqI=
-----END CERTIFICATE-----
"""


class Tee(StrEnum):
    """What kind of hardware a root of evidence vouches for."""

    TDX = "tdx"
    GPU = "gpu"


_SIMULATED = "SIMULATED"
"""In the name of every certificate that the simulator makes."""


@dataclass(frozen=True)
class EvidenceRoot(Certified):
    """A manufacturer's root certificate, under which evidence is believed."""

    tee: Tee
    simulated: bool = False
    """Whether what it vouches for proves nothing. Counts only where a policy allows that in words."""


def load_evidence_root(name: str, tee: Tee, pem: str, *, simulated: bool) -> EvidenceRoot:
    """Read the root certificate of a manufacturer, or of the simulator.

    Raises:
        DocumentError: if it is not one PEM certificate of a certificate authority, if it is the simulator's and does
            not say so, or if `intel` is not Intel's.
    """
    what = f"evidence root {name!r}"
    if name == INTEL and not pem:
        pem = INTEL_ROOT
    certificate = load_ca(what, pem)
    if (_SIMULATED in certificate.subject.rfc4514_string()) != simulated:
        raise DocumentError(
            f"{what}: `simulated` is {str(simulated).lower()}, and its certificate says otherwise",
            mend="say `simulated: true` of the simulator's root, and of no other",
        )
    if name == INTEL and certificate != x509.load_pem_x509_certificate(INTEL_ROOT.encode()):
        raise DocumentError(f"{what}: this is not Intel's root certificate", mend="leave the certificate out")
    return EvidenceRoot(name, certificate, tee, simulated)


def intel_root() -> EvidenceRoot:
    """Intel's root, which vouches for every genuine TDX platform."""
    return load_evidence_root(INTEL, Tee.TDX, "", simulated=False)
