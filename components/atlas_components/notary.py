"""The notary of a step: `begin` before the user's command, `end` after it.

`begin` measures the inputs, `end` measures them again, measures the outputs, signs the statement, leaves it in three
places (the step's provenance folder, the home's inbox, the outputs' metadata) and returns what it signed. Whatever took
part and could not be measured is recorded as such; nothing is left out.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from atlas.artifact import Kind
from atlas.disclosure import new_salt
from atlas.errors import EvidenceError, StepError
from atlas.evidence.attest import PROBE, attestor
from atlas.evidence.binding import Context
from atlas.home import DISCLOSURES
from atlas.statement import (
    FAILED_EVIDENCE,
    NO_EVIDENCE,
    SALT_BYTES,
    Input,
    Link,
    Output,
    Statement,
    Step,
    Unmeasured,
    dump_statement,
    output_of,
)
from atlas_components.executor import (
    MAX_BYTES,
    ExecutorInput,
    ExecutorOutput,
    parse_executor_input,
    parse_executor_output,
)
from atlas_components.folder import replace_file, write_folder
from atlas_components.measuring import check_expected, has_changed, measure_input, measure_output
from atlas_components.metadata import hints, without_hints
from atlas_components.parameters import Parameters, parameters_of
from atlas_components.place import STATEMENT, Place, attempt_of, place_of
from atlas_components.privacy import Privacy

if TYPE_CHECKING:  # cryptography and c2pa are loaded while the user's command runs
    from atlas.evidence.providers import Provider
    from atlas.home import Home
    from atlas.keys import Issuer
    from atlas.manifest.emit import Sidecar


@dataclass(frozen=True)
class Order:
    """What the instrumented command line says of the step."""

    executor_input: str
    """JSON."""
    component: str
    image: str
    code_sha256: str
    evidence: str = NO_EVIDENCE
    """The provider to ask; there is no other if it fails."""
    unattested: bool = False
    """Whether a step whose provider fails may go on, recorded as such."""
    privacy: Privacy = field(default_factory=Privacy)
    """The parameters to keep back."""


@dataclass(frozen=True)
class Begun:
    """A step whose inputs are measured and whose command may run."""

    order: Order
    told: ExecutorInput
    place: Place
    attempt: int
    started: datetime
    inputs: tuple[Input, ...]
    unmeasured: tuple[Unmeasured, ...]
    parameters: Parameters
    provider: "Provider | None" = None
    """Who gives evidence; None if nobody was asked, or if it failed and the step may go on."""


def begin(order: Order, environment: Mapping[str, str], home: "Home") -> Begun:
    """Measure the inputs, and make the folders that the step's command may expect.

    Raises:
        StepError: if the order is malformed, or an input is not the one that the pipeline demands.
        EvidenceError: if the provider of evidence does not work; better now than after hours of training.
    """
    started = datetime.now(UTC)
    provider = _provider(order, home)
    told = parse_executor_input(order.executor_input)
    parameters = parameters_of(told.parameters, order.privacy, pseudonymous=home.pseudonymous)
    place = place_of(told.output_file, environment, order.component)
    attempt = attempt_of(Path(told.provenance), environment)
    inputs: list[Input] = []
    unmeasured: list[Unmeasured] = []
    for each in told.inputs:
        measured = measure_input(each)
        check_expected(each, measured)
        if isinstance(measured, Unmeasured):
            unmeasured.append(measured)
        else:
            inputs.append(measured)
    # the launcher of a cluster makes these folders, the local runner does not
    for path in (told.output_file, told.provenance, *(each.path for each in told.outputs), *told.parameter_files):
        with contextlib.suppress(OSError):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
    return Begun(order, told, place, attempt, started, tuple(inputs), tuple(unmeasured), parameters, provider)


def end(begun: Begun, exit_code: int, home: "Home", issuer: "Issuer") -> "list[Sidecar]":
    """Sign what the step did and leave it where the next step, KFP and the home find it.

    Args:
        begun: what `begin` returned.
        exit_code: of the user's command; 128 and the signal's number for one that a signal ended.
        home: whose inbox gets it.
        issuer: who signs.

    Raises:
        AtlasError: if the provenance cannot be recorded; the step must fail then.
    """
    reported = _executor_output(begun.told, required=exit_code == 0)
    outputs: list[Output] = []
    unmeasured = list(begun.unmeasured)
    files: dict[str, bytes] = {}
    for each in begun.told.outputs:
        measured = measure_output(each, reported.applied(each))
        if isinstance(measured, Unmeasured):
            unmeasured.append(measured)
            continue
        output = output_of(measured, each.name, each.position, reported.applied(each).uri, each.schema)
        outputs.append(output)
        if measured.asset:
            _add(files, _asset_name(output), measured.asset)
    statement = Statement(
        maker=Step(
            begun.place.pipeline,
            begun.place.run,
            begun.place.task,
            begun.order.component,
            begun.attempt,
            begun.order.image,
            begun.order.code_sha256,
            exit_code,
        ),
        inputs=_measured_again(begun),
        outputs=tuple(outputs),
        unmeasured=tuple(unmeasured),
        parameters=begun.parameters.told,
        secret=begun.parameters.secret,
        hidden=begun.parameters.digests,
        pseudonym=new_salt(SALT_BYTES) if home.pseudonymous else "",
        started=begun.started,
        ended=max(begun.started, datetime.now(UTC)),  # a clock may be set back meanwhile
        evidence=begun.order.evidence if begun.provider or begun.order.evidence == NO_EVIDENCE else _failed(begun),
    )
    sidecars = _signed(begun, statement, issuer)
    statement = sidecars[0].manifest.statement
    for sidecar in sidecars:
        _add(files, sidecar.name, sidecar.raw)
    _add(files, STATEMENT, dump_statement(statement))
    # the folder first: a retry tells from it that this attempt was signed
    write_folder(Path(begun.told.provenance), files)
    # disclosures go nowhere else: the folder is uploaded with the outputs
    home.deposit({**files, **({DISCLOSURES: begun.parameters.document} if begun.parameters.hidden else {})})
    if exit_code == 0:
        _write_hints(begun.told, reported, sidecars)
    return sidecars


def _provider(order: Order, home: "Home") -> "Provider | None":
    from atlas.provider import choose  # noqa: PLC0415  most steps have no provider

    if order.evidence == NO_EVIDENCE:
        return None
    provider = choose(order.evidence, home)
    try:
        provider.attest(PROBE)
    except EvidenceError:
        if order.unattested:
            return None
        raise
    return provider


def _signed(begun: Begun, statement: Statement, issuer: "Issuer") -> "list[Sidecar]":
    from atlas.manifest.emit import sign_statement  # noqa: PLC0415  loaded while the command ran

    if begun.provider is None:
        return sign_statement(statement, issuer, statement.ended)
    assert isinstance(statement.maker, Step)
    attest = attestor(begun.provider, Context.of(statement.maker))
    try:
        return sign_statement(statement, issuer, statement.ended, attest=attest)
    except EvidenceError:
        if begun.order.unattested:
            return sign_statement(replace(statement, evidence=_failed(begun)), issuer, statement.ended)
        raise


def _failed(begun: Begun) -> str:
    return f"{FAILED_EVIDENCE}{begun.order.evidence}"


def _measured_again(begun: Begun) -> tuple[Input, ...]:
    artifacts = {(each.name, each.position): each for each in begun.told.inputs}
    return tuple(replace(each, changed=has_changed(artifacts[each.name, each.position], each)) for each in begun.inputs)


def _executor_output(told: ExecutorInput, *, required: bool) -> ExecutorOutput:
    """What the step's code reported; that of a failed step counts only as far as it can be read."""
    try:
        with Path(told.output_file).open("rb") as file:
            return parse_executor_output(file.read(MAX_BYTES + 1))
    except FileNotFoundError:
        return parse_executor_output(b"")
    except OSError as error:
        raise StepError(f"{told.output_file}: {error.strerror or error}") from error
    except StepError:
        if required:
            raise
        return parse_executor_output(b"")


