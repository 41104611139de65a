"""`atlas lineage`: draw where an artifact comes from, with the verdict's findings in their places."""

import json
from collections.abc import Callable
from pathlib import Path

import click

from atlas.cli.session import session
from atlas.cli.terminal import home_option, write_file
from atlas.cli.verify import judge
from atlas.errors import Rejected
from atlas.lineage import Lineage
from atlas.lineage.render import to_dot, to_json, to_mermaid, to_text
from atlas.lineage.svg import to_svg
from atlas.verdict import Verdict


def _json_text(lineage: Lineage, verdict: Verdict) -> str:
    return json.dumps(to_json(lineage, verdict), indent=2, ensure_ascii=False) + "\n"


_FORMATS: dict[str, Callable[[Lineage, Verdict], str]] = {
    "text": to_text,
    "json": _json_text,
    "dot": to_dot,
    "mermaid": to_mermaid,
    "svg": to_svg,
}


@click.command()
@click.argument("target", metavar="PATH|sha256:…")
@click.option(
    "--format", "form", type=click.Choice(list(_FORMATS)), default="text", show_default=True, help="The form."
)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True), help="Into this file."
)
@click.option("--policy", type=click.Path(path_type=Path, dir_okay=False), help="Policy file to judge it by.")
@click.option("--trust", type=click.Path(path_type=Path, dir_okay=False), help="Trust root file; else the home's own.")
@click.option("--at", metavar="TIME", help="Judge as of this time (RFC 3339); by default now.")
@home_option
def lineage(
    target: str,
    form: str,
    output: Path | None,
    policy: Path | None,
    trust: Path | None,
    at: str | None,
    home: Path | None,
) -> int:
    """Draw where an artifact comes from: exit 0 if its lineage holds, 1 if it does not."""
    with session(home, trust) as opened:
        verdict, found = judge(opened, target, policy, at)
    if found is None:
        reason = verdict.findings[0]
        raise Rejected(
            reason.code,
            f"{target} has no lineage to draw: {reason.message}",
            expected=reason.expected,
            found=reason.found,
        )
    drawn = _FORMATS[form](found, verdict)
    if output is None or str(output) == "-":
        click.echo(drawn, nl=False)
    else:
        write_file(output, drawn.encode("utf-8"))
    return 0 if verdict.holds else 1
