#!/usr/bin/env python3
"""Runs the documentation: every command of README.md and docs/, and of the pages of chart/ and samples/.

    dev/docs.sh [PAGE…]    all pages, or those named; it installs the tools first

dev/clients.sh runs clients/README.md, for which it starts a service. One shell runs the blocks of a page in order, in
an empty folder with links to everything at the top of the repository. By their language:

    sh        is run and must succeed
    console   each line after `$ ` is run; what it prints must be what follows, where `…` stands for any text
    json      is parsed; an eval set must pass `agentevals validate`
    yaml      is parsed; a configuration must pass `agentevals validate`; `run:` lines of a CI job are run
    text      is only shown
    others    must be files

A comment above a block changes that: `<!-- file: NAME -->` writes it to a file first, and
`<!-- not run: REASON -->` passes over it. Port 8001 becomes one that is free; the program is the one of
AGENTEVALS_BIN, also where a page says `cargo run`. Requests of curl that are answered with an error fail, outside
of console blocks.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))
PAGES = ["README.md", *DOCS, "chart/README.md", "samples/README.md"]
BLOCK = re.compile(r"^(?:<!-- (?P<mark>file|not run): (?P<value>.+?) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
                   re.MULTILINE | re.DOTALL)
# Longest that a page may take, in seconds.
PATIENCE = 120

CARGO = """#!/bin/bash
# `cargo run` is the program that was built.
while [ "$1" != -- ]; do shift; done
shift
exec agentevals "$@"
"""


class Page:
    """A page as a script, written block by block into a folder of its own."""

    def __init__(self, name: str, port: int, folder: Path) -> None:
        self.name, self.port, self.folder = name, port, folder
        self.script = ["set -euo pipefail", """trap 's=$?; [ $s = 0 ] || echo "error: $at: exit code $s" >&2' EXIT"""]
        # Commands of console blocks: where each is, what is shown of it, the file that it prints to.
        self.commands: list[tuple[str, str, Path]] = []
        self.passed_over: list[str] = []

    def read(self) -> None:
        """Adds every block."""
        page = (ROOT / self.name).read_text()
        blocks = list(BLOCK.finditer(page))
        if len(blocks) * 2 != len(re.findall(r"^ *```", page, re.MULTILINE)):
            sys.exit(f"error: {self.name}: a block has no language, or is indented")
        for block in blocks:
            place = f"{self.name}:{page.count(chr(10), 0, block.start()) + 1}"
            if block["mark"] == "not run":
                self.passed_over.append(f"{place}: not run: {block['value']}")
                continue
            self.script.append(f"at={shlex.quote(place)}")
            try:
                self.add(place, block["language"], block["text"].replace("8001", str(self.port)), block)
            except (ValueError, yaml.YAMLError) as error:
                sys.exit(f"error: {place}: {error}")

    def add(self, place: str, language: str, text: str, block: re.Match[str]) -> None:
        """Adds one block."""
        if block["mark"] == "file":
            self.write(block["value"], text)
        if language == "sh":
            self.script.append(text)
        elif language == "console":
            for command in re.finditer(r"^\$ ((?:.*\\\n)*.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
                self.console(place, *command.groups())
        elif language == "json" and "eval_set_id" in json.loads(text):
            self.validate(block, "eval-set.json", text)
        elif language == "yaml":
            document = yaml.safe_load(text)
            if "evaluators" in document:
                self.validate(block, "evaluation.yaml", text)
            self.script += re.findall(r"^ *- run: (.*)$", text, re.MULTILINE)
        elif language not in ("json", "text") and block["mark"] != "file":
            sys.exit(f"error: {place}: {language} can only be run as a file")

    def write(self, name: str, text: str) -> None:
        """Writes a file when its turn comes."""
        kept = self.folder / f"block-{len(self.script)}"
        kept.write_text(text)
        self.script.append(f"cp {kept} {shlex.quote(name)}")

    def validate(self, block: re.Match[str], name: str, text: str) -> None:
        """Has a file checked that the program reads."""
        if block["mark"] != "file":
            self.write(name, text)
        self.script.append(f"agentevals validate {block['value'] or name}")

    def console(self, place: str, command: str, shown: str) -> None:
        """Runs a command that may fail, after which `$?` is its exit code, and keeps what it prints."""
        printed = self.folder / f"printed-{len(self.commands)}"
        self.commands.append((f"{place}: $ {command}", shown, printed))
        self.script += ["set +e; unset CURL_HOME", f"{{ (exit ${{code:-0}}); {command}\n}} >{printed} 2>&1; code=$?",
                        f"set -e; export CURL_HOME={self.folder}"]

    def faults(self) -> list[str]:
        """The commands that printed something else than the page shows."""
        found = []
        for place, shown, file in self.commands:
            printed = file.read_text() if file.exists() else ""
            wanted = ".*?".join(re.escape(part) for part in without_times(shown).split("…"))
            if not re.fullmatch(wanted, without_times(printed), re.DOTALL):
                found.append(f"{place}\nprints\n{printed}\nand not\n{shown}")
        return found


def without_times(text: str) -> str:
    """Leaves out the last column of tables of results, the time, which differs from run to run."""
    return re.sub(r"(?m)^(  \[\w+\] .*?) +\d+(\.\d+)?m?s$", r"\1", text.rstrip("\n"))


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def prepare(folder: Path, needs_python: bool) -> dict[str, str]:
    """Fills the folder of a page and returns its environment."""
    programs, work = folder / "bin", folder / "work"
    (work / "target").mkdir(parents=True)
    programs.mkdir()
    folder.chmod(0o711)  # PostgreSQL refuses root, and another user has to reach its data
    for entry in ROOT.iterdir():
        if entry.name != "target" and not entry.name.startswith("."):
            (work / entry.name).symlink_to(entry)
    (programs / "agentevals").symlink_to(Path(os.environ["AGENTEVALS_BIN"]).resolve())
    (programs / "cargo").write_text(CARGO)
    (programs / "cargo").chmod(0o755)
    (folder / ".curlrc").write_text("fail-with-body\n")
    if needs_python:
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    variables = {name: value for name, value in os.environ.items()
                 if not name.startswith("AGENTEVALS_") or name in ("AGENTEVALS_URL", "AGENTEVALS_TOKEN")}
    return {**variables, "PATH": f"{programs}:{folder}/venv/bin:{variables['PATH']}", "CURL_HOME": str(folder),
            "PIP_CONSTRAINT": f"{ROOT}/dev/docs.txt {ROOT}/dev/constraints.txt", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def run(name: str) -> list[str]:
    """Runs a page and returns its faults."""
    folder = Path(tempfile.mkdtemp(prefix="docs-"))
    page = Page(name, free_port(), folder)
    page.read()
    needs_python = any("pip install" in step for step in page.script)
    environment = {**prepare(folder, needs_python), "AGENTEVALS_PORT": str(page.port),
                   "AGENTEVALS_DEV_POSTGRES": "programs"}  # a container would stay behind
    script, log, started = folder / "script.sh", folder / "log", time.monotonic()
    script.write_text("\n".join(page.script))
    with log.open("w") as output:
        shell = subprocess.Popen(["bash", script], cwd=folder / "work", env=environment, stdin=subprocess.DEVNULL,
                                 stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    faults = []
    try:
        if shell.wait(PATIENCE) != 0:
            faults = [f"{name} fails:\n{log.read_text()}"]
    except subprocess.TimeoutExpired:
        faults = [f"{name} takes longer than {PATIENCE} s:\n{log.read_text()}"]
    # Background processes of the page are in the shell's process group.
    try:
        os.killpg(shell.pid, signal.SIGTERM)
        os.killpg(shell.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    shell.wait()
    if (folder / "work/target/dev-pg").exists():
        subprocess.run(["dev/postgres.sh", "down"], cwd=folder / "work", env=environment, check=True)
    faults += page.faults()
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{name}: {time.monotonic() - started:.0f} s", *page.passed_over, sep="\n  ", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit("\n".join(fault for page in sys.argv[1:] or PAGES for fault in run(page)) or None)
