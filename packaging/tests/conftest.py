"""What the tests are about, as `cargo xtask test` made it: see xtask/src/packages.rs for the variables."""

import os
import subprocess
from pathlib import Path

import pytest

import images

ROOT = Path(__file__).parents[2]


def path(name: str) -> Path:
    value = os.environ.get(name)
    assert value, f"{name} is not set: run `cargo xtask test` or `cargo xtask image`"
    return Path(value)


@pytest.fixture(scope="session")
def version() -> str:
    text = (ROOT / "Cargo.toml").read_text()
    return text.split("[workspace.package]")[1].split('version = "')[1].split('"')[0]


@pytest.fixture(scope="session")
def ferromcp():
    """Runs the program and answers what it said."""

    def run(*arguments, **options) -> subprocess.CompletedProcess:
        return subprocess.run(
            [path("FERROMCP_BIN"), *arguments], capture_output=True, text=True, timeout=60, **options
        )

    return run


@pytest.fixture(scope="session")
def dockerfile() -> images.Config:
    return images.read_dockerfile(ROOT / "Dockerfile")


@pytest.fixture(scope="session")
def image(tmp_path_factory, dockerfile):
    """The image: as buildah makes it, else the same root filesystem and settings without an engine."""
    rootfs = path("FERROMCP_ROOTFS")
    work = tmp_path_factory.mktemp("image")
    if images.engine() is None:
        yield images.Image(images.without_engine(rootfs, dockerfile, work), dockerfile, "no engine")
        return
    with images.built(ROOT, work) as image:
        yield image
