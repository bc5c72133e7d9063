"""The package as it would be published."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import ferromcp
from support import Server

HERE = Path(__file__).resolve().parent.parent


def run(*arguments: str | Path) -> str:
    done = subprocess.run([sys.executable, *map(str, arguments)], cwd=HERE, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    run("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "-w", directory, ".")
    (built,) = directory.iterdir()
    return built


def test_types_are_strict() -> None:
    run("-m", "mypy", "--cache-dir", "/dev/null", "--no-error-summary")


def test_the_wheel_has_the_modules_their_types_and_nothing_else(wheel: Path) -> None:
    assert wheel.name == f"ferromcp-{ferromcp.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    modules = {f"ferromcp/{file.name}" for file in (HERE / "src/ferromcp").glob("*.py")}
    about = f"ferromcp-{ferromcp.__version__}.dist-info"
    assert names == modules | {"ferromcp/py.typed"} | {f"{about}/{name}" for name in ("METADATA", "RECORD", "WHEEL")}
    assert wheel.stat().st_size < 40_000


def test_the_wheel_needs_httpx_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        metadata = Parser().parsestr(packed.read(f"ferromcp-{ferromcp.__version__}.dist-info/METADATA").decode())
    assert metadata.get_all("Requires-Dist") == ["httpx<1,>=0.27"]
    assert (metadata["Requires-Python"], metadata["License-Expression"]) == (">=3.10", "Apache-2.0")


def test_the_wheel_works_without_its_sources(wheel: Path, server: Server) -> None:
    code = "import sys; sys.path[0] = sys.argv[1]; import ferromcp; print(ferromcp.__file__);"
    code += "print(ferromcp.Client(sys.argv[2]).call_tool('echo', {'msg': 'hi'}).output)"
    file, said = run("-c", code, wheel, server.url).splitlines()
    assert file.startswith(str(wheel)) and said == "hi"


def test_versions_agree() -> None:
    cargo = re.search(r'^version = "(.+)"$', (HERE.parents[1] / "Cargo.toml").read_text(), re.MULTILINE)
    assert cargo is not None and ferromcp.__version__ == cargo[1]


def test_all_that_is_named_is_there() -> None:
    for name in ferromcp.__all__:
        getattr(ferromcp, name)


def test_both_clients_have_the_same_surface() -> None:
    def surface(client: type) -> dict[str, list[str]]:
        methods = {name: method for name, method in vars(client).items() if not name.startswith("_") and name not in ("close", "aclose")}
        return {name: [one for one in inspect.signature(method).parameters if one != "cancel"] for name, method in methods.items()}

    assert surface(ferromcp.Client) == surface(ferromcp.AsyncClient)


def test_the_errors_are_those_of_the_typescript_sdk() -> None:
    other = (HERE.parent / "typescript/src/errors.ts").read_text()
    theirs = set(re.findall(r"export class (\w+Error) ", other))
    ours = {name for name in ferromcp.__all__ if name.endswith("Error")}
    assert ours == theirs


def test_what_is_told_of_usage_is_named_as_in_the_typescript_sdk() -> None:
    other = re.sub(r"/\*\*.*?\*/", "", (HERE.parent / "typescript/src/types.ts").read_text(), flags=re.DOTALL)
    for ours in (ferromcp.Usage, ferromcp.RateUsage, ferromcp.QuotaUsage, ferromcp.ConcurrentUsage, ferromcp.Quotas):
        name = ours.__name__
        body = re.search(rf"export interface {name} \{{\n(.*?)\n\}}", other, re.DOTALL)
        assert body is not None, name
        theirs = re.findall(r"^  (\w+)\??:", body[1], re.MULTILINE)
        assert [field for field in ours.__annotations__ if field != "raw"] == theirs, name


def test_both_sdks_have_the_same_requests() -> None:
    text = (HERE.parent / "typescript/src/client.ts").read_text()
    theirs = re.findall(r"^  (?:async )?\*?(\w+)(?:<[^(]*>)?\(", text, re.MULTILINE)
    snake = {re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name) for name in theirs if name != "constructor"}
    ours = {name for name in vars(ferromcp.AsyncClient) if not name.startswith("_") and name != "aclose"}
    assert ours == snake


def test_the_examples_of_the_readme_run(tmp_path: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", (HERE / "README.md").read_text(), re.DOTALL)
    assert len(examples) >= 5
    server = Server("builtin: { batch: true }\n")
    try:
        for number, text in enumerate(examples):
            file = tmp_path / f"example{number}.py"
            head = f"import sys; sys.path.insert(0, {str(HERE / 'src')!r})\n"
            file.write_text(head + text.replace("http://127.0.0.1:8080", server.url))
            wanted = re.findall(r"# prints: (.*)", text)
            assert wanted and run(file).splitlines() == wanted, text
    finally:
        server.stop()