def _asset_name(output: Output) -> str:
    place = f"@{output.position}" if output.position else ""
    return f"{output.name}{place}.{'index' if output.kind is Kind.TREE else 'json'}"


def _add(files: dict[str, bytes], name: str, content: bytes) -> None:
    if name in files:
        raise StepError(f"two files of the provenance would be named {name}", mend="rename that output of the step")
    files[name] = content


def _write_hints(told: ExecutorInput, reported: ExecutorOutput, sidecars: "list[Sidecar]") -> None:
    """Tell the steps that use the outputs of the manifests; what the step's code reported stays."""
    links = {
        (each.output.name, each.output.position): Link(
            each.manifest.label, each.manifest.box_sha256, each.manifest.asset_sha256
        )
        for each in sidecars
        if each.output
    }
    lists = reported.document.get("artifacts") or {}
    for output in told.outputs:
        link = links.get((output.name, output.position))
        stated = (lists.get(output.name) or {}).get("artifacts") or []
        if link and not stated:
            stated = [{"name": output.name, "uri": output.uri, "metadata": dict(output.metadata)}]
        for entry in stated[output.position : output.position + 1]:
            # a step may copy an input's metadata, whose hints and pin are not true of the output
            entry["metadata"] = without_hints(entry.get("metadata") or {}) | (hints(link) if link else {})
            lists[output.name] = {"artifacts": stated}
    if lists:
        replace_file(Path(told.output_file), json.dumps({**reported.document, "artifacts": lists}).encode())
