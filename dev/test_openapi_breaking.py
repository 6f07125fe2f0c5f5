"""Tests of the check for breaking changes, on small documents."""

from __future__ import annotations

import copy
import json
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path

from openapi_breaking import Json, announces_breaks, breaking_changes, main, newest_release

REF = {"$ref": "#/components/schemas/Run"}
NULL = {"type": "object", "enum": [None], "nullable": True}
DOCUMENT: Json = {
    "info": {"version": "0.1.0"},
    "paths": {
        "/runs": {
            "post": {
                "operationId": "submit_run",
                "parameters": [{"in": "header", "name": "Prefer", "schema": {"type": "string"}}],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Submission"}}},
                },
                "responses": {
                    "202": {
                        "headers": {"Location": {}},
                        "content": {"application/json; charset=utf-8": {"schema": REF}},
                    },
                    "409": {"content": {"application/problem+json": {"schema": {"type": "object"}}}},
                },
            },
            "get": {
                "operationId": "list_runs",
                "parameters": [{"in": "query", "name": "limit", "schema": {"type": "integer", "maximum": 100}}],
                "responses": {
                    "200": {"content": {"text/event-stream": {"schema": {"type": "string"}, "x-event-data": REF}}}
                },
            },
        },
    },
    "components": {
        "schemas": {
            "Run": {
                "type": "object",
                "required": ["id", "status"],
                "properties": {
                    "id": {"type": "string", "format": "uuid"},
                    "status": {"type": "string", "enum": ["queued", "done"]},
                    "parent": {"oneOf": [REF, NULL]},
                    "scores": {"type": "array", "items": {"type": "integer"}},
                },
            },
            "Submission": {
                "type": "object",
                "required": ["target"],
                "properties": {
                    "target": {
                        "oneOf": [{"$ref": "#/components/schemas/Inline"}, {"$ref": "#/components/schemas/Http"}]
                    },
                    "mode": {"type": "string", "enum": ["strict", "lenient"]},
                    "label": {"allOf": [{"$ref": "#/components/schemas/Label"}]},
                },
            },
            "Inline": {"type": "object", "properties": {"text": {"type": "string"}}},
            "Http": {"type": "object", "properties": {"url": {"type": "string"}}},
            "Label": {"type": "string", "maxLength": 10},
        }
    },
}


def changed(change: Callable[[Json], object]) -> list[str]:
    """The breaking changes that the check finds after a change of the document."""
    new = copy.deepcopy(DOCUMENT)
    change(new)
    return breaking_changes(DOCUMENT, new)


def submit(document: Json) -> Json:
    operation: Json = document["paths"]["/runs"]["post"]
    return operation


def listing(document: Json) -> Json:
    operation: Json = document["paths"]["/runs"]["get"]
    return operation


def stream(document: Json) -> Json:
    content: Json = listing(document)["responses"]["200"]["content"]["text/event-stream"]
    return content


def schema(document: Json, name: str) -> Json:
    found: Json = document["components"]["schemas"][name]
    return found


def run(document: Json) -> Json:
    members: Json = schema(document, "Run")["properties"]
    return members


def submission(document: Json) -> Json:
    members: Json = schema(document, "Submission")["properties"]
    return members


