"""Helm as a library: renders the chart, and understands the arguments of `helm install` and `helm upgrade`."""

import argparse
import shlex
from pathlib import Path

import pytest
import yaml

# There is none for Macs with Intel processors.
helm = pytest.importorskip("helm_python")

ROOT = Path(__file__).parents[2]
CHART = ROOT / "packaging/helm/ferromcp"
REFUSED = (helm.HelmRenderError, helm.HelmValuesError)


class Unique(yaml.SafeLoader):
    """YAML without duplicate keys."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"duplicate keys: {keys}"
        return super().construct_mapping(node, deep)


class Release:
    """What a chart makes of values."""

    def __init__(self, values=None, name="ferromcp", namespace="tools"):
        with helm.Chart.load(CHART) as chart:
            texts = chart.render(values or {}, name=name, namespace=namespace)
        self.notes = next(text for file, text in texts.items() if file.endswith("NOTES.txt"))
        self.texts = {file.removeprefix("ferromcp/templates/"): text.strip("\n") + "\n"
                      for file, text in sorted(texts.items()) if text.strip() and not file.endswith("NOTES.txt")}  # fmt: skip
        self.documents = [
            document for text in self.texts.values() for document in yaml.load_all(text, Unique) if document is not None
        ]

    def all(self, kind: str) -> list[dict]:
        return [document for document in self.documents if document["kind"] == kind]

    def one(self, kind: str) -> dict:
        (document,) = self.all(kind)
        return document

    @property
    def pods(self) -> list[dict]:
        """The specifications of the Deployment's pods, and of the pod of `helm test`."""
        return [self.one("Deployment")["spec"]["template"]["spec"], *(pod["spec"] for pod in self.all("Pod"))]

    @property
    def configuration(self) -> str:
        return self.one("ConfigMap")["data"]["ferromcp.yaml"]


def merged(one: dict, other: dict) -> dict:
    """Values over values, as Helm lays them."""
    result = dict(one)
    for key, value in other.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


class Command:
    """`helm install` or `helm upgrade`, of a line in a shell. Files are relative to `directory`."""

    def __init__(self, line: str, directory: Path):
        parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
        parser.add_argument("verb", choices=["install", "upgrade"])
        parser.add_argument("name")
        parser.add_argument("chart", type=Path)
        parser.add_argument("--namespace", default="default")
        parser.add_argument("--create-namespace", action="store_true")
        parser.add_argument("--reuse-values", action="store_true")
        parser.add_argument("--set", action="append", default=[])
        parser.add_argument("--set-file", action="append", default=[])
        self.given = parser.parse_args(shlex.split(line)[1:])
        assert (ROOT / self.given.chart).resolve() == CHART
        self.values: dict = {}
        for expression in self.given.set:
            self.values = merged(self.values, helm.parse_set_string(expression))
        for expression in self.given.set_file:
            key, file = expression.split("=", 1)
            self.values = merged(self.values, helm.parse_set_file(f"{key}={directory / file}"))

    def release(self, before: dict | None = None) -> tuple[Release, dict]:
        """What it makes, and the values for the next one. `before`: those of the release that is there."""
        assert (before is None) == (self.given.verb == "install")
        values = merged(before, self.values) if before and self.given.reuse_values else self.values
        return Release(values, self.given.name, self.given.namespace), values
