"""Attacks on collateral: on what the manufacturer says of its platforms, who says it, and since when."""

import datetime as dt
import json
from dataclasses import replace
from typing import Any

from atlas.codes import Code
from atlas.evidence.simulator.platform import UnsafeSimulatedPlatform
from atlas.evidence.simulator.tcb import UnsafeSimulatedTcb
from atlas.evidence.tdx.collateral import Collateral
from integration.tamper.attacks_evidence import trained
from integration.tamper.registry import Part, attack
from integration.tamper.world import Outcome, World, said, simulator, today

DAY = dt.timedelta(days=1)


def stranger(**said: Any) -> Collateral:
    """What another manufacturer of the same name says of the same kind of machine."""
    return UnsafeSimulatedPlatform.new(today()).collateral(today(), **said)


def later(world: World, days: int, *known: Collateral, **rules: Any) -> Outcome:
    """Verify a model that was attested today after so many days, with more collateral in the archive."""
    made = world.attested_pipeline("run-2")["model"]
    world.keep(*known)
    return world.verify(made, policy=world.evidence_policy(**rules), at=today() + days * DAY)


# ------------------------------------------------------------------------------------------------ missing, or forged


@attack(Part.EVIDENCE, Code.COLLATERAL_MISSING, answers="nothing known taken for nothing wrong")
def collateral_deleted(world: World) -> Outcome:
    """Deletes the collateral from the archive, so that nothing speaks against the machine."""
    world.keep(alone=True)
    return trained(world)


@attack(Part.EVIDENCE, Code.COLLATERAL_MISSING, answers="nothing known taken for nothing wrong")
def collateral_overwritten(world: World) -> Outcome:
    """Overwrites the collateral in the archive with what nobody can read."""
    world.archive("UPDATE collateral SET content = ?", b"{}")
    return trained(world)


@attack(Part.EVIDENCE, Code.COLLATERAL_MISSING, answers="out of force taken for in force")
def collateral_of_last_year(world: World) -> Outcome:
    """Leaves last year's collateral in the archive, from before the machine was found wanting."""
    world.keep(simulator().collateral(today() - 300 * DAY), alone=True)
    return trained(world)


@attack(Part.EVIDENCE, Code.COLLATERAL_MALFORMED, answers="a look-alike instead of the format")
def collateral_of_another_form(world: World) -> Outcome:
    """Leaves the date of expiry out of the TCB info."""
    known = json.loads(said().tcb_info)
    del known["nextUpdate"]
    return world.verify_quote(collateral=replace(said(), tcb_info=json.dumps(known)))


@attack(Part.EVIDENCE, Code.COLLATERAL_MALFORMED, answers="an unknown status taken for a good one")
def status_made_up(world: World) -> Outcome:
    """Has the quoting enclave called by a status that no list of bad ones has."""
    return world.verify_quote(collateral=said(qe_status="Splendid"))


@attack(Part.EVIDENCE, Code.COLLATERAL_SIGNATURE_INVALID, answers="signature never checked")
def status_rewritten(world: World) -> Outcome:
    """Rewrites the status of its machine in the TCB info."""
    known = said(status="OutOfDate")
    text = known.tcb_info.replace('"tcbStatus":"OutOfDate"', '"tcbStatus":"UpToDate"')
    world.keep(replace(known, tcb_info=text), alone=True)
    return trained(world)


@attack(Part.EVIDENCE, Code.COLLATERAL_SIGNATURE_INVALID, answers="signature never checked")
def enclave_s_version_rewritten(world: World) -> Outcome:
    """Rewrites the least version that the quoting enclave must have."""
    known = said(qe_svn=5)
    return world.verify_quote(
        collateral=replace(known, qe_identity=known.qe_identity.replace('"isvsvn":5', '"isvsvn":1'))
    )


@attack(Part.EVIDENCE, Code.COLLATERAL_SIGNER_INVALID, answers="a platform that vouches for itself")
def collateral_signed_by_a_machine(world: World) -> Outcome:
    """Clears its machine by TCB info that the machine's own extracted key signed."""
    world.keep(said(signer=simulator().pck), alone=True)
    return trained(world)


@attack(Part.EVIDENCE, Code.COLLATERAL_SIGNER_INVALID, answers="a platform that vouches for itself")
def collateral_signed_by_the_authority(world: World) -> Outcome:
    """Clears its machine by TCB info that the authority of machines signed, which is not for that."""
    return world.verify_quote(collateral=said(signer=simulator().authority))


@attack(Part.EVIDENCE, Code.COLLATERAL_SIGNER_INVALID, answers="the freshest word wins, whoever says it")
def collateral_of_a_stranger(world: World) -> Outcome:
    """Puts fresher collateral of another manufacturer into the archive, to outdo what is said of its machine."""
    world.keep(said(status="Revoked"), stranger(evaluation=99), alone=True)
    return trained(world)


