"""The compose file and the systemd unit."""

import re
import shutil
import subprocess

import pytest
import yaml

from conftest import ROOT, path

UNIT = ROOT / "packaging/systemd/ferromcp.service"


def test_compose_runs_the_image_bounded_and_without_rights(dockerfile, ferromcp):
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["ferromcp"]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"] and service["mem_limit"] == "512m"
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["healthcheck"]["test"] == ["CMD", *dockerfile.health]
    assert service["command"][: len(dockerfile.command)] == dockerfile.command
    # Published on loopback only, and no key that everybody knows.
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["environment"]["FERROMCP_KEY_HASH"].startswith("${FERROMCP_KEY_HASH:?")
    source, target, _ = service["volumes"][0].split(":")
    assert (ROOT / source / "ferromcp.yaml").is_file() and target == "/etc/ferromcp"
    # What it is started with is understood.
    assert ferromcp(*service["command"], "--help").returncode == 0


def test_the_unit_gives_calls_the_time_to_finish():
    unit = UNIT.read_text()
    stop = int(re.search(r"^TimeoutStopSec=(\d+)s$", unit, re.M)[1])
    drain = re.search(r"\| `drain` \|.*\| `(\d+)s` \|", (ROOT / "docs/config.md").read_text())
    assert stop > int(drain[1])


def test_the_configuration_of_the_unit_is_good(ferromcp):
    checked = ferromcp("check", ROOT / "packaging/systemd/ferromcp.yaml")
    assert checked.returncode == 0, checked.stderr


def analyze(*arguments):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60)


def test_systemd_understands_the_unit(tmp_path):
    unit = tmp_path / UNIT.name
    text = UNIT.read_text().replace("/usr/local/bin/ferromcp", str(path("FERROMCP_BIN")))
    unit.write_text(text.replace("Documentation=man:ferromcp(1)\n", ""))
    said = analyze("verify", unit)
    assert said.returncode == 0 and said.stderr == "", said.stderr


def test_the_unit_is_hardly_exposed():
    # In tenths: 2.0 of 10.
    said = analyze("security", "--offline=true", "--threshold=20", UNIT)
    assert said.returncode == 0, said.stdout
