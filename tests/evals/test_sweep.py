from __future__ import annotations

import asyncio
from xml.etree import ElementTree as ET

import pytest

from deskhand.errors import ConfigError, InputError
from deskhand.testing import FixedClock
from deskhand_evals import Experiments, RunOptions, load_suite
from deskhand_evals.overrides import parse_value, with_prompts, with_settings
from deskhand_evals.plots import frontier_svg
from deskhand_evals.ranking import Ranked, rank
from deskhand_evals.report import MeasureSpec, Row, Rule
from deskhand_evals.reports import html_page, sweep_page
from deskhand_evals.sweep import Sweep, grid, parse_choices

RECALL = '[[part.scorer]]\nkind = "retrieval"\nname = "recall"\nexpected = "relevant"\n'


def test_choices_are_read_as_toml_and_combined_with_the_last_changing_fastest() -> None:
    choices = parse_choices(["memory.top_k=4, 8", 'models.tiers.small=["a"],["a","b"]', "prompts.draft=x.md"])
    assert choices["models.tiers.small"] == [["a"], ["a", "b"]]
    arms = grid(choices)
    assert [arm["memory.top_k"] for arm in arms] == [4, 4, 8, 8]
    assert arms[1] == {"memory.top_k": 4, "models.tiers.small": ["a", "b"], "prompts.draft": "x.md"}
    assert parse_value("'a,b'") == "a,b"


@pytest.mark.parametrize("texts", [["top_k"], ["a="], ["=1"], ["a=1", "a=2"]])
def test_wrong_choices_are_refused(texts: list[str]) -> None:
    with pytest.raises(InputError, match="--set"):
        parse_choices(texts)


def test_too_many_combinations_are_refused() -> None:
    with pytest.raises(InputError, match="more than 200"):
        grid({"a": list(range(20)), "b": list(range(20))})


def _sweep(bench, *texts: str):
    suite = load_suite(bench.root / "suite.toml")
    sweep = Sweep(suite, bench.folder, RunOptions(fresh=True, clock=FixedClock()))
    return asyncio.run(sweep.run(grid(parse_choices(texts))))


def test_a_sweep_runs_every_combination_and_stores_its_settings(bench) -> None:
    bench.cases(
        {"id": "a", "text": "How long do I have to return a product?", "relevant": ["returns"]},
        {"id": "b", "text": "When does my parcel arrive?", "relevant": ["delivery"]},
    )
    bench.suite(f'target = "retrieval"\n{RECALL}')
    reports = _sweep(bench, "memory.top_k=1,4", "memory.min_similarity=0.1,0.99")
    settings = [report.parameters["settings"] for report in reports]
    assert settings[1] == {"memory.top_k": 1, "memory.min_similarity": 0.99}
    assert [sum(row.scores["recall"] for row in report.rows) for report in reports] == [2, 0, 2, 0]
    assert len({report.parts[0].target_version for report in reports}) == 4
    rows = rank(Experiments.of(bench.folder).list(), "p", "recall")
    assert [row.value for row in rows] == [1, 1, 0, 0]
    assert [row.is_as_good for row in rows[:2]] == [True, True]
    page = sweep_page("bench", "p recall", rows)
    assert "min_similarity=0.99" in page
    assert "<script" not in page


def test_options_of_parts_are_swept(bench) -> None:
    bench.cases({"id": "a", "text": "b", "expected": "b!"})
    bench.code("async def echo(row, mark='?'):\n    return row['text'] + mark\n", "marking")
    bench.suite('target = "marking:echo"\n[[part.scorer]]\nkind = "exact"\nname = "right"\n')
    reports = _sweep(bench, "part.p.options.mark='?','!'")
    assert [report.rows[0].scores["right"] for report in reports] == [0, 1]
    for wrong in ("part.q.options.mark=1", "part.p.mark=1"):
        with pytest.raises(ConfigError, match="name of a part"):
            _sweep(bench, wrong)


def test_unknown_settings_are_refused(bench) -> None:
    for key in ("memory.top_q", "brand.name.x"):
        with pytest.raises(ConfigError, match="settings"):
            with_settings(bench.folder, {key: 4})


def test_prompts_of_a_sweep_take_the_place_of_the_workspaces_own(bench) -> None:
    own = bench.root / "prompts"
    own.mkdir()
    (own / "draft.md").write_text("own")
    (own / "triage.md").write_text("kept")
    (bench.root / "short.md").write_text("short")
    with with_prompts(bench.folder, {"prompts.draft": "short.md", "memory.top_k": 1}) as folder:
        assert (folder.root / "prompts" / "draft.md").read_text() == "short"
        assert (folder.root / "prompts" / "triage.md").read_text() == "kept"
        assert (folder.root / "deskhand.toml").is_file()
        assert folder.state.resolve() == bench.folder.state
    assert (own / "draft.md").read_text() == "own"
    with pytest.raises(ConfigError, match="no such prompt"), with_prompts(bench.folder, {"prompts.draft": "no.md"}):
        pass


