"""NVIDIA confidential GPUs (H100, H200): a GPU's signed report, and who vouches for the GPU.

`report` reads what the GPU said, `verify` establishes that a genuine GPU said it for one step.

What is not proven, and what is not done:

* **Never exercised against a real GPU.** The layout follows DMTF DSP0274 (SPDM) 1.1 and NVIDIA's open verifier, and was
  held against published recordings of H100 reports, which parse, and verify under NVIDIA's root; those were made for
  somebody else's nonce. To call this proven takes an H100 or H200 in confidential-computing mode, passed through to an
  Intel TDX guest with NVIDIA's driver, that makes a report for a step's own nonce.
* **Measurements are not judged.** They are reported as the GPU signed them. Nothing compares them with the golden
  measurements in NVIDIA's reference integrity manifests (RIM) for the driver and the VBIOS, so a GPU that runs altered
  or outdated firmware is not told from one that does not.
* **Revocation is not asked for.** No OCSP responder and no revocation list is consulted.
* **The mode is not established.** Whether confidential computing is on, and not in its mode for developers, is not read
  from the report.
* **A nonce proves freshness, not attachment.** That the GPU is the one which this trust domain uses rests on the
  software that asked it, which the trust domain's own measurements are of.
"""

from atlas.evidence.nvidia.report import GpuReport, parse_report
from atlas.evidence.nvidia.verify import GpuClaims, gpu_nonce, verify_gpu

__all__ = ["GpuClaims", "GpuReport", "gpu_nonce", "parse_report", "verify_gpu"]