class Breaking(unittest.TestCase):
    """Each breaking change is reported once, with its place."""

    def check(self, expected: str, change: Callable[[Json], object]) -> None:
        changes = changed(change)
        self.assertEqual(len(changes), 1, changes)
        self.assertIn(expected, changes[0])

    def test_operations(self) -> None:
        self.check("POST /runs: removed", lambda new: new["paths"]["/runs"].pop("post"))
        self.check("operation id `submit_run` became `submit`", lambda new: submit(new).update(operationId="submit"))
        self.check("POST /runs: needs authentication", lambda new: submit(new).update(security=[{"bearer": []}]))

    def test_parameters(self) -> None:
        parameter = {"in": "query", "name": "new", "required": True, "schema": {"type": "string"}}
        self.check("header parameter `prefer`: removed", lambda new: submit(new)["parameters"].clear())
        self.check("query parameter `new`: new and required", lambda new: submit(new)["parameters"].append(parameter))
        self.check(
            "query parameter `limit`: required now", lambda new: listing(new)["parameters"][0].update(required=True)
        )
        self.check(
            "query parameter `limit`: maximum changed",
            lambda new: listing(new)["parameters"][0]["schema"].update(maximum=50),
        )

    def test_requests(self) -> None:
        at = "Submission (in requests)"
        self.check(f"{at}/mode: required now", lambda new: schema(new, "Submission")["required"].append("mode"))
        self.check(f"{at}/mode: removed", lambda new: submission(new).pop("mode"))
        self.check(f"{at}/mode: values unknown to the reader", lambda new: submission(new)["mode"]["enum"].pop())
        self.check(f"{at}/target: variant Http: removed", lambda new: submission(new)["target"]["oneOf"].pop())
        self.check("Label (in requests): maxLength changed", lambda new: schema(new, "Label").update(maxLength=5))
        self.check("Label (in requests): pattern changed", lambda new: schema(new, "Label").update(pattern="^a"))
        closed = {"additionalProperties": False}
        self.check("Inline (in requests): other members", lambda new: schema(new, "Inline").update(closed))
        self.check("POST /runs: request body: removed", lambda new: submit(new).pop("requestBody"))

    def test_answers(self) -> None:
        at = "Run (in answers)"
        self.check("POST /runs: answer 409: removed", lambda new: submit(new)["responses"].pop("409"))
        self.check("header `Location`: removed", lambda new: submit(new)["responses"]["202"].pop("headers"))
        self.check(f"{at}/id: removed", lambda new: run(new).pop("id"))
        self.check(f"{at}/id: no longer always there", lambda new: schema(new, "Run")["required"].remove("id"))
        self.check(f"{at}/id: type changed", lambda new: run(new)["id"].update(type="integer"))
        self.check(f"{at}/id: null unknown", lambda new: run(new)["id"].update(nullable=True))
        self.check(f"{at}/status: values unknown", lambda new: run(new)["status"]["enum"].append("lost"))
        self.check(f"{at}/status: values removed", lambda new: run(new)["status"]["enum"].remove("queued"))
        self.check(f"{at}/scores/*: type changed", lambda new: run(new)["scores"]["items"].update(type="number"))
        data = {"x-event-data": {"type": "string"}}
        self.check("text/event-stream: type changed", lambda new: stream(new).update(data))


class Harmless(unittest.TestCase):
    """Changes that clients need not notice are not reported."""

    def check(self, change: Callable[[Json], object]) -> None:
        self.assertEqual(changed(change), [])

    def test_nothing(self) -> None:
        self.check(lambda new: None)

    def test_more_of_everything(self) -> None:
        parameter = {"in": "query", "name": "new", "schema": {"type": "string"}}
        self.check(lambda new: new["paths"].update({"/more": {"get": listing(DOCUMENT)}}))
        self.check(lambda new: submit(new)["parameters"].append(parameter))
        self.check(lambda new: submit(new)["responses"].update({"500": {}}))
        self.check(lambda new: run(new).update(more={"type": "string"}))
        self.check(lambda new: submission(new).update(more={"type": "string"}))
        self.check(lambda new: submission(new)["mode"]["enum"].append("lax"))
        self.check(lambda new: submission(new)["mode"].update(nullable=True))

    def test_other_words_for_the_same(self) -> None:
        content = {"application/json": {"schema": REF}}
        nullable = {"allOf": [REF], "nullable": True}
        self.check(lambda new: submit(new)["responses"]["202"].update(content=content))
        self.check(lambda new: run(new).update(parent=nullable))
        self.check(
            lambda new: submission(new).update(target={"oneOf": [{"oneOf": submission(new)["target"]["oneOf"]}]})
        )
        self.check(lambda new: submission(new).update(label={"type": "string", "maxLength": 10}))


class Releases(unittest.TestCase):
    """The choice of the released document, and the changes that a version allows."""

    def test_steps_of_versions(self) -> None:
        for old, new, expected in [
            ("0.1.0", "0.1.9", False),
            ("0.1.0", "0.2.0", True),
            ("0.9.0", "1.0.0", True),
            ("1.0.0", "1.9.0", False),
            ("1.9.0", "2.0.0-rc.1", True),
        ]:
            self.assertEqual(announces_breaks(old, new), expected, (old, new))

    def test_the_newest_release_by_number(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.assertIsNone(newest_release(folder / "missing"))
            self.assertIsNone(newest_release(folder))
            for version in ("0.9.0", "0.10.0", "0.2.0"):
                (folder / f"agentevals-{version}.json").touch()
            self.assertEqual(newest_release(folder), folder / "agentevals-0.10.0.json")

    def test_exit_codes(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            old, new = Path(name) / "old.json", Path(name) / "new.json"
            old.write_text(json.dumps(DOCUMENT))
            for version, paths, expected in [
                ("0.1.1", DOCUMENT["paths"], 0),
                ("0.1.1", {}, 1),
                ("0.2.0", {}, 0),
            ]:
                new.write_text(json.dumps({**DOCUMENT, "info": {"version": version}, "paths": paths}))
                self.assertEqual(main([str(old), str(new)]), expected)
            self.assertEqual(main([str(old)]), 2)


if __name__ == "__main__":
    unittest.main()
