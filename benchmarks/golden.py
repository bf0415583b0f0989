"""Our agents and the usual baselines on the golden sets of a workspace, side by side.

    python benchmarks/golden.py [--workspace examples/hollowfern] [--json] [--details]

Triage: the majority class, TF-IDF with logistic regression, and the nearest labelled ticket by vector, from the same
labelled tickets. Retrieval: BM25 and TF-IDF over whole articles, and vectors alone without routing. Drafts, summaries:
the first passage, and the opening words. The workspace is copied; nothing is written into it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from deskhand import libraries
from deskhand.config import WorkspaceFolder
from deskhand.context import RunContext
from deskhand.jsonio import read_lines
from deskhand.records import RunResult
from deskhand.testing import build_ticket, copy_workspace
from deskhand.tickets import Ticket
from deskhand_evals import (
    GoldenSets,
    RetrievalScore,
    TextScore,
    TriageScore,
    broken_quotes,
    load_golden,
    score_retrieval,
    score_texts,
    score_triage,
)
from deskhand_graphs import Drive, Workspace, begin, memory_saver
from deskhand_memory import Article, load_articles

ROOT = Path(__file__).resolve().parents[1]
WORDS = re.compile(r"[a-z0-9]+")
CONCURRENCY = 4


class Corpus(NamedTuple):
    """The current public articles as plain texts."""

    ids: list[str]
    texts: list[str]


def current_articles(folder: WorkspaceFolder, on: date) -> Corpus:
    """Return what retrieval may find."""
    articles = [article for path in sorted(folder.knowledge.rglob("*.md")) for article in load_articles(path)]
    found = [article for article in articles if _is_current(article, on)]
    return Corpus([article.id for article in found], [f"{article.title}\n{article.text}" for article in found])


def _is_current(article: Article, on: date) -> bool:
    has_begun = article.valid_from is None or article.valid_from <= on
    return article.audience == "public" and has_begun and (article.valid_to is None or on <= article.valid_to)


def bm25_search(corpus: Corpus) -> Callable[[str], Sequence[str]]:
    """Return Okapi BM25 over whole articles (bm25s, its defaults)."""
    import bm25s

    index = bm25s.BM25()
    index.index(bm25s.tokenize(corpus.texts, stopwords="en", show_progress=False), show_progress=False)

    def search(query: str) -> Sequence[str]:
        tokens = bm25s.tokenize(query, stopwords="en", show_progress=False)
        places, _ = index.retrieve(tokens, k=10, show_progress=False)
        return [corpus.ids[place] for place in places[0]]

    return search


def tfidf_search(corpus: Corpus) -> Callable[[str], Sequence[str]]:
    """Return cosine similarity of TF-IDF vectors (scikit-learn, sublinear, without stop words)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    matrix = vectorizer.fit_transform(corpus.texts)

    def search(query: str) -> Sequence[str]:
        scores = (matrix @ vectorizer.transform([query]).T).toarray().ravel()
        return [corpus.ids[place] for place in scores.argsort()[::-1][:10]]

    return search


def dense_search(corpus: Corpus, workspace: Workspace) -> Callable[[str], Sequence[str]]:
    """Return cosine similarity of one vector for each whole article."""
    encoder = workspace.encoder()
    matrix = encoder.encode(corpus.texts)

    def search(query: str) -> Sequence[str]:
        return [corpus.ids[place] for place in (matrix @ encoder.encode([query])[0]).argsort()[::-1][:10]]

    return search


def our_search(workspace: Workspace, on: date) -> Callable[[str], Sequence[str]]:
    """Return the search that agents use."""

    def search(query: str) -> Sequence[str]:
        found = workspace.knowledge.search(query, top_k=10, min_similarity=-1.0, on=on, audience="public")
        return [passage.source_id for passage in found]

    return search


