"""A fitted classifier as an artefact, and back; with the vectors of all texts, so that they are not made again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from deskhand_agents.artifacts import Artifact
from deskhand_agents.classifier import Classifier, Members
from deskhand_agents.evidence import References, text_hash
from deskhand_agents.logistic import Logistic
from deskhand_agents.rejection import Rejection
from deskhand_agents.words import Vocabulary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

_ARRAYS = ("vectors", "classes", "weights", "centre")
_NUMBERS = ("neighbours", "threshold", "floor", "accuracy", "coverage")


def to_artifact(classifier: Classifier, encoder_name: str, encoded: Mapping[str, Floats]) -> Artifact:
    """Return the classifier as JSON and arrays, with ``encoded``: a vector by text."""
    rejection = classifier.rejection
    meta: dict[str, Any] = {name: getattr(classifier, name) for name in _NUMBERS}
    meta |= {
        "encoder": encoder_name,
        "labels": list(classifier.labels),
        "rejection": [list(rejection.weights), rejection.threshold],
        "hashes": [text_hash(text) for text in encoded],
    }
    arrays: dict[str, NDArray[Any]] = {name: getattr(classifier, name) for name in _ARRAYS}
    arrays |= {
        "encoded": np.stack(list(encoded.values())),
        "references": classifier.references.vectors,
        "starts": classifier.references.starts,
        "word_ids": classifier.vocabulary.ids,
        "word_idf": classifier.vocabulary.idf,
    }
    for name, model in classifier.members._asdict().items():
        arrays |= {f"{name}_weights": model.weights, f"{name}_bias": model.bias}
    return Artifact(meta, arrays)


def from_artifact(artifact: Artifact) -> Classifier:
    """Return the classifier that ``to_artifact`` stored. Raises KeyError when a part is missing."""
    meta, arrays = artifact.meta, artifact.arrays
    weights, threshold = meta["rejection"]
    members = (Logistic(arrays[f"{name}_weights"], arrays[f"{name}_bias"]) for name in Members._fields)
    return Classifier(
        labels=tuple(meta["labels"]),
        members=Members(*members),
        references=References(arrays["references"], arrays["starts"]),
        vocabulary=Vocabulary(arrays["word_ids"], arrays["word_idf"]),
        rejection=Rejection(tuple(weights), threshold),
        vectors=arrays["vectors"],
        classes=arrays["classes"],
        weights=arrays["weights"],
        centre=arrays["centre"],
        neighbours=meta["neighbours"],
        threshold=meta["threshold"],
        floor=meta["floor"],
        accuracy=meta["accuracy"],
        coverage=meta["coverage"],
    )


def stored_vectors(artifact: Artifact | None, encoder_name: str) -> dict[str, Floats]:
    """Return the vectors that an artefact holds, by text hash; none when they are of another encoder."""
    if artifact is None or artifact.meta.get("encoder") != encoder_name or "encoded" not in artifact.arrays:
        return {}
    return dict(zip(artifact.meta["hashes"], artifact.arrays["encoded"], strict=True))
