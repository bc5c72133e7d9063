"""The archive of a release."""

import hashlib
import json
import subprocess
import tarfile

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from conftest import ROOT, path


@pytest.fixture(scope="module")
def archive():
    (found,) = path("FERROMCP_DIST").glob("*.tar.gz")
    return found


@pytest.fixture(scope="module")
def unpacked(archive, tmp_path_factory):
    to = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(archive) as tar:
        tar.extractall(to)
    (directory,) = to.iterdir()
    return directory


def test_the_checksums_are_right_and_complete():
    directory = path("FERROMCP_DIST")
    sums = dict(reversed(line.split("  ")) for line in (directory / "SHA256SUMS").read_text().splitlines())
    files = {file.name for file in directory.iterdir()} - {"SHA256SUMS"}
    assert set(sums) == files and len(files) == 3
    for name, expected in sums.items():
        assert hashlib.sha256((directory / name).read_bytes()).hexdigest() == expected


def test_made_twice_it_is_the_same():
    first, second = (path(name) / "SHA256SUMS" for name in ("FERROMCP_DIST", "FERROMCP_DIST_AGAIN"))
    assert first != second and first.read_text() == second.read_text()


def test_nothing_in_it_depends_on_who_made_it(archive):
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    for member in members:
        assert member.isfile() and member.name.startswith(archive.name.removesuffix(".tar.gz") + "/")
        assert (member.uid, member.gid, member.uname, member.mtime) == (0, 0, "", 315532800)
        assert member.mode == (0o755 if member.name.endswith("/ferromcp") else 0o644)


def test_the_program_in_it_works(unpacked, version):
    said = subprocess.run([unpacked / "ferromcp", "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == f"ferromcp {version}"


def test_what_belongs_to_the_program_is_there(unpacked):
    for name in ("LICENSE", "README.md", "systemd/ferromcp.service", "completions/_ferromcp"):
        assert (unpacked / name).stat().st_size > 100, name
    checked = subprocess.run(["bash", "-n", unpacked / "completions/ferromcp.bash"], capture_output=True)
    assert checked.returncode == 0, checked.stderr
    pages = {page.name for page in (unpacked / "man/man1").iterdir()}
    assert {"ferromcp.1", "ferromcp-serve.1", "ferromcp-health.1"} <= pages


def test_the_bill_of_materials_is_cyclonedx_and_complete(unpacked, version):
    text = (unpacked / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["component"]["version"] == version
    names = {component["name"]: component for component in bill["components"]}
    assert {"tokio", "rustls", "ferromcp-core"} <= set(names)
    assert not {"criterion", "proptest", "tonic-prost-build", "xtask"} & set(names)
    lock = (ROOT / "Cargo.lock").read_text()
    for component in bill["components"]:
        assert ("hashes" in component) != component["name"].startswith("ferromcp"), component
        assert all(value["content"] in lock for value in component.get("hashes", []))


def test_the_chart_in_its_archive_is_the_chart(version):
    from charts import CHART, helm

    def content(chart) -> list:
        return sorted((file["name"], file["data"]) for file in [*chart.files, *chart.templates])

    archive = path("FERROMCP_DIST") / f"ferromcp-chart-{version}.tgz"
    with helm.Chart.load(archive) as packed, helm.Chart.load(CHART) as chart:
        assert packed.metadata == chart.metadata and packed.values == chart.values and packed.schema == chart.schema
        assert content(packed) == content(chart)


def test_binstall_finds_the_archive(archive, unpacked, version):
    said = subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--no-deps"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (package,) = [p for p in json.loads(said.stdout)["packages"] if p["name"] == "ferromcp-cli"]
    binstall = package["metadata"]["binstall"]
    values = {
        "repo": package["repository"],
        "version": version,
        "target": archive.name.removeprefix(f"ferromcp-{version}-").removesuffix(".tar.gz"),
        "bin": "ferromcp",
        "binary-ext": "",
    }

    def fill(template: str) -> str:
        for name, value in values.items():
            template = template.replace(f"{{ {name} }}", value)
        return template

    assert fill(binstall["pkg-url"]) == f"{package['repository']}/releases/download/v{version}/{archive.name}"
    assert binstall["pkg-fmt"] == "tgz"
    assert (unpacked.parent / fill(binstall["bin-dir"])).is_file()
