"""Following the links of real manifests."""

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import cbor2
import pytest

from atlas.archive import Stored
from atlas.artifact import EMPTY_SHA256, Kind
from atlas.codes import Code
from atlas.lineage import walk
from atlas.log import EmbeddedLog, parse_receipt
from atlas.log.claim import claim_entry
from atlas.manifest import parse_manifest, sign_statement
from atlas.statement import Link, Step
from atlas.trust import TrustRoot
from atlas.verdict import Severity
from support import forge
from unit.lineage.lineage_world import (
    LOG_KEY,
    NOW,
    ORIGIN,
    Indexed,
    Made,
    World,
    chain,
    codes,
    found,
    only,
    policy,
    sha,
)

STRANGER = forge.authority("stranger")


def test_chain(world: World) -> None:
    made = chain(world, 4)
    lineage = world.lineage(made[-1])
    assert [node.box for node in lineage.nodes] == [each.box for each in reversed(made)]
    assert [edge.parent for node in lineage.nodes for edge in node.edges] == [each.box for each in reversed(made[:-1])]
    assert (lineage.steps, lineage.findings, lineage.origins) == (5, (), ())
    assert lineage.nodes[2].path == ("step-3-out", "step-3", "step-2-out", "step-2", "step-1-out")
    assert lineage.nodes[2].step_path == (*lineage.nodes[2].path, "step-1")
    verdict = world.verify(made[-1])
    assert (verdict.holds, verdict.steps, verdict.manifests, verdict.findings) == (True, 5, 5, ())
    assert verdict.name == "step-3-out"


def test_diamond_counts_its_top_once_and_takes_the_shortest_path(world: World) -> None:
    top = world.publish(b"top", "top")
    left = world.step("left", [top.used()])
    right = world.step("right", [top.used()])
    bottom = world.step("bottom", [left.used("l"), right.used("r"), top.used("direct")])
    lineage = world.lineage(bottom)
    assert len(lineage.nodes) == 4
    assert lineage.by_box[top.box].path == ("bottom-out", "bottom", "direct")
    assert lineage.findings == ()


def test_wide_fan_in(world: World) -> None:
    parts = [world.publish(f"part {i}".encode(), f"part-{i}") for i in range(120)]
    merged = world.step("merge", [each.used("parts", position=i) for i, each in enumerate(parts)])
    lineage = world.lineage(merged)
    assert [edge.parent for edge in lineage.nodes[0].edges] == [each.box for each in parts]
    assert lineage.steps == 121
    assert world.verify(merged).holds


def test_chain_deeper_than_the_stack(tmp_path: Path) -> None:
    world = World(tmp_path, Indexed())
    world.clock = NOW - dt.timedelta(days=4)
    made = chain(world, 1500)
    verdict = world.verify(made[-1])
    assert verdict.holds
    assert (verdict.steps, verdict.manifests) == (1501, 1501)
    world.log.close()


def test_step_with_several_outputs_is_one_step(world: World) -> None:
    train, test = world.steps("split", [world.publish(b"all").used()], {"train": b"8", "test": b"2"})
    model = world.step("fit", [train.used(), test.used()])
    lineage = world.lineage(model)
    assert len(lineage.nodes) == 4
    assert lineage.steps == 3
    assert world.verify(model).steps == 3


def test_gap(world: World) -> None:
    data = world.step("prepare")
    model = world.step("train", [data.used("data")])
    world.source.remove(data)
    finding = only(world.verify(model), Code.MANIFEST_MISSING)
    assert finding.path == ("train-out", "train", "data")
    assert finding.expected == f"manifest {data.box}"
    assert world.lineage(model).broken


def test_ancestor_that_was_changed_in_the_archive_is_named(world: World) -> None:
    data = world.step("prepare")
    model = world.step("train", [data.used("data")])
    world.settle()
    raw = bytearray(data.raw)
    raw[raw.index(b"prepare-out")] ^= 1
    world.source.stored = [
        replace(each, sidecar=bytes(raw)) if each.box_sha256 == data.box else each for each in world.source.stored
    ]
    finding = only(world.verify(model), Code.ASSERTION_CHANGED)
    assert finding.path == ("train-out", "train", "data")


