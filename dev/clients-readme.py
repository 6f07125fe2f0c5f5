#!/usr/bin/env python3
"""Runs the code of clients/README.md in an empty folder, against the service of AGENTEVALS_URL.

`dev/clients.sh test` calls it, after generating the clients and starting a server.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
CLIENTS = ROOT / "clients"


def code(language: str) -> str:
    """The only code block of a language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```", (CLIENTS / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


def run(*command: str | Path, folder: Path, **variables: str) -> str:
    """Runs a command, which must succeed, and returns its output."""
    environment = {**os.environ, **variables}
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, timeout=300)
    if done.returncode != 0:
        sys.exit(f"error: `{' '.join(map(str, command))}` failed, as clients/README.md has it")
    return done.stdout


def check(language: str, printed: str) -> None:
    """Checks the output of a program: the run with its verdict, then its events."""
    first, *events = printed.split("\n")
    if not first.endswith(" passed") or "run.succeeded" not in events:
        sys.exit(f"error: the {language} code of clients/README.md printed:\n{printed}")
    print(f"clients/README.md: the {language} code works")


def main() -> None:
    """Installs each client as the page describes, and runs its program."""
    document = json.loads((ROOT / "openapi/agentevals.json").read_text())
    submission = document["components"]["schemas"]["RunSubmission"]["example"]
    del submission["runId"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "submission.json").write_text(json.dumps(submission))

        run("npm", "install", "--silent", CLIENTS / "typescript", folder=folder)
        (folder / "example.mjs").write_text(code("js"))
        check("TypeScript", run("node", "example.mjs", folder=folder))

        pip, site = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"), folder / "site"
        run(*pip, "--target", site, CLIENTS / "python", folder=folder)
        (folder / "example.py").write_text(code("python"))
        check("Python", run(sys.executable, "example.py", folder=folder, PYTHONPATH=str(site)))


if __name__ == "__main__":
    main()
