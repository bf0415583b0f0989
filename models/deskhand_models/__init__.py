"""Which model answers, at what price, and what if it does not: tiers, attempts, budgets and transports."""

from deskhand_models.ledger import CostRow, Ledger, forget_attempts
from deskhand_models.models import Models
from deskhand_models.probe import Probe, probe_models
from deskhand_models.timing import Timing

__all__ = ["CostRow", "Ledger", "Models", "Probe", "Timing", "forget_attempts", "probe_models"]