def test_ancestor_of_an_unknown_signer(world: World) -> None:
    data = world.step("prepare", issuer=STRANGER)
    model = world.step("train", [data.used("data")])
    assert only(world.verify(model), Code.SIGNER_UNTRUSTED).path == ("train-out", "train", "data")


def test_link_mismatch_because_the_step_got_other_bytes(world: World) -> None:
    data = world.step("prepare")
    model = world.step("train", [data.used("data", sha256=sha(b"poison"))])
    finding = only(world.verify(model), Code.LINK_MISMATCH)
    assert (finding.expected, finding.found) == (f"sha256:{data.sha256}", f"sha256:{sha(b'poison')}")
    assert finding.path == ("train-out", "train", "data")
    assert data.box in world.lineage(model).by_box


def test_link_mismatch_because_the_archive_answers_with_another_manifest(world: World) -> None:
    data, other = world.step("prepare"), world.step("other")
    model = world.step("train", [data.used("data")])
    world.settle()
    lie = replace(next(each for each in world.source.stored if each.box_sha256 == other.box), box_sha256=data.box)
    world.source.stored = [lie if each.box_sha256 == data.box else each for each in world.source.stored]
    finding = only(world.verify(model), Code.LINK_MISMATCH)
    assert (finding.expected, finding.found) == (f"manifest {data.box}", f"manifest {other.box}")
    assert other.box not in world.lineage(model).by_box


def test_link_mismatch_because_the_link_has_another_label(world: World) -> None:
    data = world.step("prepare")
    link = Link("urn:c2pa:00000000-0000-4000-8000-000000000009", data.box, data.sha256)
    model = world.step("train", [replace(data.used(), link=link)])
    assert only(world.verify(model), Code.LINK_MISMATCH).expected == f"manifest {data.box}"


def test_link_mismatch_because_the_parent_is_of_another_artifact(world: World) -> None:
    data = world.step("prepare")
    forged = sha(b"poison")
    link = Link(data.manifest.label, data.box, forged)
    model = world.step("train", [replace(data.used("data"), sha256=forged, link=link)])
    finding = only(world.verify(model), Code.LINK_MISMATCH)
    assert (finding.expected, finding.found) == (f"sha256:{data.sha256}", f"sha256:{forged}")


def test_origin_without_anyone_to_vouch_for_it(world: World) -> None:
    model = world.step("train", [found(b"wild")])
    finding = only(world.verify(model), Code.UNATTESTED_ORIGIN)
    assert finding.path == ("train-out", "train", "raw")
    assert finding.found == f"sha256:{sha(b'wild')} gs://bucket/raw"
    assert [each.input.sha256 for each in world.lineage(model).origins] == [sha(b"wild")]


def test_pinned_origin(world: World) -> None:
    model = world.step("train", [found(b"pinned", pinned=True)])
    assert world.verify(model).findings == ()


def test_published_origin_is_found_by_its_digest(world: World) -> None:
    corpus = world.publish(b"corpus\n")
    model = world.step("train", [found(b"corpus\n")])
    lineage = world.lineage(model)
    assert [node.box for node in lineage.nodes] == [model.box, corpus.box]
    assert lineage.origins == ()
    assert world.verify(model).holds


def test_empty_input_is_no_origin(world: World) -> None:
    model = world.step("train", [found(b"")])
    lineage = world.lineage(model)
    assert lineage.nodes[0].edges[0].input.sha256 == EMPTY_SHA256
    assert (lineage.origins, lineage.findings) == ((), ())


def test_duplicate_producers_are_told_apart_by_the_link(world: World) -> None:
    first = world.step("first", outputs={"same": b"same"})
    second = world.step("second", outputs={"same": b"same"})
    for chosen in (first, second):
        model = world.step(f"train-on-{chosen.box}", [chosen.used()])
        assert world.lineage(model).nodes[1].box == chosen.box
        assert world.verify(model).findings == ()


def test_duplicate_producers_without_a_link_follow_what_was_logged_first(world: World) -> None:
    first = world.step("first", outputs={"same": b"same"})
    second = world.step("second", outputs={"same": b"same"})
    model = world.step("train", [first.used(link=False)])
    late = world.step("late", outputs={"same": b"same"})
    world.settle([late, second, first, model])  # the one logged first of all ended after `train` began
    lineage = world.lineage(model)
    assert [node.box for node in lineage.nodes] == [model.box, second.box]
    verdict = world.verify(model)
    finding = only(verdict, Code.PRODUCER_AMBIGUOUS)
    assert verdict.holds
    assert finding.severity is Severity.WARNING
    assert finding.found == "3 manifests; following second"


