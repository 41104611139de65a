"""`atlas log watch`: what it prints, how it ends, and what it does about logs that are away."""

import json
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from atlas import logs
from atlas.home import open_home
from atlas.log import EmbeddedLog
from atlas.logs import own_log
from integration.cli.cli_support import Answer, Here, finish, interrupt_at_default, start
from integration.cli.test_cli_log_use import ORIGIN, Other, other, use
from support.rekor1 import Rekor1Double
from support.rekor1 import serving as serving_rekor
from unit.log.watch_support import bodies, stranger

__all__ = ["other"]  # a fixture

FIELDS = {"time", "origin", "code", "message", "expected", "found", "mend", "checkpoints", "evidence"}


def alarms(answer: Answer) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in answer.out.splitlines()]
    for each in found:
        assert each.keys() == FIELDS
        assert json.loads(Path(each["evidence"]).read_text())["code"] == each["code"]
    return found


def codes(answer: Answer) -> list[str]:
    return [each["code"] for each in alarms(answer.expect(1))]


def log_of(atlas: Here) -> EmbeddedLog:
    return own_log(open_home(atlas.home))


def copied(atlas: Here, name: str = "old.sqlite3") -> Path:
    """The home's log as it is now."""
    path = atlas.folder / name
    with closing(sqlite3.connect(atlas.home / "log.sqlite3")) as source, closing(sqlite3.connect(path)) as target:
        source.backup(target)
    return path


def put_back(atlas: Here, copy: Path) -> None:
    for each in atlas.home.glob("log.sqlite3*"):
        each.unlink()
    shutil.copy(copy, atlas.home / "log.sqlite3")


def test_a_log_that_keeps_its_promises(atlas: Here) -> None:
    atlas("log", "watch").expect(0, "0 entries", "nothing is wrong")
    atlas.signed("a.csv", "a")
    first = atlas("log", "watch").expect(0, "1 entries, 1 looked at, nothing is wrong", "trusted as it is")
    assert first.out == ""
    atlas.signed("b.csv", "b")
    second = atlas("log", "watch").expect(0, "2 entries, 1 looked at, nothing is wrong")
    assert "trusted as it is" not in second.err
    atlas("log", "watch", "--audit").expect(0, "2 entries, 2 looked at")


def test_an_older_copy_of_the_log_is_put_back(atlas: Here) -> None:
    atlas.signed("a.csv", "a")
    atlas("log", "watch").expect(0)
    old = copied(atlas)
    atlas.signed("b.csv", "b")
    atlas("log", "watch").expect(0)
    put_back(atlas, old)
    for _ in range(2):
        answer = atlas("log", "watch").expect(1, "1 alarms")
        assert codes(answer) == ["LogRolledBack"]
        assert len(alarms(answer)[0]["checkpoints"]) == 2
    atlas.signed("c.csv", "c")
    assert codes(atlas("log", "watch")) == ["CheckpointInconsistent", "LogEntryLost"]


def test_a_log_is_deleted(atlas: Here) -> None:
    atlas.signed()
    atlas("log", "watch").expect(0)
    for each in atlas.home.glob("log.sqlite3*"):
        each.unlink()
    assert codes(atlas("log", "watch")) == ["LogRolledBack"]


def test_somebody_signs_with_our_authority(atlas: Here) -> None:
    atlas.signed()
    issuer = open_home(atlas.home).issuer()
    with log_of(atlas) as log:
        log.append(bodies(stranger("stolen", issuer), stranger("not ours")))
    assert codes(atlas("log", "watch")) == ["LogEntryUnknown"]
    name = json.loads((atlas.home / "trust.json").read_text())["spec"]["authorities"][0]["name"]
    assert codes(atlas("log", "watch", "--authority", name)) == ["LogEntryUnknown"]
    atlas("log", "watch", "--authority", "nobody").refused("has no such authority", "atlas keys list")
    atlas("log", "watch", "--accept", 9).refused("entry 9 cannot be accepted", "that the alarm names")
    atlas("log", "watch", "--accept", 1).expect(0, "nothing is wrong")
    atlas("log", "watch").expect(0)


def test_checkpoints_that_others_have(atlas: Here) -> None:
    atlas.signed("a.csv", "a")
    early = atlas.file("early", atlas("log", "checkpoint").expect(0).out)
    old = copied(atlas)
    atlas.signed("b.csv", "b")
    ours = atlas.file("ours", atlas("log", "checkpoint").expect(0).out)
    first = atlas("log", "watch", "--compare", early, "--expect-checkpoint", early).expect(0)
    assert "trusted as it is" not in first.err
    put_back(atlas, old)
    shutil.rmtree(atlas.home / "watch")
    assert codes(atlas("log", "watch", "--expect-checkpoint", ours)) == ["LogRolledBack"]
    with log_of(atlas) as log:
        log.append(bodies(stranger("another history")))
    assert "CheckpointInconsistent" in codes(atlas("log", "watch", "--compare", ours))


def test_checkpoints_that_are_none(atlas: Here) -> None:
    atlas.signed()
    note = atlas("log", "checkpoint").expect(0).out
    origin = note.split("\n")[0]
    forged = atlas.file("forged", note.replace("\n1\n", "\n2\n"))
    atlas("log", "watch", "--compare", forged).refused("does not verify")
    atlas("log", "watch", "--expect-checkpoint", forged).refused("does not verify")
    atlas("log", "watch", "--compare", atlas.file("other", "log.other\n")).refused("not a checkpoint of a log", origin)
    atlas("log", "watch", "--compare", atlas.folder / "missing").expect(2, "No such file")


