"""Suite files: which cases go to which target, what is scored, and what a gate asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BeforeValidator, Field, SerializeAsAny, model_validator

from deskhand.config import Name, load_toml
from deskhand.errors import ConfigError, InputError
from deskhand.jsonio import content_hash, first_problem
from deskhand.schema import Json, Model
from deskhand_evals import basic_scorers as basic
from deskhand_evals import support_scorers as support
from deskhand_evals.checks import rule_text
from deskhand_evals.end_state import EndState
from deskhand_evals.human import Human
from deskhand_evals.judge import Pairwise, Rubric
from deskhand_evals.python_scorer import Python
from deskhand_evals.report import GateSettings
from deskhand_evals.rows import read_rows
from deskhand_evals.scorers import Case, Scorer, Unscored, as_list, pick
from deskhand_evals.similarity import Similarity

KINDS: dict[str, type[Scorer]] = {
    "exact": basic.Exact,
    "contains": basic.Contains,
    "regex": basic.Regex,
    "json_schema": basic.JsonSchema,
    "number": basic.Number,
    "classification": basic.Classification,
    "text": basic.Text,
    "retrieval": basic.Retrieval,
    "cost": basic.Cost,
    "latency": basic.Latency,
    "python": Python,
    "required_facts": support.RequiredFacts,
    "forbidden_facts": support.ForbiddenFacts,
    "quotes": support.Quotes,
    "citations": support.Citations,
    "groundedness": support.Groundedness,
    "commitments": support.Commitments,
    "state": support.State,
    "end_state": EndState,
    "trajectory": support.Trajectory,
    "similarity": Similarity,
    "human": Human,
    "rubric": Rubric,
    "pairwise": Pairwise,
    "tool_calls": support.ToolCalls,
    "policy": support.Policy,
}
"""Every kind of scorer, by its name in a suite file."""


def _scorer(value: Any) -> Any:
    if isinstance(value, Scorer):
        return value
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind not in KINDS:
        raise ValueError(f"kind {kind!r} is no scorer; there are: {', '.join(sorted(KINDS))}")
    try:
        return KINDS[kind].model_validate(value)
    except ValueError as exc:
        from pydantic import ValidationError

        raise ValueError(first_problem(exc) if isinstance(exc, ValidationError) else str(exc)) from exc


AnyScorer = Annotated[SerializeAsAny[Scorer], BeforeValidator(_scorer)]


def _check_unique(what: str, names: Sequence[str]) -> None:
    repeated = [name for name, n in Counter(names).items() if n > 1]
    if repeated:
        raise ValueError(f"{what} {repeated[0]!r} stands there twice; give each a name of its own")


def _check_rules(scorer: Scorer) -> None:
    """Raise ValueError for a rule on no measure, and for one on a share that never or always holds."""
    is_share = {measure.name: measure.is_share for measure in scorer.measured()}
    for rule in scorer.gate:
        wanted = scorer.full_name(rule.measure or "")
        if wanted not in is_share:
            raise ValueError(f"scorer {scorer.name!r} has no measure {rule.measure!r}; it has {sorted(is_share)}")
        limit = rule.bar if rule.max_drop is None else rule.max_drop
        if is_share[wanted] and limit is not None and not 0 <= limit <= 1:
            raise ValueError(f"{rule_text(rule)}: {wanted!r} is a share, from 0 to 1; write 5 % as 0.05")


class Part(Model):
    """Cases, a target and scorers.

    ``dataset`` is a JSONL, JSON, CSV or YAML file, or the folder of a Hugging Face dataset, relative to the suite
    file. ``target`` is ``triage``, ``retrieval``, ``support``, ``approved``, ``applied`` (approved and carried out in
    a copy of the world), ``conversation`` (with a simulated customer) or ``graph:<name>`` of the workspace,
    ``<module>:<attribute>``, ``command:<shell command>``, or an ``http://`` address that takes the case as JSON.
    ``applied:<name>`` and ``conversation:<name>`` name another graph.
    ``inputs`` are the fields of a case that a target outside is told; all when none is named. ``settings`` are keys
    of ``deskhand.toml`` with other values, such as ``{"memory.top_k" = 4}``.
    ``where`` keeps the cases whose field has one of the values; ``slices`` are fields that reports are cut by;
    ``cluster`` is a field that cases of one ticket or customer share.
    """

    name: Name
    dataset: str
    target: str
    where: dict[str, tuple[Json, ...]] = {}
    slices: tuple[str, ...] = ()
    cluster: str = ""
    repeats: Annotated[int, Field(ge=1, le=1000)] | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    options: dict[str, Json] = {}
    settings: dict[str, Json] = {}
    inputs: tuple[str, ...] = ()
    scorer: Annotated[tuple[AnyScorer, ...], Field(min_length=1), BeforeValidator(as_list)]

    @model_validator(mode="after")
    def _names(self) -> Part:
        _check_unique("scorer", [scorer.name for scorer in self.scorer])
        for scorer in self.scorer:
            _check_rules(scorer)
        return self


class SuiteFile(Model):
    """A suite file, TOML. ``now`` is the time that all cases see; without it, the time when a case is asked first."""

    schema_version: Literal[1] = Field(alias="schema")
    name: Name
    repeats: Annotated[int, Field(ge=1, le=1000)] = 1
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 4
    timeout_s: Annotated[float, Field(gt=0)] = 60.0
    seed: int = 20261
    now: AwareDatetime | None = None
    settings: dict[str, Json] = {}
    gate: GateSettings = GateSettings()
    part: Annotated[tuple[Part, ...], Field(min_length=1), BeforeValidator(as_list)]

    @model_validator(mode="after")
    def _names(self) -> SuiteFile:
        _check_unique("part", [part.name for part in self.part])
        return self


@dataclass(frozen=True)
class Suite:
    """A suite file and where it stands."""

    path: Path
    file: SuiteFile

    @property
    def baseline_path(self) -> Path:
        """Where the baseline of the suite is kept: beside it, to be put under version control."""
        return self.path.parent / "baselines" / f"{self.file.name}.json"

    def recording_path(self, part: str) -> Path:
        """Return where the recording of a part is kept: beside the suite, to be put under version control."""
        return self.path.parent / "recordings" / self.file.name / f"{part}.jsonl"

    @property
    def version(self) -> str:
        """The hash of everything that the suite file says."""
        return content_hash(self.file.model_dump(mode="json", by_alias=True))


def load_suite(path: Path) -> Suite:
    """Return a suite. Raises ConfigError naming the file, the key and the value; InputError when it is missing."""
    if not path.is_file():
        raise InputError(
            f"{path}: no such suite; name yours, or look at evals/suite.toml in the folder that 'deskhand demo' makes"
        )
    return Suite(path, load_toml(path, SuiteFile, then="run the suite again"))


@dataclass(frozen=True)
class LoadedPart:
    """The cases of a part, and the hash of their rows."""

    part: Part
    cases: tuple[Case, ...]
    version: str


def load_cases(suite: Suite, part: Part) -> LoadedPart:
    """Return the cases of a part in the order of the file.

    Raises:
        InputError: The file is missing or a line is not JSON, a row is no object or has no id, or an id
            stands there twice.
    """
    path = suite.path.parent / part.dataset
    rows = [(where, _row(value, where)) for where, value in read_rows(path)]
    repeated = [name for name, n in Counter(row["id"] for _, row in rows).items() if n > 1]
    if repeated:
        raise InputError(f"{path}: id {repeated[0]!r} stands there twice; give each case its own")
    kept = [row for _, row in rows if all(_field(row, name) in values for name, values in part.where.items())]
    cases = tuple(_case(row, part) for row in kept[: part.limit])
    return LoadedPart(part, cases, content_hash([dict(case.row) for case in cases]))


def _row(value: Any, where: str) -> dict[str, Any]:
    name = value.get("id") if isinstance(value, dict) else None
    if not isinstance(name, str) or not name or encodable(name) != name:
        raise InputError(f"{where}: a case is an object with an 'id' of text; add one")
    row: dict[str, Any] = value
    return row


def encodable(text: str) -> str:
    """Return ``text`` with lone surrogates as their escapes: JSON files may hold them, UTF-8 cannot."""
    return text.encode("utf-8", "backslashreplace").decode()


def _field(row: dict[str, Any], path: str) -> Any:
    try:
        return pick(row, path, "case")
    except Unscored:
        return None


def _case(row: dict[str, Any], part: Part) -> Case:
    slices = {name: _shown(_field(row, name)) for name in part.slices}
    cluster = _field(row, part.cluster) if part.cluster else None
    return Case(row["id"], row, row["id"] if cluster is None else encodable(str(cluster)), slices)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return encodable(", ".join(map(str, value))) or "none"
    return "none" if value is None else encodable(str(value))


def prepare_scorers(part: Part, folder: Path) -> None:
    """Load what scorers need. Raises ConfigError."""
    for scorer in part.scorer:
        try:
            scorer.prepare(folder)
        except ConfigError as exc:
            raise ConfigError(f"part {part.name}: {exc}") from exc
