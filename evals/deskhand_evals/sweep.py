"""Sweeps: one suite with every combination of some settings, each run an experiment of its own."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deskhand.config import WorkspaceFolder
from deskhand.errors import ConfigError, InputError
from deskhand.schema import Json
from deskhand_evals.overrides import PART, of_config, parse_value, with_prompts, with_settings
from deskhand_evals.ranking import shown
from deskhand_evals.report import Report
from deskhand_evals.run import RunOptions, run_suite
from deskhand_evals.suite import Part, Suite

MAX_ARMS = 200
"""More combinations than this are a mistake more often than a plan."""


def parse_choices(texts: Sequence[str]) -> dict[str, list[Json]]:
    """Return the values to try by setting, from ``memory.top_k=4,8``. Commas within brackets and quotes part nothing.

    Raises:
        InputError: A text is no ``key=value``, or a key stands there twice.
    """
    choices: dict[str, list[Json]] = {}
    for text in texts:
        key, sign, values = text.partition("=")
        if not sign or not key.strip() or not values.strip() or key.strip() in choices:
            raise InputError(f"--set {text!r}: write each key once, with its values, such as memory.top_k=4,8")
        choices[key.strip()] = [parse_value(value) for value in _split(values)]
    return choices


def _split(text: str) -> list[str]:
    parts, depth, quoted = [""], 0, ""
    for char in text:
        quoted = "" if char == quoted else quoted or (char if char in "\"'" else "")
        depth += (char in "[{") - (char in "]}") if not quoted else 0
        if char == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts]


def grid(choices: Mapping[str, Sequence[Json]]) -> list[dict[str, Json]]:
    """Return every combination, the last key changing fastest. Raises InputError when there are too many."""
    arms = [dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())]
    if len(arms) > MAX_ARMS:
        raise InputError(f"{len(arms)} combinations are more than {MAX_ARMS}; try fewer values")
    return arms


@dataclass(frozen=True)
class Sweep:
    """A suite on a workspace, to be run with other settings."""

    suite: Suite
    folder: WorkspaceFolder
    options: RunOptions

    async def run(self, arms: Sequence[Mapping[str, Json]]) -> list[Report]:
        """Run every arm and return their reports, in order. An arm that was finished before runs again.

        Raises:
            ConfigError: A setting, a prompt file or a part does not exist; nothing was run then.
        """
        suites = [_suite_of(self.suite, arm) for arm in arms]
        for arm in arms:
            with_settings(self.folder, of_config(arm))
        reports = []
        for number, (arm, suite) in enumerate(zip(arms, suites, strict=True), start=1):
            self.options.say(f"{number} of {len(arms)}: {shown(arm)}")
            options = replace(self.options, settings={**self.options.settings, **arm})
            with with_prompts(self.folder, arm) as folder:
                reports.append(await run_suite(suite, folder, options))
        return reports


def _suite_of(suite: Suite, arm: Mapping[str, Json]) -> Suite:
    """Return the suite with the options of its parts replaced, where the arm names some."""
    file = suite.file
    for key, value in arm.items():
        if not key.startswith(PART):
            continue
        name, _, option = key.removeprefix(PART).partition(".options.")
        if not option or name not in {part.name for part in file.part}:
            raise ConfigError(f"settings: {key!r}: write part.<name>.options.<option> with the name of a part")
        file = file.model_copy(update={"part": tuple(_with_option(part, name, option, value) for part in file.part)})
    return Suite(suite.path, file)


def _with_option(part: Part, name: str, option: str, value: Json) -> Part:
    return part.model_copy(update={"options": {**part.options, option: value}}) if part.name == name else part
