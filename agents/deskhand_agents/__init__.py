"""The agents: classifier, summarizer, resolver, drafter and checker, at their best without any model."""

from deskhand_agents.artifacts import ArtifactStore
from deskhand_agents.cascade import Cascade, Step, Strategy
from deskhand_agents.checker import Check, CheckTask, check_draft
from deskhand_agents.descriptions import DescriptionsTriage
from deskhand_agents.drafter import DraftTask, QuoteDraft
from deskhand_agents.evidence import Reference
from deskhand_agents.examples import ExamplesTriage, Library
from deskhand_agents.injection import neutral_text, neutral_view
from deskhand_agents.labelled import LabelledTicket, load_labelled
from deskhand_agents.language import Detected, detect_language
from deskhand_agents.precedents import Precedents, load_precedents
from deskhand_agents.questions import Question, find_questions, search_queries
from deskhand_agents.reasons import REASONS, reason
from deskhand_agents.resolver import Resolution, ResolveTask, RulesResolver
from deskhand_agents.screen import Flag, Screening, screen
from deskhand_agents.summarizer import ExtractiveSummary, SummaryTask
from deskhand_agents.triage import TriageTask, knows_language

__all__ = [
    "REASONS",
    "ArtifactStore",
    "Cascade",
    "Check",
    "CheckTask",
    "DescriptionsTriage",
    "Detected",
    "DraftTask",
    "ExamplesTriage",
    "ExtractiveSummary",
    "Flag",
    "LabelledTicket",
    "Library",
    "Precedents",
    "Question",
    "QuoteDraft",
    "Reference",
    "Resolution",
    "ResolveTask",
    "RulesResolver",
    "Screening",
    "Step",
    "Strategy",
    "SummaryTask",
    "TriageTask",
    "check_draft",
    "detect_language",
    "find_questions",
    "knows_language",
    "load_labelled",
    "load_precedents",
    "neutral_text",
    "neutral_view",
    "reason",
    "screen",
    "search_queries",
]
