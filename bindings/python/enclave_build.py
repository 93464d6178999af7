"""The build backend (PEP 517): gets SpiderMonkey as `make` does, compiles the worker; the rest is maturin's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import maturin  # type: ignore[import-untyped, unused-ignore]

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent.parent
WORKER = "enclave-worker"


def prepare() -> None:
    """Puts in place what the wheel needs beside the extension."""
    provision = ROOT / "scripts" / "provision-mozjs"
    if not provision.exists():
        raise SystemExit(
            "enclave is built inside a clone of its repository, as it needs the Rust crates beside it: run "
            "`pip install ./bindings/python` there, or install a wheel"
        )
    run(str(provision))
    if (ROOT / "core" / "src" / "bin" / f"{WORKER}.rs").exists():
        run("cargo", "build", "--release", "--locked", "-p", "enclave-core", "--bin", WORKER)
        directory = PACKAGE / "python" / "enclave" / "_bin"
        directory.mkdir(exist_ok=True)
        shutil.copy2(target_directory() / "release" / WORKER, directory / WORKER)
        run("strip", "--strip-unneeded", str(directory / WORKER))


def target_directory() -> Path:
    """Where Cargo puts what it builds."""
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def run(*command: str) -> None:
    """Runs a command in the repository; its output goes to the front end's log."""
    print("+", *command, file=sys.stderr, flush=True)
    if (code := subprocess.run(command, cwd=ROOT, check=False).returncode) != 0:
        raise SystemExit(f"{' '.join(command)} failed with code {code}: see above")


def build_wheel(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    """PEP 517."""
    prepare()
    wheel = str(maturin.build_wheel(wheel_directory, config_settings, metadata_directory))
    # maturin leaves a copy.
    (target_directory() / "wheels" / wheel).unlink(missing_ok=True)
    return wheel


def build_editable(wheel_directory: str, config_settings: Any = None, metadata_directory: str | None = None) -> str:
    """PEP 660."""
    prepare()
    return str(maturin.build_editable(wheel_directory, config_settings, metadata_directory))


def build_sdist(sdist_directory: str, config_settings: Any = None) -> str:
    """PEP 517: refused, because a source distribution would lack what the build needs."""
    del sdist_directory, config_settings
    raise SystemExit(
        "enclave has no source distribution: install a wheel, or run `pip install ./bindings/python` in a clone of its "
        "repository"
    )


get_requires_for_build_wheel = maturin.get_requires_for_build_wheel
get_requires_for_build_editable = maturin.get_requires_for_build_editable
prepare_metadata_for_build_wheel = maturin.prepare_metadata_for_build_wheel
prepare_metadata_for_build_editable = maturin.prepare_metadata_for_build_editable


def get_requires_for_build_sdist(config_settings: Any = None) -> list[str]:
    """PEP 517."""
    del config_settings
    return []
