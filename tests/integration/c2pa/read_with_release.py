"""Reads sidecars with whatever release of c2pa-python runs this, and needs nothing else; JSON in, JSON out."""

import io
import json
import sys
import warnings

import c2pa


def main() -> None:
    """Answer with the version of c2pa-rs and, for each case, the state and the failures."""
    request = json.load(sys.stdin)
    trust = {"trust_anchors": request["anchors"]}
    verify = {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False}
    settings = {"version": 1, "trust": trust, "verify": verify}
    if hasattr(c2pa, "Context"):
        options = {"context": c2pa.Context.from_dict(settings)}
    else:  # older releases: settings of the whole process
        warnings.simplefilter("ignore", DeprecationWarning)
        c2pa.load_settings(settings)
        options = {}
    answers = []
    for case in request["cases"]:
        sidecar, asset = bytes.fromhex(case["sidecar"]), bytes.fromhex(case["asset"])
        reader = c2pa.Reader("application/c2pa", io.BytesIO(asset), sidecar, **options)
        results = json.loads(reader.json()).get("validation_results") or {}
        failures = [each["code"] for each in results.get("activeManifest", {}).get("failure", [])]
        answers.append({"state": str(reader.get_validation_state()), "failures": sorted(set(failures))})
    json.dump({"version": c2pa.sdk_version(), "answers": answers}, sys.stdout)


if __name__ == "__main__":
    main()