def test_duplicate_producers_follow_the_log_and_then_the_digest(world: World) -> None:
    same = [world.step(f"maker-{i}", outputs={"same": b"same"}) for i in range(6)]
    model = world.step("train", [same[0].used(link=False)])
    world.unlogged = []
    assert world.lineage(model).nodes[1].box == min(each.box for each in same)
    by_box = sorted(same, key=lambda each: each.box, reverse=True)
    world.settle(by_box[:3])
    assert world.lineage(model).nodes[1].box == by_box[0].box


def test_one_step_that_wrote_the_same_bytes_twice_is_not_ambiguous(world: World) -> None:
    twice = world.steps("twice", outputs={"a": b"same", "b": b"same"})
    model = world.step("train", [twice[0].used(link=False)])
    assert world.verify(model).findings == ()
    assert world.verify(twice[0]).findings == ()


def test_what_was_made_later_is_no_maker(world: World) -> None:
    first = world.step("copy", [found(b"same", "data", pinned=True)], {"data": b"same"})
    world.clock += dt.timedelta(hours=1)
    second = world.step("copy", [found(b"same", "data", pinned=True)], {"data": b"same"}, run="run-2")
    assert [node.box for node in world.lineage(first).nodes] == [first.box]
    assert [node.box for node in world.lineage(second).nodes] == [second.box, first.box]
    assert codes(world.verify(first).findings) == ["ProducerAmbiguous"]


def test_fork_beside_the_same_task_of_another_pipeline(world: World) -> None:
    first = world.step("train", outputs={"model": b"first"})
    world.step("train", outputs={"model": b"second"})
    other = world.step("train", [first.used()], {"model": b"other"}, pipeline="other")
    last = world.step("last", [first.used("first"), other.used("other")])
    assert only(world.verify(last), Code.STEP_FORKED).path == ("last-out", "last", "first", "train")


def test_cycle_of_inputs_found_by_digest(world: World) -> None:
    one = world.step("one", [found(b"two")], {"one": b"one"})
    two = world.step("two", [found(b"one")], {"two": b"two"})
    findings = world.verify(one).findings
    assert Code.LINEAGE_CYCLE in [each.code for each in findings]
    [cycle] = [each for each in findings if each.code is Code.LINEAGE_CYCLE]
    assert cycle.found == "2 manifests in or above the circle"
    assert [node.box for node in world.lineage(two).nodes] == [two.box, one.box]


def test_identity_step_is_no_cycle(world: World) -> None:
    data = world.publish(b"same", "data")
    checked = world.step("check", [data.used()], {"checked": b"same"})
    again = world.step("check-again", [checked.used()], {"checked": b"same"})
    assert data.sha256 == checked.sha256 == again.sha256
    lineage = world.lineage(again)
    assert [node.box for node in lineage.nodes] == [again.box, checked.box, data.box]
    assert lineage.findings == ()
    assert codes(world.verify(world.step("train", [again.used()])).findings) == []


def test_identity_step_that_was_told_of_no_maker_is_no_cycle(world: World) -> None:
    kept = world.step("check", [found(b"same", "data")], {"checked": b"same"})
    assert only(world.verify(kept), Code.UNATTESTED_ORIGIN).path == ("checked", "check", "data")
    assert world.verify(kept, f"{{origins: {{digests: ['sha256:{kept.sha256}']}}}}").findings == ()


def test_link_mismatch_because_a_file_has_the_bytes_of_a_trees_index(world: World) -> None:
    data = world.step("prepare")
    model = world.step("train", [data.used("data", kind=Kind.TREE)])
    finding = only(world.verify(model), Code.LINK_MISMATCH)
    assert (finding.expected, finding.found) == ("a file", "a tree")


def test_maker_of_a_file_is_no_maker_of_a_tree(world: World) -> None:
    data = world.step("prepare")
    model = world.step("train", [data.used("data", link=False, kind=Kind.TREE)])
    assert only(world.verify(model), Code.UNATTESTED_ORIGIN).path == ("train-out", "train", "data")
    sound = world.step("train-2", [data.used("data", link=False)])
    assert world.verify(sound).findings == ()


