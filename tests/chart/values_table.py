"""The table of values in chart/README.md, made from chart/values.yaml; run as a program, it writes it."""

import re

from support import CHART

README = CHART / "README.md"
BEGIN, END = "<!-- values: written by `just chart-docs` -->\n", "<!-- end of values -->\n"
LINE = re.compile(r"^( *)([A-Za-z]+):(?: +(.*))?$")


def rows(text):
    """(path, default, description) of every line of the values file that names a value."""
    path, comment = [], []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.lstrip("# "))
            continue
        match = LINE.match(line)
        if match:
            depth, name, default = len(match[1]) // 2, match[2], match[3]
            path[depth:] = [name]
            if default is not None or comment:
                yield ".".join(path), default, " ".join(comment)
        else:
            assert not stripped, f"values.yaml: {line!r} is no line that the table can show"
        comment = []


def table():
    lines = ["| value | default | meaning |", "|---|---|---|"]
    for path, default, description in rows((CHART / "values.yaml").read_text()):
        shown = "" if default is None else f"`{default}`"
        lines.append(f"| `{path}` | {shown} | {description.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


def with_table(readme):
    """The text of README.md with the table as it should be."""
    before, rest = readme.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    README.write_text(with_table(README.read_text()))
