"""Opening what statements keep back: each disclosure must be one that the statement commits to."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from atlas.codes import Code
from atlas.disclosure import Disclosure, parse_disclosure
from atlas.errors import Rejected
from atlas.lineage import Lineage, Node
from atlas.statement import Statement, Step
from atlas.verdict import Disclosed, Finding


@dataclass(frozen=True)
class Disclosures:
    """The disclosures at hand, by the digest (hex) of the statement that should commit to them."""

    shown: Mapping[str, Sequence[str]]
    """Presented for this verification: each must fit, and its value is told."""
    kept: Callable[[str], Sequence[str]]
    """Of this home: for judging, and not told."""


@dataclass(frozen=True)
class Opened:
    """What disclosures come to."""

    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Digest of a statement -> parameter -> value."""
    disclosed: tuple[Disclosed, ...] = ()
    findings: tuple[Finding, ...] = ()


def open_parameters(statement: Statement, disclosures: Iterable[str]) -> dict[str, Disclosure]:
    """Parameters that these disclosures show, by name.

    Raises:
        Rejected: `DisclosureMalformed`; `DisclosureInvalid` for one that the statement does not commit to;
            `DisclosureConflict` for a parameter that has a value without it. Values are not told.
    """
    opened: dict[str, Disclosure] = {}
    for encoded in disclosures:
        each = parse_disclosure(encoded)
        if each.digest not in statement.hidden:
            expected = f"one of {len(statement.hidden)} digests" if statement.hidden else "no disclosure"
            raise Rejected(Code.DISCLOSURE_INVALID, expected=expected, found=each.digest)
        if each.name in statement.parameters or each.name in statement.secret or each.name in opened:
            raise Rejected(Code.DISCLOSURE_CONFLICT, found=each.name[:200])
        opened[each.name] = each
    return opened


def open_lineages(lineages: Sequence[Lineage], at_hand: Disclosures) -> Opened:
    """Open what is at hand for the steps of lineages, of which the first is the one that is judged."""
    values: dict[str, dict[str, Any]] = {}
    disclosed: list[Disclosed] = []
    findings: list[Finding] = []
    nodes = dict(_statements(lineages))
    for sha256, node in nodes.items():
        statement, shown = node.facts.manifest.statement, at_hand.shown.get(sha256, ())
        kept = at_hand.kept(sha256) if statement.hidden else ()
        try:
            opened = open_parameters(statement, dict.fromkeys((*shown, *kept)))
        except Rejected as rejected:
            findings.append(Finding.of(rejected, node.step_path))
            continue
        values[sha256] = {name: each.value for name, each in opened.items()}
        told = (each for each in opened.values() if each.encoded in shown)
        disclosed += [Disclosed(sha256, _component(statement), each.name, each.value) for each in told]
    for sha256 in at_hand.shown.keys() - nodes.keys():
        unrelated = Rejected(Code.DISCLOSURE_UNRELATED, found=f"statement sha256:{sha256}")
        findings.append(Finding.of(unrelated, lineages[0].nodes[0].path))
    return Opened(values, tuple(disclosed), tuple(findings))


def _statements(lineages: Iterable[Lineage]) -> Iterator[tuple[str, Node]]:
    seen: set[str] = set()
    for node in (node for lineage in lineages for node in lineage.nodes):
        sha256 = node.facts.manifest.statement_sha256
        if sha256 not in seen:
            seen.add(sha256)
            yield sha256, node


def _component(statement: Statement) -> str:
    return statement.maker.component if isinstance(statement.maker, Step) else statement.maker.name