@attack(Part.EVIDENCE, Code.COLLATERAL_SIGNER_INVALID, answers="revocation not asked for")
def collateral_of_a_revoked_signer(world: World) -> Outcome:
    """Serves collateral whose signer's certificate is revoked."""
    return world.verify_quote(collateral=said(signer_revoked=True))


@attack(Part.EVIDENCE, Code.COLLATERAL_SIGNER_INVALID, answers="the evidence chooses its own trust root")
def collateral_imported(world: World) -> Outcome:
    """Hands collateral of its own making to a machine without a network, as if it were Intel's."""
    path = world.file("collateral.json", said(evaluation=99).raw)
    return world.cli("evidence", "import", str(path))


@attack(Part.EVIDENCE, Code.COLLATERAL_MISMATCH, answers="another platform's clean record")
def collateral_of_another_kind(world: World) -> Outcome:
    """Serves collateral of another kind of machine, of which nothing bad is known."""
    return world.verify_quote(collateral=said(fmspc=bytes(6)))


@attack(Part.EVIDENCE, Code.COLLATERAL_MISMATCH, answers="another platform's clean record")
def collateral_of_another_provisioner(world: World) -> Outcome:
    """Serves collateral for another provisioning enclave of the same kind of machine."""
    world.keep(said(pce_id=b"\1\0"), alone=True)
    return trained(world)


@attack(Part.EVIDENCE, Code.CRL_INVALID, answers="revocation list of anybody")
def revocation_list_of_a_stranger(world: World) -> Outcome:
    """Serves a revocation list of another authority, on which its machine is not."""
    world.keep(replace(said(pck_revoked=True), pck_crl=stranger().pck_crl), alone=True)
    return trained(world)


@attack(Part.EVIDENCE, Code.CRL_INVALID, answers="revocation list of anybody")
def revocation_list_of_the_root(world: World) -> Outcome:
    """Serves the root's revocation list in the place of the machines'."""
    return world.verify_quote(collateral=replace(said(), pck_crl=said().root_ca_crl))


@attack(Part.EVIDENCE, Code.CRL_INVALID, answers="revocation not asked for")
def revocation_list_left_out(world: World) -> Outcome:
    """Serves no revocation list at all."""
    return world.verify_quote(collateral=replace(said(), root_ca_crl=b""))


# ------------------------------------------------------------------------------------------------ its time


@attack(Part.EVIDENCE, Code.COLLATERAL_EXPIRED, answers="old collateral served again")
def collateral_expired(world: World) -> Outcome:
    """Serves collateral that was in force before the machine was found wanting."""
    return world.verify_quote(at=today() + 31 * DAY)


@attack(Part.EVIDENCE, Code.COLLATERAL_EXPIRED, answers="old collateral served again")
def revocation_list_expired(world: World) -> Outcome:
    """Serves an expired revocation list among documents that are in force."""
    old = simulator().collateral(today() - 60 * DAY)
    return world.verify_quote(collateral=replace(said(), pck_crl=old.pck_crl))


@attack(Part.EVIDENCE, Code.COLLATERAL_NOT_YET_VALID, answers="clock set back")
def collateral_of_tomorrow(world: World) -> Outcome:
    """Sets the verifier's clock back to before the collateral was issued."""
    return world.verify_quote(at=today() - 3 * DAY)


@attack(Part.EVIDENCE, Code.COLLATERAL_ROLLED_BACK, answers="rolled-back collateral", api=True)
def rolled_back_collateral(world: World) -> Outcome:
    """Offers collateral for import that is still in force, and older than some that was seen before."""
    return world.check_collateral(said(), simulator().collateral(today(), status="OutOfDate", evaluation=19))


@attack(Part.EVIDENCE, Code.COLLATERAL_ROLLED_BACK, answers="rolled-back collateral", api=True)
def rolled_back_revocation_list(world: World) -> Outcome:
    """Offers collateral for import with an older revocation list, on which its machine is not yet."""
    return world.check_collateral(said(evaluation=19), said(pck_revoked=True, pck_crl_number=2))


@attack(Part.EVIDENCE, Code.TCB_STATUS_NOT_ALLOWED, answers="the kindest of several opinions taken")
def older_opinion_kept_beside(world: World) -> Outcome:
    """Keeps collateral in the archive that is in force still, beside fresher that thinks worse of the machine."""
    world.keep(said(status="OutOfDate", evaluation=19, level_date=today() - 20 * DAY))
    return trained(world)


