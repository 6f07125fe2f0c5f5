#!/usr/bin/env python3
"""Runs the documentation: every command of README.md and docs/, and of the pages of chart/ and samples/.

    dev/docs.sh [PAGE…]    all pages, or those named; dev/docs.sh installs what this needs

The blocks of a page are run in order by one shell, in an empty folder that has links to what lies at the top of the
repository. By their language:

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
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGES = ["README.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")), "chart/README.md",
         "samples/README.md"]
BLOCK = re.compile(r"^(?:<!-- (?P<mark>file|not run): (?P<value>.+?) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$",
                   re.MULTILINE | re.DOTALL)
# Longest that a page may take, in seconds.
PATIENCE = 120

CARGO = """#!/bin/bash
# `cargo run` is the program that was built; nothing else of cargo is for a page.
[ "$1" = run ] || { echo "error: cargo $1 is not run for pages" >&2; exit 1; }
while [ "$1" != -- ]; do shift; done
shift
exec agentevals "$@"
"""


@dataclass
class Command:
    """A command of a console block, and what the page says that it prints."""

    place: str
    shown: str
    printed: Path


class Page:
    """A page as a script, written block by block into a folder of its own."""

    def __init__(self, name: str, port: int, folder: Path) -> None:
        self.name, self.port, self.folder = name, port, folder
        self.script = ["set -euo pipefail", """trap 's=$?; [ $s = 0 ] || echo "error: $at: exit code $s" >&2' EXIT"""]
        self.commands: list[Command] = []
        self.passed_over: list[str] = []

    def read(self) -> None:
        """Adds every block."""
        page = (ROOT / self.name).read_text()
        for block in BLOCK.finditer(page):
            place = f"{self.name}:{page.count(chr(10), 0, block.start()) + 1}"
            if block["mark"] == "not run":
                self.passed_over.append(f"{place}: not run: {block['value']}")
                continue
            self.script.append(f"at={shlex.quote(place)}")
            self.add(place, block["language"], block["text"].replace("8001", str(self.port)), block)

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
            sys.exit(f"error: {place}: what is to be done with {language}?")

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
        self.commands.append(Command(f"{place}: $ {command}", shown, printed))
        self.script += ["set +e; unset CURL_HOME", f"{{ (exit ${{code:-0}}); {command}\n}} >{printed} 2>&1; code=$?",
                        f"set -e; export CURL_HOME={self.folder}"]

    def faults(self) -> list[str]:
        """What the commands printed and the page does not say."""
        found = []
        for command in self.commands:
            printed = command.printed.read_text() if command.printed.exists() else ""
            wanted = ".*?".join(re.escape(part) for part in without_times(command.shown).split("…"))
            if not re.fullmatch(wanted, without_times(printed).replace(str(self.port), "8001"), re.DOTALL):
                found.append(f"{command.place}\nprints\n{printed}\nand not\n{command.shown}")
        return found


def without_times(text: str) -> str:
    """Leaves the times out of tables of results, which are the last column: they differ from run to run."""
    return re.sub(r"(?m)^(  \[\w+\] .*?) +\d+(\.\d+)?m?s$", r"\1", text.rstrip("\n"))


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def prepare(folder: Path, needs_python: bool) -> dict[str, str]:
    """Fills the folder of a page, and answers with its environment."""
    programs, work = folder / "bin", folder / "work"
    (work / "target").mkdir(parents=True)
    programs.mkdir()
    # A server that refuses root is started below it.
    folder.chmod(0o711)
    for name in {path.split("/")[0] for path in subprocess.check_output(
            ["git", "ls-files"], cwd=ROOT, text=True).splitlines()}:
        (work / name).symlink_to(ROOT / name)
    (programs / "agentevals").symlink_to(Path(os.environ["AGENTEVALS_BIN"]).resolve())
    (programs / "cargo").write_text(CARGO)
    (programs / "cargo").chmod(0o755)
    (folder / ".curlrc").write_text("fail-with-body\n")
    if needs_python:
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AGENTEVALS_")}
    return {**variables, "PATH": f"{programs}:{folder}/venv/bin:{variables['PATH']}", "CURL_HOME": str(folder),
            "PIP_CONSTRAINT": str(ROOT / "dev/docs.txt"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def run(name: str) -> list[str]:
    """Runs a page; the faults are answered with, the rest is printed."""
    folder = Path(tempfile.mkdtemp(prefix="docs-"))
    page = Page(name, free_port(), folder)
    page.read()
    environment = {**prepare(folder, any("pip install" in step for step in page.script)), "AGENTEVALS_PORT": str(page.port)}
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
    # What it left running is its own process group.
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
