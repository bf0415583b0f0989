"""How good is it? Golden sets and all scoring in the house."""

from deskhand_evals.checks import Check, Outcome, Verdict
from deskhand_evals.datasets import (
    Dataset,
    DraftSample,
    Fact,
    GoldenSets,
    RetrievalSample,
    Sample,
    SummarySample,
    TriageSample,
    file_hash,
    load_dataset,
    load_golden,
    load_samples,
)
from deskhand_evals.evaluate import evaluate_retrieval, evaluate_triage
from deskhand_evals.experiments import Experiments
from deskhand_evals.gate import verdict
from deskhand_evals.metrics import (
    ClassScore,
    FactScore,
    Interval,
    accuracy,
    count_stated,
    macro_f1,
    ndcg_at,
    per_class,
    recall_at,
    reciprocal_rank,
    states,
    wilson,
)
from deskhand_evals.recordings import Mode
from deskhand_evals.report import Report, load_report
from deskhand_evals.run import RunOptions, run_suite
from deskhand_evals.scorers import Case, Output, Scored, Scorer, Unscored
from deskhand_evals.scores import (
    RetrievalScore,
    TextScore,
    TriageScore,
    broken_quotes,
    score_retrieval,
    score_texts,
    score_triage,
)
from deskhand_evals.suite import Suite, load_suite

__all__ = [
    "Case",
    "Check",
    "ClassScore",
    "Dataset",
    "DraftSample",
    "Experiments",
    "Fact",
    "FactScore",
    "GoldenSets",
    "Interval",
    "Mode",
    "Outcome",
    "Output",
    "Report",
    "RetrievalSample",
    "RetrievalScore",
    "RunOptions",
    "Sample",
    "Scored",
    "Scorer",
    "Suite",
    "SummarySample",
    "TextScore",
    "TriageSample",
    "TriageScore",
    "Unscored",
    "Verdict",
    "accuracy",
    "broken_quotes",
    "count_stated",
    "evaluate_retrieval",
    "evaluate_triage",
    "file_hash",
    "load_dataset",
    "load_golden",
    "load_report",
    "load_samples",
    "load_suite",
    "macro_f1",
    "ndcg_at",
    "per_class",
    "recall_at",
    "reciprocal_rank",
    "run_suite",
    "score_retrieval",
    "score_texts",
    "score_triage",
    "states",
    "verdict",
    "wilson",
]