def test_a_log_that_shows_two_histories(world: World, tmp_path: Path) -> None:
    data = world.step("prepare")
    model = world.step("train", [data.used("data")])
    world.settle()
    with EmbeddedLog.open(tmp_path / "other.sqlite3", ORIGIN, LOG_KEY) as other:
        [entry] = other.append([claim_entry(model.manifest).canonical_body()])
        receipt = other.receipt(entry.index).to_bytes()
    stored = world.source.stored
    world.source.stored = [replace(each, receipt=receipt) if each.box_sha256 == model.box else each for each in stored]
    finding = only(world.verify(model), Code.CHECKPOINT_INCONSISTENT)
    assert finding.found == f"two histories of {ORIGIN} at index 0"


def test_one_log_entry_of_a_manifest_and_its_padded_copy_is_one_history(world: World) -> None:
    """Whoever pads the signature box makes another box digest, but nothing that the log did not hold."""
    data = world.step("prepare")
    world.settle()
    padded = forge.edit(data.raw, _pad)
    manifest = parse_manifest(padded)
    assert (manifest.box_sha256 != data.box, manifest.signature) == (True, data.manifest.signature)
    copy = Made(padded, manifest)
    world.source.add(copy.stored(world.source.stored[0].receipt), manifest)
    model = world.step("train", [data.used("one"), copy.used("other")])
    assert world.verify(model).findings == ()


def _pad(box: forge.Box) -> None:
    signature = box.part("c2pa.signature")
    tag = signature.cbor
    protected, unprotected, payload, value = tag.value
    longer = {**unprotected, "pad": unprotected.get("pad", b"") + b"\0"}
    signature.cbor = cbor2.CBORTag(tag.tag, [protected, longer, payload, value])


def test_too_large(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "MAX_MANIFESTS", 3)
    made = chain(world, 3)
    assert only(world.verify(made[-1]), Code.LINEAGE_TOO_LARGE).expected == "at most 3 manifests"
    assert world.verify(made[-2]).holds


def test_fork_with_a_trusted_twin(world: World) -> None:
    first = world.step("train", outputs={"model": b"first"})
    second = world.step("train", outputs={"model": b"second"})
    finding = only(world.verify(first), Code.STEP_FORKED)
    assert finding.path == ("model", "train")
    assert finding.expected == f"statement {first.manifest.statement_sha256}"
    assert finding.found == f"also {second.manifest.statement_sha256}"


@pytest.mark.parametrize("changes", [{"attempt": 1}, {"run": "run-2"}, {"pipeline": "other"}])
def test_no_fork(world: World, changes: dict[str, Any]) -> None:
    first = world.step("train", outputs={"model": b"first"})
    world.step("train", outputs={"model": b"second"}, **changes)
    assert world.verify(first).findings == ()


def test_twin_of_a_stranger_does_not_count(world: World) -> None:
    first = world.step("train", outputs={"model": b"first"})
    world.step("train", outputs={"model": b"second"}, issuer=STRANGER)
    assert world.verify(first).findings == ()


def test_a_strangers_copy_of_the_twin_does_not_hide_it(world: World) -> None:
    first = world.step("train", outputs={"model": b"first"})
    twin = world.step("train", outputs={"model": b"second"}, archive=False)
    for issuer in (STRANGER, world.issuer, STRANGER):
        [copy] = sign_statement(twin.manifest.statement, issuer, NOW)
        assert copy.manifest.statement_sha256 == twin.manifest.statement_sha256
        world.source.add(Made(copy.raw, copy.manifest).stored(), copy.manifest)
    assert only(world.verify(first), Code.STEP_FORKED).found == f"also {twin.manifest.statement_sha256}"


def test_twin_that_the_archive_only_claims_does_not_count(world: World) -> None:
    first = world.step("train", outputs={"model": b"first"})
    other = world.step("test", outputs={"report": b"fine"})
    maker = other.manifest.statement.maker
    assert isinstance(maker, Step)
    claimed = {("train", 0): {first.box: first.manifest.statement_sha256, other.box: sha(b"claimed")}}
    world.source.of_run = lambda run: claimed  # type: ignore[method-assign]
    assert world.verify(first).findings == ()


def test_failed_step(world: World) -> None:
    data = world.step("prepare", exit_code=3)
    finding = only(world.verify(world.step("train", [data.used()])), Code.STEP_FAILED)
    assert finding.path == ("train-out", "train", "prepare-out", "prepare")
    assert finding.found == "exit code 3"


