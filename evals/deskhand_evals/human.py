"""Scores that people gave, kept in a file."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Annotated

from pydantic import Field, PrivateAttr

from deskhand.errors import ConfigError, InputError
from deskhand.jsonio import content_hash, validate
from deskhand.schema import Json, Model
from deskhand_evals.rows import read_rows
from deskhand_evals.scorers import Case, Compared, Output, Scored, Unscored


class HumanScore(Model):
    """What one person says of one output, in [0, 1]. ``output`` is what they saw; null: any output of the case."""

    id: str
    score: Annotated[float, Field(ge=0, le=1)]
    by: str = ""
    output: Json = None


class Human(Compared):
    """The mean of what people said of a case's output.

    ``file`` (JSONL, CSV or YAML of ``{id, score, by?, output?}``, relative to the workspace) is part of the version.
    An output that is not the one they saw is not scored: a person's word holds for what they read.
    """

    file: str
    _scores: dict[str, list[HumanScore]] = PrivateAttr(default_factory=dict)
    _version: str = PrivateAttr(default="")

    def prepare(self, folder: Path) -> None:
        """Read the file."""
        try:
            rows = [validate(HumanScore, value, where) for where, value in read_rows(folder / self.file)]
        except InputError as exc:
            raise ConfigError(f"scorer {self.name}: file: {exc}") from exc
        found: defaultdict[str, list[HumanScore]] = defaultdict(list)
        for row in rows:
            found[row.id].append(row)
        self._scores = dict(found)
        self._version = content_hash([row.model_dump(mode="json") for row in rows])

    def extra_version(self) -> str:
        """Return the hash of the file's rows."""
        return self._version

    def score(self, case: Case, output: Output) -> Scored:
        """Look the case up."""
        scores = self._scores.get(case.id)
        if not scores:
            raise Unscored(f"no person scored it; add a row to {self.file}")
        seen = self.found(output)
        fitting = [score for score in scores if score.output is None or score.output == seen]
        if not fitting:
            raise Unscored("the output is not the one that was scored; have people score it again")
        people = ", ".join(dict.fromkeys(score.by for score in fitting if score.by))
        return Scored({"": fmean(score.score for score in fitting)}, note=f"by {people}" if people else "")