def test_what_was_kept_is_damaged(atlas: Here) -> None:
    atlas.signed()
    atlas("log", "watch").expect(0)
    [state] = (atlas.home / "watch").glob("*.json")
    state.write_bytes(state.read_bytes()[:-20])
    answer = atlas("log", "watch").expect(2, "could not be watched", "is damaged", "mend: ", "--expect-checkpoint")
    assert answer.out == ""


@pytest.mark.parametrize("age", ["soon", "10s", "-1h", ""])
def test_what_is_no_age(atlas: Here, age: str) -> None:
    atlas("log", "watch", f"--max-age={age}").refused("--max-age", "30m")


def test_a_log_elsewhere_and_the_homes_own(atlas: Here, other: Other, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PATIENCE", 0.5)
    atlas.signed("own.csv", "own")
    use(atlas, other)
    atlas.signed("there.csv", "there")
    answer = atlas("log", "watch").expect(0, f"{ORIGIN}: 2 entries", "1 of these unreadable", "1 entries")
    assert answer.err.count("✓") == 2
    other.down()
    atlas("log", "watch").expect(2, f"{ORIGIN} could not be watched", other.url, "✓")
    atlas("log", "watch", "--origin", ORIGIN).expect(2, "could not be watched")
    atlas("log", "watch", "--accept", "0").refused("--origin")
    atlas("log", "watch", "--origin", "log.nowhere").refused("no log whose place is known")
    put_back(atlas, atlas.file("nothing", b""))
    answer = atlas("log", "watch").expect(1, "could not be watched", "1 alarms")
    assert codes(answer) == ["LogRolledBack"], "an alarm of one log counts for more than another's absence"
    other.up()
    own = next(each for each in trusted(atlas) if each != ORIGIN)
    atlas("log", "watch", "--origin", ORIGIN).expect(0)
    assert codes(atlas("log", "watch", "--origin", own)) == ["LogRolledBack"]


def test_a_log_that_is_closed_is_watched_on(atlas: Here) -> None:
    atlas.signed("before.csv", "before")
    [closed] = trusted(atlas)
    atlas("keys", "rotate", "--log").expect(0)
    atlas.signed("after.csv", "after")
    answer = atlas("log", "watch", "--max-age", "1m").expect(0, f"{closed}: 1 entries")
    assert answer.err.count("✓") == 2
    (atlas.home / "log.sqlite3").unlink()
    atlas("log", "watch", "--origin", closed).refused("no log whose place is known")


def test_a_log_elsewhere_that_stands_still(atlas: Here, other: Other) -> None:
    atlas.signed("own.csv", "own")
    use(atlas, other)
    atlas("log", "watch", "--max-age", "0m").expect(0)
    [alarm] = alarms(atlas("log", "watch", "--max-age", "0m").expect(1))
    assert (alarm["code"], alarm["origin"]) == ("LogStale", ORIGIN), "nothing is expected of the home's own"
    atlas("log", "watch", "--max-age", "1h").expect(0)
    atlas("log", "watch").expect(0)


def trusted(atlas: Here) -> list[str]:
    return [each["origin"] for each in json.loads((atlas.home / "trust.json").read_text())["spec"]["logs"]]


def test_a_log_that_nobody_has_said_the_place_of(atlas: Here, other: Other) -> None:
    use(atlas, other)
    atlas("log", "use", "own").expect(0)
    atlas("log", "watch").expect(0, f"{ORIGIN} is not watched")
    document = json.loads((atlas.home / "trust.json").read_text())
    document["spec"]["logs"] = document["spec"]["logs"][1:]
    (atlas.home / "trust.json").write_text(json.dumps(document))
    atlas("log", "watch").expect(2, "pins no log whose place is known")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("wrong", [False, True])
def test_looking_until_told(atlas: Here, how: signal.Signals, wrong: bool) -> None:
    atlas.signed()
    atlas("log", "watch").expect(0)
    if wrong:
        put_back(atlas, atlas.file("nothing", b""))
    process = start(atlas.folder, "log", "watch", "--interval", "0.05", setup=interrupt_at_default)
    assert process.stderr
    seen = [process.stderr.readline() for _ in range(3)]
    assert len([each for each in seen if "entries" in each]) == 3
    os.kill(process.pid, how)
    finish(process).expect(1 if wrong else 0)
    atlas("log", "watch").expect(1 if wrong else 0)


def test_a_log_of_rekor_v1(atlas: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "PATIENCE", 0.2)
    atlas("init").expect(0)
    log = Rekor1Double()
    with serving_rekor(log) as server:
        key = atlas.file("log.pem", log.pem)
        atlas("log", "use", "rekor1", "--url", server.url, "--origin", log.origin, "--public-key", key).expect(0)
        atlas.signed("a.csv", "a")
        atlas("log", "watch").expect(0, "3 entries, 1 of ours looked for, nothing is wrong", "cannot be looked for")
        note = atlas.file("note", log.checkpoint())
        atlas("log", "watch", "--compare", note, "--origin", log.origin).expect(0)
        atlas("log", "watch", "--accept", "0", "--origin", log.origin).expect(2, "not looked for")
        server.log = Rekor1Double(log.origin, log.key)
        assert codes(atlas("log", "watch")) == ["LogRolledBack"]
    atlas("log", "watch").expect(2, f"{log.origin} could not be watched")
