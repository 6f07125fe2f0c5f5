#!/usr/bin/env python3
"""Lists the changes of an OpenAPI 3.0 document that would break clients written for an earlier one.

    dev/openapi_breaking.py                 openapi/agentevals.json against the newest of openapi/released
    dev/openapi_breaking.py OLD.json NEW.json

The service must still accept everything that clients send, and clients must understand everything that it answers: so
schemas are compared in the direction in which values travel. Answers may have new members, but enumerations in answers
keep exactly their values: generated clients refuse new ones, and clients may wait for old ones. Exits with 1 and one
line for each difference, unless the version announces breaking changes (1.4.0 to 2.0.0, or 0.4.0 to 0.5.0). Without a
release there is nothing to compare with.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
LOWER_BOUNDS = ("minimum", "minLength", "minItems", "minProperties")
UPPER_BOUNDS = ("maximum", "maxLength", "maxItems", "maxProperties")


def breaking_changes(old: Json, new: Json) -> list[str]:
    """All changes that break clients of `old`, each with its place."""
    return list(dict.fromkeys(Comparison(old, new).paths()))


class Comparison:
    """Compares two documents. A schema that several places refer to is compared once in each direction."""

    def __init__(self, old: Json, new: Json) -> None:
        self.documents = (old, new)
        self.seen: set[tuple[object, ...]] = set()

    def paths(self) -> Iterator[str]:
        old, new = (document["paths"] for document in self.documents)
        for path, methods in old.items():
            for method in (method for method in METHODS if method in methods):
                place = f"{method.upper()} {path}"
                operation = new.get(path, {}).get(method)
                if operation is None:
                    yield f"{place}: removed"
                else:
                    yield from self.operation(methods[method], operation, place)

    def operation(self, old: Json, new: Json, place: str) -> Iterator[str]:
        if old.get("operationId") != new.get("operationId"):
            yield f"{place}: operation id `{old.get('operationId')}` became `{new.get('operationId')}`"
        if not old.get("security") and new.get("security"):
            yield f"{place}: needs authentication now"
        yield from self.parameters(old.get("parameters", []), new.get("parameters", []), place)
        yield from self.request(old.get("requestBody"), new.get("requestBody"), place)
        yield from self.responses(old["responses"], new["responses"], place)

    def parameters(self, old: list[Json], new: list[Json], place: str) -> Iterator[str]:
        before = {self.parameter_key(parameter, 0): self.resolve(parameter, 0) for parameter in old}
        after = {self.parameter_key(parameter, 1): self.resolve(parameter, 1) for parameter in new}
        for key, parameter in before.items():
            at = f"{place}: {key[0]} parameter `{key[1]}`"
            if key not in after:
                yield f"{at}: removed"
                continue
            if after[key].get("required") and not parameter.get("required"):
                yield f"{at}: required now"
            yield from self.schema(parameter.get("schema", {}), after[key].get("schema", {}), at, sent=True)
        for key, parameter in after.items():
            if key not in before and parameter.get("required"):
                yield f"{place}: {key[0]} parameter `{key[1]}`: new and required"

    def parameter_key(self, parameter: Json, which: int) -> tuple[str, str]:
        parameter = self.resolve(parameter, which)
        name = parameter["name"]
        return parameter["in"], name.lower() if parameter["in"] == "header" else name

    def request(self, old: Json | None, new: Json | None, place: str) -> Iterator[str]:
        before, after = self.resolve(old or {}, 0), self.resolve(new or {}, 1)
        if old and not new:
            yield f"{place}: request body: removed"
            return
        if after.get("required") and not before.get("required"):
            yield f"{place}: request body: required now"
        if old:
            yield from self.content(before, after, f"{place}: request body", sent=True)

    def responses(self, old: Json, new: Json, place: str) -> Iterator[str]:
        for status, response in old.items():
            at = f"{place}: answer {status}"
            if status not in new:
                yield f"{at}: removed"
                continue
            before, after = self.resolve(response, 0), self.resolve(new[status], 1)
            yield from self.content(before, after, at, sent=False)
            headers = {name.lower() for name in after.get("headers", {})}
            for name in before.get("headers", {}):
                if name.lower() not in headers:
                    yield f"{at}: header `{name}`: removed"

    def content(self, old: Json, new: Json, place: str, *, sent: bool) -> Iterator[str]:
        after = {media_type(kind): content for kind, content in new.get("content", {}).items()}
        for kind, content in old.get("content", {}).items():
            at = f"{place}: {media_type(kind)}"
            if media_type(kind) not in after:
                yield f"{at}: removed"
                continue
            for name in ("schema", "x-event-data"):
                yield from self.schema(content.get(name, {}), after[media_type(kind)].get(name, {}), at, sent=sent)

    def schema(self, old: Json, new: Json, place: str, *, sent: bool) -> Iterator[str]:
        """Differences in the direction of travel: values are `sent` by the client, else received by it."""
        names = reference(old), reference(new)
        old, new = self.flat(old, 0), self.flat(new, 1)
        if names[0] and names[1]:
            key = (names, old.get("nullable"), new.get("nullable"), sent)
            if key in self.seen:
                return
            self.seen.add(key)
            place = f"{names[0].rsplit('/', 1)[-1]} ({'in requests' if sent else 'in answers'})"
        changed = list(outside(old, new) if sent else outside(new, old))
        if not sent and "enum" in new and not set(old.get("enum", [])) <= set(new["enum"]):
            changed.append("values removed")
        if changed:
            yield f"{place}: {', '.join(changed)}: was {brief(old)}, is {brief(new)}"
            return
        yield from self.members(old, new, place, sent=sent)
        for name in ("items", "additionalProperties"):
            if isinstance(old.get(name), dict) and isinstance(new.get(name), dict):
                yield from self.schema(old[name], new[name], f"{place}/*", sent=sent)
        yield from self.choices(old, new, place, sent=sent)

    def members(self, old: Json, new: Json, place: str, *, sent: bool) -> Iterator[str]:
        before, after = old.get("properties", {}), new.get("properties", {})
        for name, member in before.items():
            if name not in after:
                yield f"{place}/{name}: removed"
            else:
                yield from self.schema(member, after[name], f"{place}/{name}", sent=sent)
        was, now = set(old.get("required", [])), set(new.get("required", []))
        if sent:
            yield from (f"{place}/{name}: required now" for name in sorted(now - was))
            if new.get("additionalProperties") is False and old.get("additionalProperties", True) is not False:
                yield f"{place}: other members are refused now"
        else:
            yield from (f"{place}/{name}: no longer always there" for name in sorted((was - now) & set(after)))

    def choices(self, old: Json, new: Json, place: str, *, sent: bool) -> Iterator[str]:
        """Compares the variants of unions, which are identified by their references, else by their order."""
        for kind in ("oneOf", "anyOf"):
            before, after = named(old.get(kind, [])), named(new.get(kind, []))
            if bool(before) != bool(after):
                yield f"{place}: {kind} {'removed' if before else 'added'}"
                continue
            missing, who = (before.keys() - after.keys(), "removed") if sent else (after.keys() - before.keys(), "new")
            yield from (f"{place}: variant {name}: {who}" for name in sorted(missing))
            for name in before.keys() & after.keys():
                yield from self.schema(before[name], after[name], f"{place}<{name}>", sent=sent)

    def flat(self, schema: Json, which: int) -> Json:
        """Resolves references, merges the parts of `allOf`, and turns null as a choice into `nullable`."""
        schema = self.resolve(schema, which)
        rest = {name: value for name, value in schema.items() if name not in ("allOf", "oneOf", "anyOf")}
        choice, nullable = only_choice(schema)
        # A union that has one variant left is still one.
        if choice and (nullable or "oneOf" in self.resolve(choice, which)):
            return {**self.flat(choice, which), **rest, **nullable}
        parts = schema.get("allOf")
        if not parts:
            return schema
        whole: Json = {}
        for part in [*parts, rest]:
            flat = self.flat(part, which)
            properties = {**whole.get("properties", {}), **flat.get("properties", {})}
            required = [*whole.get("required", []), *flat.get("required", [])]
            whole = {**whole, **flat, "properties": properties, "required": required}
        return whole

    def resolve(self, value: Json, which: int) -> Json:
        while "$ref" in value:
            target: Any = self.documents[which]
            for step in value["$ref"].removeprefix("#/").split("/"):
                target = target[step.replace("~1", "/").replace("~0", "~")]
            value = target
        return value


def only_choice(schema: Json) -> tuple[Json | None, Json]:
    """The only choice of a schema besides null, if there is just one; and whether it may be null."""
    choices: list[Json] = schema.get("oneOf") or schema.get("anyOf") or []
    something = [choice for choice in choices if choice.get("enum") != [None]]
    nullable = {"nullable": True} if len(something) < len(choices) else {}
    return (something[0] if len(something) == 1 else None), nullable


def reference(schema: Json) -> str | None:
    """The named schema that a schema refers to, whatever it adds to the reference."""
    parts = schema.get("allOf", [])
    target = parts[0] if len(parts) == 1 else only_choice(schema)[0] or schema
    return target.get("$ref")


def outside(written: Json, read: Json) -> Iterator[str]:
    """Reasons why the reader may refuse values of the writer, without their members and items."""
    types = (written.get("type"), read.get("type"))
    if "type" in read and types[0] != types[1] and types != ("integer", "number"):
        yield "type changed"
        return
    if "enum" in read and not set(written.get("enum", [object()])) <= set(read["enum"]):
        yield "values unknown to the reader"
    if written.get("nullable") and not read.get("nullable") and "type" in read:
        yield "null unknown to the reader"
    for name in ("format", "pattern", "uniqueItems"):
        if name in read and read[name] != written.get(name):
            yield f"{name} changed"
    for name in LOWER_BOUNDS:
        if name in read and written.get(name, -math.inf) < read[name]:
            yield f"{name} changed"
    for name in UPPER_BOUNDS:
        if name in read and written.get(name, math.inf) > read[name]:
            yield f"{name} changed"


def named(variants: list[Json]) -> dict[str, Json]:
    def name(at: int, variant: Json) -> str:
        return str(variant.get("$ref", f"#{at}")).rsplit("/", 1)[-1]

    return {name(at, variant): variant for at, variant in enumerate(variants)}


def media_type(text: str) -> str:
    return text.split(";")[0].strip().lower()


def brief(schema: Json) -> str:
    """The constraints of a schema on the value itself, for messages."""
    kept = ("type", "format", "enum", "nullable", "pattern", *LOWER_BOUNDS, *UPPER_BOUNDS)
    return json.dumps({name: schema[name] for name in kept if name in schema})


def version_of(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("-")[0].split("."))


def announces_breaks(old: str, new: str) -> bool:
    """Whether a step between versions allows breaking changes (semver)."""
    was, now = version_of(old), version_of(new)
    significant = 1 if was[0] else 2
    return now[:significant] > was[:significant]


def newest_release(folder: Path) -> Path | None:
    releases = folder.glob("agentevals-*.json")
    return max(releases, key=lambda path: version_of(path.stem.removeprefix("agentevals-")), default=None)


def main(arguments: list[str]) -> int:
    folder = Path(__file__).parent.parent / "openapi"
    if len(arguments) not in (0, 2):
        print(__doc__, file=sys.stderr)
        return 2
    old = Path(arguments[0]) if arguments else newest_release(folder / "released")
    new = Path(arguments[1]) if arguments else folder / "agentevals.json"
    if old is None:
        print("no release yet, so there is nothing to break")
        return 0
    documents = [json.loads(path.read_text()) for path in (old, new)]
    versions = [document["info"]["version"] for document in documents]
    changes = breaking_changes(*documents)
    for change in changes:
        print(change)
    if changes and announces_breaks(*versions):
        print(f"{len(changes)} breaking changes, which the step from {versions[0]} to {versions[1]} announces")
        return 0
    if changes:
        print(f"error: {len(changes)} breaking changes against `{old}`; keep what clients use, or raise the version")
        return 1
    print(f"no breaking change from {versions[0]} to {versions[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