def test_a_setting_that_does_not_exist_is_refused_though_no_part_would_read_it(bench) -> None:
    bench.cases({"id": "a", "text": "1", "expected": "1"})
    bench.code("def answer(row):\n    return row['text']\n", "swept")
    bench.suite('target = "swept:answer"\n[[part.scorer]]\nkind = "exact"\nname = "right"\n')
    with pytest.raises(ConfigError, match=r"memory\.nothing"):
        _sweep(bench, "memory.nothing=1,2")
    assert Experiments.of(bench.folder).list() == []


def test_versions_that_differ_are_never_ranked_together(build_report) -> None:
    first = build_report([1.0, 0.0] * 30, Rule(bar=0.1), id="exp-1")
    other = build_report([1.0] * 60, Rule(bar=0.1), id="exp-2", part={"dataset_version": "d2"})
    rescored = build_report([0.0] * 60, Rule(bar=0.1), id="exp-3", scorer={"version": "s2"})
    gone = build_report([1.0] * 60, Rule(bar=0.1), id="exp-4", part={"name": "q"})
    rows = rank([first, other, rescored, gone])
    assert rows[0].id == "exp-2"  # the best of those that were scored; nothing is comparable with it
    notes = {row.id: row.note for row in rows if row.note}
    assert "another version of the dataset" in notes["exp-1"]
    assert "another version" in notes["exp-3"]
    assert notes["exp-4"] == "it has no such measure"
    with pytest.raises(InputError, match="name one of: p right"):
        rank([first], "p", "none")
    with pytest.raises(InputError, match="no experiments"):
        rank([])


def test_the_best_is_marked_with_those_that_are_not_surely_worse(build_report) -> None:
    best = build_report([1.0] * 95 + [0.0] * 5, id="exp-1")
    near = build_report([1.0] * 94 + [0.0] * 6, id="exp-2")
    far = build_report([1.0] * 50 + [0.0] * 50, id="exp-3")
    rows = rank([far, near, best])
    assert [row.id for row in rows] == ["exp-1", "exp-2", "exp-3"]
    assert [row.is_as_good for row in rows] == [True, True, False]
    assert rows[2].high < 0
    assert rows[2].difference == pytest.approx(-0.45)


def test_where_less_is_better_the_least_is_best(build_report) -> None:
    less = {"measures": (MeasureSpec(name="right", higher_is_better=False, is_share=False),)}
    low, high = (build_report([value] * 30, id=f"exp-{value:g}", scorer=less) for value in (1.0, 3.0))
    rows = rank([high, low])
    assert [row.id for row in rows] == ["exp-1", "exp-3"]
    assert (rows[1].difference, rows[1].is_as_good) == (2.0, False)


def _priced(build_report, name: str, right: int, cost: float, latency: float):
    rows = [
        Row(part="p", case=f"c{n}", scores={"right": float(n < right)}, cost_usd=cost, latency_ms=latency)
        for n in range(50)
    ]
    cases = tuple(f"c{n}" for n in range(50))
    return build_report([], id=name, rows=rows, part={"case_ids": cases}, parameters={"settings": {"m": name}})


def test_pareto_is_what_no_other_beats_in_quality_cost_and_latency(build_report) -> None:
    reports = [
        _priced(build_report, "dear", 48, 0.02, 900), _priced(build_report, "cheap", 40, 0.001, 300),
        _priced(build_report, "poor", 39, 0.01, 310), _priced(build_report, "slow", 40, 0.001, 400),
    ]  # fmt: skip
    rows = rank(reports)
    assert {row.id for row in rows if row.is_pareto} == {"dear", "cheap"}
    picture = frontier_svg(rows, "p right", now="poor", standalone=True)
    texts = [text.text for text in ET.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")]
    assert {"m=dear", "m=cheap", "m=poor", "USD for 1,000 rows →"} <= set(texts)
    free = [row._replace(cost_usd=0.0) for row in rows]
    assert "median latency, ms →" in frontier_svg(free, "x")
    assert frontier_svg([Ranked("a", "", {})], "x") == ""
    from deskhand_evals import verdict

    page = html_page(reports[0], verdict(reports[0]), history=reports)
    assert "Cost against quality" in page
    assert "4 runs of this suite" in page
