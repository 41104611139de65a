"""The demo itself: run, judge, draw, break."""

import contextlib
import datetime as dt
import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from atlas.cli.session import session
from atlas.cli.terminal import console, print_findings
from atlas.cli.verify import judge, print_verdict
from atlas.errors import InputError, StateError
from atlas.evidence.providers import SIMULATED
from atlas.gather import gather
from atlas.home import NAME, Home, create_home
from atlas.lineage import Lineage
from atlas.lineage.svg import to_svg
from atlas.simulated import make_simulator
from atlas.verdict import Verdict
from atlas_components.demo.acts import Act, acts

FOLDER = "atlas-demo"


def new_folder(parent: Path) -> Path:
    """A folder for this demo that does not exist yet."""
    names = (FOLDER if i == 1 else f"{FOLDER}-{i}" for i in range(1, 1000))
    for name in names:
        if not (parent / name).exists():
            return parent / name
    raise InputError(f"{parent}: has 999 demos in it already", mend=f"rm -r {FOLDER}*")


class Demo:
    """One showing, with its own home in its own folder."""

    def __init__(self, folder: Path) -> None:
        """Make the folder and the home."""
        self.folder = folder
        self.home: Home = create_home(folder / NAME)
        make_simulator(self.home, dt.datetime.now(dt.UTC))
        for name in ("policy.yaml", "production.yaml", "pipeline.py"):
            (folder / name).write_bytes((files("atlas_components.demo") / name).read_bytes())

    def run(self) -> Path:
        """Run the pipeline; returns the model.

        Raises:
            StateError: if a step fails.
        """
        from atlas_components.demo.pipeline import tumours  # noqa: PLC0415  kfp takes a second to import
        from atlas_components.local import run_locally  # noqa: PLC0415

        self._say(f"1  An unchanged KFP pipeline, instrumented, runs in {self.folder}, on a simulated TDX platform")
        result = run_locally(tumours, {}, self.home, root=self.folder / "outputs", evidence=SIMULATED)
        if not result.ok or result.output is None:
            raise StateError(f"the demo's pipeline failed: {result.error}\n" + "\n".join(result.tail))
        gathered = gather(self.home)
        console.print(f"   4 steps ran; {gathered.manifests} C2PA manifests signed, archived and logged\n")
        return result.output / "train" / "model"

    def judge(
        self, model: Path, policy: str = "policy.yaml", *, remeasure: bool = False
    ) -> tuple[Verdict, Lineage | None]:
        """The verdict on the model as it lies there now."""
        with session(self.home.path, None) as opened:
            return judge(opened, str(model), self.folder / policy, remeasure=remeasure)

    def draw(self, verdict: Verdict, lineage: Lineage) -> Path:
        """Draw the lineage."""
        picture = self.folder / "lineage.svg"
        picture.write_text(to_svg(lineage, verdict), encoding="utf-8")
        return picture

    def perform(self, act: Act, model: Path) -> bool:
        """Tamper, judge, undo; returns whether exactly the expected code was found."""
        with act.tamper():
            verdict, _ = self.judge(model, act.policy, remeasure=act.remeasure)
        console.print(Text.assemble(("   $ ", "dim"), act.command), soft_wrap=True)
        print_findings(verdict.findings[:1], mends=True)
        if more := len(verdict.findings) - 1:
            console.print(Text(f"  and {more} more like it", style="dim"))
        console.print()
        return {each.code for each in verdict.findings} == {act.code}

    def show(self) -> dict[str, Any]:
        """The whole demo; returns what came out."""
        model = self.run()
        self._say("2  Does the model's lineage hold?")
        verdict, lineage = self.judge(model)
        print_verdict(verdict, lineage)
        if lineage is None:
            raise StateError("the demo's model has no lineage", mend="report this fault of Atlas")
        picture = self.draw(verdict, lineage)
        console.print(f"\n   The lineage as a picture: {picture}\n", soft_wrap=True)
        caught = {}
        for number, act in enumerate(acts(self.home, lineage), 3):
            self._say(f"{number}  {act.title}")
            caught[act.code.value] = self.perform(act, model)
        again, _ = self.judge(model, remeasure=True)
        self._say(f"All undone, and the model {'holds' if again.holds else 'does not hold'} again.")
        console.print(f"   Look around: cd {self.folder}; atlas lineage outputs/*/train/model", soft_wrap=True)
        return {
            "folder": str(self.folder),
            "picture": str(picture),
            "verdict": verdict.to_json(),
            "caught": caught,
            "ok": verdict.holds and again.holds and all(caught.values()),
        }

    def _say(self, line: str) -> None:
        console.print(Text(line, style="bold"), soft_wrap=True)


@click.command("try")
@click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where to make a folder."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def try_(into: Path, as_json: bool) -> int:
    """Show what Atlas does: run a pipeline, verify its model, break it in three ways, refuse it for production."""
    with console.capture() if as_json else contextlib.nullcontext():
        outcome = Demo(new_folder(into)).show()
    if as_json:
        click.echo(json.dumps(outcome, indent=2))
    elif not outcome["ok"]:
        click.echo("the demo did not go as it should", err=True)
    sys.stdout.flush()
    return 0 if outcome["ok"] else 1
