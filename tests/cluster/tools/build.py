#!/usr/bin/env python3
"""Build the real servers that the cluster tests run, from pinned Go modules; fetch a PKCS#11 token from Debian.

Each folder beside this file is a Go module that pins one program by go.mod and go.sum. This script builds
what is missing into a cache outside the repository, and writes nothing inside the repository. The cache is
$ATLAS_TOOLS_CACHE, else $XDG_CACHE_HOME/atlas/tools, else ~/.cache/atlas/tools. A program lives there in
<name>-<version>-<hash of go.mod and go.sum>/, so a changed pin is a new folder, and that folder is put in its
place by one rename, so an interrupted build leaves no half of one.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
XDG_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
CACHE = Path(os.environ.get("ATLAS_TOOLS_CACHE") or XDG_CACHE / "atlas" / "tools").expanduser().absolute()


class BuildError(Exception):
    """A failure, in words for the person who ran the build."""


class Tool(NamedTuple):
    """One program. `name` is its folder here; `stamp` holds the linker flags that tell it its version."""

    name: str
    module: str
    command: str  # the folder of the main package in the module
    binary: str
    stamp: str = ""

    def pinned(self, pattern: str) -> str:
        """Return what `pattern` captures in go.mod."""
        found = re.search(pattern, (HERE / self.name / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
        if found is None:
            raise BuildError(f"{self.name}: nothing in go.mod matches {pattern}")
        return found[1]

    def version(self) -> str:
        """Return the version that go.mod pins."""
        return self.pinned(rf"\s{re.escape(self.module)} (v\S+)")

    def path(self) -> Path:
        """Return where the program is, or would be, in the cache."""
        pins = b"".join((HERE / self.name / file).read_bytes() for file in ("go.mod", "go.sum"))
        return CACHE / f"{self.name}-{self.version()}-{hashlib.sha256(pins).hexdigest()[:12]}" / self.binary


class DebianTool(NamedTuple):
    """A library that the machine has, or else the files of Debian packages, which nobody installs."""

    name: str
    packages: tuple[str, ...]
    file: str  # below /, or below the folder in the cache

    def version(self) -> str:
        """Return where it comes from; the machine's own release of Debian chooses its version."""
        return "system" if (Path("/") / self.file).is_file() else "debian"

    def path(self) -> Path:
        """Return where the library is, or would be, in the cache."""
        installed = Path("/") / self.file
        return installed if installed.is_file() else CACHE / f"{self.name}-debian" / self.file


KUBE = "-X k8s.io/component-base/version"
KUBE_STAMP = f"{KUBE}.gitVersion={{version}} {KUBE}.gitMajor={{major}} {KUBE}.gitMinor={{minor}}"
HELM_STAMP = "-X helm.sh/helm/v4/internal/version.version={version}"
COSIGN_STAMP = "-X sigs.k8s.io/release-utils/version.gitVersion={version}"
TOOLS = (
    Tool("etcd", "go.etcd.io/etcd/server/v3", "", "etcd"),
    Tool("kubernetes", "k8s.io/kubernetes", "/cmd/kube-apiserver", "kube-apiserver", KUBE_STAMP),
    Tool("helm", "helm.sh/helm/v4", "/cmd/helm", "helm", HELM_STAMP),
    Tool("rekor", "github.com/sigstore/rekor-tiles/v2", "/cmd/rekor-server/posix", "rekor-server-posix"),
    Tool("cosign", "github.com/sigstore/cosign/v3", "/cmd/cosign", "cosign", COSIGN_STAMP),
)


SOFTHSM = DebianTool("softhsm", ("libsofthsm2", "softhsm2"), "usr/lib/softhsm/libsofthsm2.so")
ALL: tuple[Tool | DebianTool, ...] = (*TOOLS, SOFTHSM)


def numbers(version: str) -> list[int]:
    """Return the numbers in a version."""
    return [int(part) for part in re.findall(r"\d+", version)]


def go_build(tool: Tool, work: Path) -> None:
    """Build one program inside `work`, then rename its folder into its place."""
    env = {key: value for key, value in os.environ.items() if key not in ("GOOS", "GOARCH")}
    env |= {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    env |= {"GOTOOLCHAIN": "local", "GOTMPDIR": str(work)}
    needed, found = tool.pinned(r"^go (\S+)"), "not on PATH"
    if shutil.which("go"):
        found = subprocess.check_output(["go", "env", "GOVERSION"], env=env, text=True).strip()
    if numbers(found) < numbers(needed):
        raise BuildError(f"{tool.name}: Go {needed} or newer is needed, and `go` is {found}")

    major, minor, *_ = numbers(tool.version())
    flags = "-s -w " + tool.stamp.format(version=tool.version(), major=major, minor=minor)
    command = ["go", "build", "-C", str(HERE / tool.name), "-trimpath", "-ldflags", flags]
    command += ["-o", str(work / "out" / tool.binary), tool.module + tool.command]
    log, target = CACHE / f"{tool.name}.log", tool.path().parent
    with log.open("w") as output:
        status = subprocess.run(command, env=env, stdout=output, stderr=output, check=False).returncode
    if status != 0:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
        raise BuildError("\n  ".join([f"{tool.name}: go build failed, see {log}; its last lines:", *tail]))
    shutil.rmtree(target, ignore_errors=True)  # there only if someone took the program out of it
    (work / "out").rename(target)


def debian_fetch(tool: DebianTool, work: Path) -> None:
    """Unpack Debian packages inside `work`, then rename that folder into its place."""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise BuildError(f"{tool.name}: install it with this system's own package manager; it has no apt-get")
    log, target = CACHE / f"{tool.name}.log", CACHE / f"{tool.name}-debian"
    with log.open("w") as output:
        for command in (
            ["apt-get", "download", *tool.packages],
            ["sh", "-c", "for each in *.deb; do dpkg -x $each out || exit 1; done"],
        ):
            if subprocess.run(command, cwd=work, stdout=output, stderr=output, check=False).returncode != 0:
                raise BuildError(f"{tool.name}: {command[0]} failed, see {log}; is `apt-get update` due?")
    shutil.rmtree(target, ignore_errors=True)
    (work / "out").rename(target)


def build(tool: Tool | DebianTool) -> None:
    """Build one program while no other process builds into this cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left_by_killed in CACHE.glob(".build-*"):
            shutil.rmtree(left_by_killed)
        work = CACHE / f".build-{os.getpid()}"
        work.mkdir()
        try:
            if not tool.path().is_file():  # it may have been built while this process waited
                debian_fetch(tool, work) if isinstance(tool, DebianTool) else go_build(tool, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def main() -> None:
    """Do what the command line asks."""
    parser = argparse.ArgumentParser(description="Build the real servers that the cluster tests run.")
    parser.add_argument("--list", action="store_true", help="print {name: path or null}; build nothing")
    parser.add_argument("--only", choices=[tool.name for tool in ALL], help="this one alone")
    options = parser.parse_args()
    tools = [tool for tool in ALL if options.only in (None, tool.name)]
    if options.list:
        print(json.dumps({tool.name: str(tool.path()) if tool.path().is_file() else None for tool in tools}))
        return
    for tool in tools:
        start, took = time.monotonic(), "cached"
        if not tool.path().is_file():
            print(f"{tool.name} {tool.version()}: building", file=sys.stderr, flush=True)
            build(tool)
            took = f"{time.monotonic() - start:.0f} s"
        size = tool.path().stat().st_size / 2**20
        print(f"{tool.name:10} {tool.version():8} {size:6.1f} MiB  {took}", flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("build.py: interrupted")
    except (BuildError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"build.py: {error}")