def triage_baselines(workspace: Workspace, texts: Sequence[str]) -> dict[str, list[str | None]]:
    """Return the predictions of three usual classifiers trained on the workspace's labelled tickets."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    rows = [value for _, value in read_lines(workspace.folder.labelled) if value["label"] is not None]
    learned, labels = [row["text"] for row in rows], [row["label"] for row in rows]
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = LogisticRegression(C=30, max_iter=1000).fit(vectorizer.fit_transform(learned), labels)
    encoder = workspace.encoder()
    nearest = (encoder.encode(texts) @ encoder.encode(learned).T).argmax(axis=1)
    return {
        "majority class": [Counter(labels).most_common(1)[0][0]] * len(texts),
        "TF-IDF + logistic regression": list(model.predict(vectorizer.transform(texts))),
        "dense, nearest ticket": [labels[place] for place in nearest],
    }


async def run_all(workspace: Workspace, tickets: Sequence[Ticket]) -> list[RunResult]:
    """Return the result of the graph `support` on every ticket, up to where a person would be asked."""
    gate = asyncio.Semaphore(CONCURRENCY)

    async def one(number: int, ticket: Ticket) -> RunResult:
        async with gate:
            ctx = RunContext(f"golden-{number}")
            begin(ctx, "support", ticket)
            return (await Drive(workspace, memory_saver(), "support")(ctx, ticket, None)).result

    return list(await asyncio.gather(*(one(number, ticket) for number, ticket in enumerate(tickets))))


def our_triage(results: Sequence[RunResult]) -> list[str | None]:
    """Return the category of each run, None where there is none."""
    return [result.triage.category if result.triage else None for result in results]


class Figures(NamedTuple):
    """Every score by the name of what was scored."""

    triage: dict[str, TriageScore]
    retrieval: dict[str, RetrievalScore]
    drafts: dict[str, TextScore]
    summaries: dict[str, TextScore]
    n_broken_quotes: int
    reasons: dict[str, int]


def measure(workspace: Workspace, golden: GoldenSets) -> Figures:
    """Run everything once."""
    on = date.today()
    corpus = current_articles(workspace.folder, on)
    read = [sample for sample in golden.triage if sample.language in workspace.encoder().languages]
    texts = [sample.text for sample in read]
    triaged = asyncio.run(run_all(workspace, [build_ticket(t, ticket_id=f"G-{n}") for n, t in enumerate(texts)]))
    drafted = asyncio.run(run_all(workspace, [sample.ticket for sample in golden.drafts]))
    summed = asyncio.run(run_all(workspace, [sample.ticket for sample in golden.summaries]))
    predictions = triage_baselines(workspace, texts) | {"deskhand": our_triage(triaged)}
    searches = {
        "BM25": bm25_search(corpus),
        "TF-IDF": tfidf_search(corpus),
        "dense, whole articles": dense_search(corpus, workspace),
        "deskhand": our_search(workspace, on),
    }
    return Figures(
        triage={name: score_triage(read, guesses) for name, guesses in predictions.items()},
        retrieval={name: score_retrieval(golden.retrieval, search) for name, search in searches.items()},
        drafts={
            "first passage": score_texts(golden.drafts, [r.passages[0].text if r.passages else "" for r in drafted]),
            "deskhand": score_texts(golden.drafts, [r.draft.text if r.draft else "" for r in drafted]),
        },
        summaries={
            "first 60 words": score_texts(golden.summaries, [_opening(sample.ticket) for sample in golden.summaries]),
            "deskhand": score_texts(golden.summaries, [r.summary.text if r.summary else "" for r in summed]),
        },
        n_broken_quotes=sum(len(broken_quotes(r.draft, r.passages)) for r in drafted if r.draft),
        reasons=dict(Counter(reason.code for r in drafted for reason in {x.code: x for x in r.reasons}.values())),
    )


def _opening(ticket: Ticket) -> str:
    return " ".join(ticket.customer_text().split()[:60])


def show(figures: Figures) -> None:
    """Print the tables of the README."""
    print(f"triage, {figures.triage['deskhand'].n} tickets in English      accuracy   95 % interval   macro F1")
    for name, score in figures.triage.items():
        low, high = score.interval
        print(f"  {name:32} {score.accuracy:9.1%}   {low:5.1%} - {high:5.1%}   {score.macro_f1:8.3f}")
    print(
        f"\nretrieval, {figures.retrieval['deskhand'].n} questions             recall@5       MRR    nDCG@5   by kind"
    )
    for name, found in figures.retrieval.items():
        kinds = "  ".join(f"{kind} {share:.0%}" for kind, share in found.by_kind.items())
        print(f"  {name:32} {found.recall_at_5:9.1%}   {found.mrr:7.3f}   {found.ndcg_at_5:7.3f}   {kinds}")
    for title, scores in (("drafts", figures.drafts), ("summaries", figures.summaries)):
        print(f"\n{title}, {scores['deskhand'].n} tickets, {scores['deskhand'].n_facts} facts    stated   forbidden")
        for name, text in scores.items():
            print(f"  {name:32} {text.stated:9.1%}   {len(text.forbidden):9}")
    print(f"\nbroken quotes: {figures.n_broken_quotes}")
    print("reasons: " + ", ".join(f"{code} {n}" for code, n in sorted(figures.reasons.items(), key=lambda x: -x[1])))


def show_details(figures: Figures) -> None:
    """Print every miss of ours."""
    for case in figures.triage["deskhand"].wrong:
        print("triage", *case, sep="\t")
    for missed in figures.retrieval["deskhand"].missed:
        print("retrieval", *missed, sep="\t")
    for title, scores in (("drafts", figures.drafts), ("summaries", figures.summaries)):
        for sample_id, fact in scores["deskhand"].missing:
            print(title, sample_id, "missing", fact, sep="\t")
        for sample_id, fact in scores["deskhand"].forbidden:
            print(title, sample_id, "FORBIDDEN", fact, sep="\t")


def main() -> None:
    """Measure a copy of the workspace and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=ROOT / "examples" / "hollowfern")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--details", action="store_true")
    options = parser.parse_args()
    libraries.prepare()
    with tempfile.TemporaryDirectory() as scratch:
        folder = WorkspaceFolder(copy_workspace(options.workspace, Path(scratch) / "workspace"))
        golden = load_golden(folder.root / "golden")
        with Workspace.open(folder) as workspace:
            workspace.knowledge.ingest()
            workspace.learn()
            figures = measure(workspace, golden)
    if options.json:
        print(json.dumps({name: _plain(part) for name, part in figures._asdict().items()}))
        return
    show(figures)
    if options.details:
        show_details(figures)


def _plain(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: asdict(value) if not isinstance(value, int) else value for name, value in part.items()}
    return part


if __name__ == "__main__":
    main()