@attack(Part.EVIDENCE, Code.COLLATERAL_STALE, answers="stale collateral")
def collateral_stale(world: World) -> Outcome:
    """Keeps fresh collateral away, so that nobody hears what has become known of the machine since."""
    return later(world, 40)


@attack(Part.EVIDENCE, Code.COLLATERAL_STALE, answers="stale collateral")
def collateral_of_next_month(world: World) -> Outcome:
    """Puts collateral into the archive that comes into force only after the day of verification."""
    return later(world, 40, simulator().collateral(today() + 60 * DAY, evaluation=19))


@attack(Part.EVIDENCE, Code.TCB_DEGRADED, answers="TCB recovery after signing")
def recovery_after_signing(world: World) -> Outcome:
    """Deploys a model that was trained on a machine for which a hole was published five days later."""
    advisory, old = ("INTEL-SA-00001",), today() - 20 * DAY
    worse = UnsafeSimulatedTcb(status="OutOfDate", advisories=advisory, evaluation=19, level_date=old)
    return later(world, 6, simulator().collateral(today() + 5 * DAY, worse))


@attack(Part.EVIDENCE, Code.TCB_DEGRADED, answers="TCB recovery after signing")
def machine_revoked_after_signing(world: World) -> Outcome:
    """Deploys a model that was trained on a machine whose keys were found extracted later."""
    return later(world, 6, simulator().collateral(today() + 5 * DAY, pck_revoked=True, pck_crl_number=2, evaluation=19))


@attack(Part.EVIDENCE, Code.TCB_DEGRADED, answers="the freshest word wins, whoever says it")
def recovery_outdone_by_a_stranger(world: World) -> Outcome:
    """Outdoes bad news of its machine with fresher collateral of another manufacturer."""
    worse = simulator().collateral(today() + 5 * DAY, status="Revoked", evaluation=19)
    better = UnsafeSimulatedPlatform.new(today()).collateral(today() + 5 * DAY, evaluation=99)
    return later(world, 6, worse, better)


# ------------------------------------------------------------------------------------------------ what it says


@attack(Part.EVIDENCE, Code.TCB_STATUS_NOT_ALLOWED, answers="known hole accepted")
def machine_to_be_hardened(world: World) -> Outcome:
    """Attests on a machine whose software should be hardened, which the policy does not accept."""
    return world.verify_quote(collateral=said(status="SWHardeningNeeded"))


@attack(Part.EVIDENCE, Code.TCB_STATUS_NOT_ALLOWED, answers="updates put off for ever")
def machine_out_of_date_past_its_grace(world: World) -> Outcome:
    """Attests on a machine that has been out of date for a day longer than the policy bears with."""
    return world.verify_quote(collateral=said(status="OutOfDate", level_date=today() - 8 * DAY))


@attack(Part.EVIDENCE, Code.TCB_ADVISORY_NOT_ALLOWED, answers="known hole accepted")
def advisory_denied(world: World) -> Outcome:
    """Attests on a machine that is open to an advisory which the policy denies."""
    return world.verify_quote(collateral=said(advisories=("INTEL-SA-00001", "INTEL-SA-00002")))


@attack(Part.EVIDENCE, Code.TCB_ADVISORY_NOT_ALLOWED, answers="unknown hole accepted")
def advisory_unlisted(world: World) -> Outcome:
    """Attests on a machine that is open to an advisory which the policy does not know."""
    return world.verify_quote(collateral=said(advisories=("INTEL-SA-00003",)))


@attack(Part.EVIDENCE, Code.TCB_TOO_OLD, answers="old collateral served again")
def evaluation_too_old(world: World) -> Outcome:
    """Serves the collateral of an evaluation from before the hole was known, in force still."""
    world.keep(said(evaluation=17), alone=True)
    return trained(world)


@attack(Part.EVIDENCE, Code.TCB_TOO_OLD, answers="old collateral served again")
def enclave_s_evaluation_too_old(world: World) -> Outcome:
    """Serves the enclave's identity of an evaluation from before the hole was known."""
    return world.verify_quote(collateral=said(qe_evaluation=17))


@attack(Part.EVIDENCE, Code.TCB_TOO_OLD, answers="updates put off for ever")
def level_too_old(world: World) -> Outcome:
    """Attests on a machine that has not been updated for longer than the policy allows."""
    return world.verify_quote(collateral=said(level_date=today() - 400 * DAY))


@attack(
    Part.EVIDENCE,
    Code.QE_STATUS_NOT_ALLOWED,
    answers="known hole accepted",
    inherent=(Code.TCB_STATUS_NOT_ALLOWED,),  # what is said of all together
)
def enclave_out_of_date(world: World) -> Outcome:
    """Has the quote signed by a quoting enclave that is out of date, on a machine that is not."""
    return world.verify_quote(collateral=said(qe_status="OutOfDate"))