@pytest.mark.parametrize(("early", "holds"), [(0, True), (5 * 60, True), (5 * 60 + 1, False)])
def test_step_before_its_input(world: World, early: int, holds: bool) -> None:
    data = world.step("prepare")
    began = data.manifest.statement.ended - dt.timedelta(seconds=early)
    model = world.step("train", [data.used("data")], started=began)
    verdict = world.verify(model)
    assert verdict.holds is holds
    if not holds:
        assert only(verdict, Code.STEP_BEFORE_INPUT).path == ("train-out", "train", "data")


def test_step_at_the_end_of_the_calendar(world: World) -> None:
    data = world.step("prepare")
    last = dt.datetime.max.replace(tzinfo=dt.UTC)
    model = world.step("train", [data.used()], started=last, ended=last)
    assert only(world.verify(model), Code.STEP_IN_FUTURE).found.startswith("9999-12-31")


def test_input_changed(world: World) -> None:
    data = world.step("prepare")
    model = world.step("train", [data.used("data", changed=True)])
    assert only(world.verify(model), Code.INPUT_CHANGED).path == ("train-out", "train", "data")


def test_receipt_of_another_manifest(world: World) -> None:
    data = world.step("prepare")
    model = world.step("train", [data.used("data")])
    world.settle()
    stored = {each.box_sha256: each for each in world.source.stored}
    world.source.stored = [replace(each, receipt=stored[model.box].receipt) for each in world.source.stored]
    assert only(world.verify(model), Code.RECEIPT_ENTRY_MISMATCH).path == ("train-out", "train", "data", "prepare")
    assert parse_receipt(stored[data.box].receipt or b"").index == 0


def test_rejected_as_a_candidate_and_still_a_finding_where_it_is_linked(world: World) -> None:
    bad = world.step("bad", outputs={"same": b"same"}, issuer=STRANGER)
    good = world.step("good", outputs={"same": b"same"})
    model = world.step("train", [good.used("quiet", link=False), bad.used("linked")])
    finding = only(world.verify(model), Code.SIGNER_UNTRUSTED)
    assert finding.path == ("train-out", "train", "linked")
    assert world.lineage(model).nodes[1].box == good.box


def test_rejected_as_the_only_candidate_leaves_an_origin(world: World) -> None:
    world.step("bad", outputs={"same": b"same"}, issuer=STRANGER)
    model = world.step("train", [found(b"same", "data")])
    assert only(world.verify(model), Code.UNATTESTED_ORIGIN).path == ("train-out", "train", "data")


def test_archive_that_calls_a_manifest_a_producer_of_something_else(world: World) -> None:
    other = world.step("other", outputs={"x": b"not it"})
    model = world.step("train", [found(b"wild")])
    world.settle()
    world.source.stored = [
        replace(each, asset_sha256=sha(b"wild")) if each.box_sha256 == other.box else each
        for each in world.source.stored
    ]
    assert codes(world.verify(model).findings) == ["UnattestedOrigin"]


def test_archive_that_answers_with_another_artifact(world: World) -> None:
    other = world.step("other")
    world.settle()
    lie = Stored(other.box, sha(b"asked"), other.raw, None)
    world.source.stored = [lie]
    finding = only(world.verify(sha(b"asked")), Code.SIDECAR_SWAPPED)
    assert finding.found == f"sha256:{other.sha256}"


def test_unknown_artifact(world: World) -> None:
    verdict = world.verify(sha(b"nobody"))
    finding = only(verdict, Code.ARTIFACT_UNKNOWN)
    assert (finding.path, finding.found) == (("artifact",), f"sha256:{sha(b'nobody')}")
    assert (verdict.steps, verdict.manifests, verdict.name) == (0, 0, "")


def test_artifact_of_unknown_signers_only(world: World) -> None:
    made = world.step("train", issuer=STRANGER)
    assert codes(world.verify(made).findings) == ["SignerUntrusted"]


def test_trust_root_without_the_log(world: World) -> None:
    made = world.step("train")
    root = TrustRoot(world.trust.authorities, ())
    verdict = world.verifier(trust=root).verify(made.sha256, policy(), NOW)
    assert codes(verdict.findings) == ["ReceiptLogUnknown"]
