"""What is not as it was in the baseline, besides the scores: cases, targets, prompts, scorers, rules and settings."""

from __future__ import annotations

from deskhand_evals.checks import rule_text
from deskhand_evals.report import PartSpec, Report, ScorerSpec


def changes(report: Report, baseline: Report) -> tuple[str, ...]:
    """Return what differs from the baseline besides the scores, one line each."""
    lines = [f"suite {baseline.suite} -> {report.suite}"] if baseline.suite != report.suite else []
    for part in report.parts:
        old = baseline.part(part.name)
        if old is None:
            lines.append(f"{part.name}: new")
            continue
        if old.dataset_version != part.dataset_version:
            lines.append(f"{part.name}: dataset {old.dataset_version[:8]} -> {part.dataset_version[:8]}")
        elif old.case_ids != part.case_ids:
            lines.append(f"{part.name}: other cases")
        if (old.target, old.target_version) != (part.target, part.target_version):
            was, now = (f"{p.target} {p.target_version[:8]}".strip() for p in (old, part))
            lines.append(f"{part.name}: target {was} -> {now}")
        if old.simulator != part.simulator:
            lines.append(f"{part.name}: customer {old.simulator or 'none'} -> {part.simulator or 'none'}")
        lines += _prompt_changes(part, old)
        if old.mode != part.mode:
            lines.append(f"{part.name}: {old.mode} -> {part.mode}")
        versions = {scorer.name: scorer.version for scorer in old.scorers}
        lines += [
            f"{part.name}: scorer {scorer.name} {versions.get(scorer.name, 'none')[:8]} -> {scorer.version[:8]}"
            for scorer in part.scorers
            if versions.get(scorer.name) != scorer.version
        ]
        lines += _rule_changes(part, old)
    lines += [
        f"gate: {name} {getattr(baseline.gate, name)} -> {getattr(report.gate, name)}"
        for name in type(report.gate).model_fields
        if getattr(baseline.gate, name) != getattr(report.gate, name)
    ]
    lines += [f"{old.name}: gone" for old in baseline.parts if report.part(old.name) is None]
    return tuple(lines)


def _rule_changes(part: PartSpec, old: PartSpec) -> list[str]:
    now = {scorer.name: scorer for scorer in part.scorers}
    gone = [f"{part.name}: scorer {scorer.name} is gone" for scorer in old.scorers if scorer.name not in now]
    return gone + [
        f"{part.name}: rules of {was.name}: {_rules_text(was)} -> {_rules_text(now[was.name])}"
        for was in old.scorers
        if was.name in now and was.rules != now[was.name].rules
    ]


def _rules_text(scorer: ScorerSpec) -> str:
    return ", ".join(f"{rule.measure or ''} {rule_text(rule)}".strip() for rule in scorer.rules) or "none"


def _prompt_changes(part: PartSpec, old: PartSpec) -> list[str]:
    names = sorted({*part.prompts, *old.prompts})
    return [
        f"{part.name}: prompt {name} {old.prompts.get(name, 'none')[:8]} -> {part.prompts.get(name, 'none')[:8]}"
        for name in names
        if old.prompts.get(name) != part.prompts.get(name)
    ]
