"""The ``[models]`` table of ``deskhand.toml``: which models there are, what they cost, and how much may be spent.

A tier is a list of names in the order in which they are tried; each name has its own table::

    [models.tiers]
    small = ["local"]
    strong = ["hosted", "local"]

    [models.budget]
    run_usd = 0.25

    [models.defs.local]
    model = "openai/Qwen/Qwen2.5-7B-Instruct"
    api_base = "http://127.0.0.1:8000/v1"
    price = "free"
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from deskhand.helpdesk_settings import EnvironmentName
from deskhand.schema import Json, Model

ModelName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Dollars = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
TransportName = Literal["direct", "litellm", "embedded"]
TierName = Literal["small", "strong", "judge", "embed"]

_PRICE_FORMS = 'write "free", or {input_per_million_usd = 0.15, output_per_million_usd = 0.60}'
_OURS = frozenset(
    {"api_base", "api_key", "base_url", "best_of", "fallbacks", "max_completion_tokens", "max_retries", "max_tokens"}
    | {"messages", "model", "n", "num_retries", "response_format", "stream", "temperature", "timeout", "tool_choice"}
    | {"tools"}
)
"""What deskhand sets itself; most of these could multiply the bill behind the budget's back."""


class Price(Model):
    """What a provider asks, in US dollars for a million tokens."""

    input_per_million_usd: Dollars
    output_per_million_usd: Dollars

    @model_validator(mode="after")
    def _costs_something(self) -> Price:
        if self.input_per_million_usd == self.output_per_million_usd == 0:
            raise ValueError('costs nothing; write price = "free"')
        return self


class ModelSettings(Model):
    """One model, where it is, and what a call of it may cost.

    Args:
        model: ``provider/model``, as LiteLLM writes it, such as ``openai/gpt-5-mini``.
        price: A price, or ``"free"``. There is no default: a model of unknown price is never called.
        api_base: The address up to and with ``/v1``; needed for the direct transport.
        key_env: The name of the environment variable that holds the key; none for a server without keys.
        transport: ``embedded`` where the model is ``embedded/...``, ``direct`` where ``api_base`` is given, else
            ``litellm``.
        timeout_s: The most seconds one attempt may take.
        context_tokens: The most tokens of prompt and answer together.
        max_output_tokens: The most tokens of one answer.
        reasoning_tokens: What the provider may bill beyond ``max_output_tokens``.
        count_margin: What our own token count is multiplied by in the worst case; providers count up to 1.4 times it.
        limit_field: What the provider calls the limit of the answer.
        temperature: Sent when given; some reasoning models refuse it.
        json_schema: ``prompted`` for a server that has no structured output.
        tools: Whether the model calls tools.
        drafts: Whether it may write text for customers. By default every model may but an embedded one.
        unmasked: Whether personal data may go to this model; otherwise it sees placeholders only.
        extra: More keys of the request, such as ``{reasoning_effort = "low"}``.
    """

    model: Annotated[str, Field(pattern=r"^\S{1,200}$")]
    price: Price | Literal["free"]
    api_base: str | None = None
    key_env: EnvironmentName | None = None
    transport: TransportName | None = None
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    context_tokens: Annotated[int, Field(ge=256, le=100_000_000)] = 32_768
    max_output_tokens: Annotated[int, Field(ge=1, le=1_000_000)] = 1024
    reasoning_tokens: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    count_margin: Annotated[float, Field(ge=1, le=10)] = 1.5
    limit_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    json_schema: Literal["native", "prompted"] = "native"
    tools: bool = True
    drafts: bool | None = None
    unmasked: bool = False
    extra: dict[str, Json] = {}

    @field_validator("price", mode="before")
    @classmethod
    def _known_price(cls, price: object) -> object:
        if price != "free" and not isinstance(price, (dict, Price)):
            raise ValueError(_PRICE_FORMS)
        return price

    @field_validator("api_base")
    @classmethod
    def _address(cls, api_base: str | None) -> str | None:
        if api_base is None:
            return None
        if not re.match(r"https?://[^/\s]", api_base) or re.search(r"\s", api_base):
            raise ValueError("must begin with http:// or https:// and name a host, without spaces")
        if "@" in api_base or "?" in api_base or "#" in api_base:
            raise ValueError("must hold no key and no query; name the key's variable in key_env")
        if api_base.rstrip("/").endswith(("/completions", "/responses")):
            raise ValueError("ends before /chat/completions, usually with /v1")
        return api_base.rstrip("/")

    @field_validator("extra")
    @classmethod
    def _not_ours(cls, extra: dict[str, Json]) -> dict[str, Json]:
        ours = sorted(_OURS & set(extra))
        if ours:
            raise ValueError(f"{ours[0]} is set by deskhand; remove it")
        return extra

    @model_validator(mode="after")
    def _is_complete(self) -> ModelSettings:
        if self.transport == "direct" and self.api_base is None:
            raise ValueError('transport = "direct" needs api_base')
        if (self.way == "embedded") != self.model.startswith("embedded/"):
            raise ValueError("the transport embedded and a model embedded/... go together; correct one of them")
        if self.way == "litellm" and "/" not in self.model:
            raise ValueError(f"model {self.model!r} names no provider; write provider/{self.model}, or give api_base")
        if self.max_output_tokens >= self.context_tokens:
            raise ValueError("max_output_tokens must be less than context_tokens")
        return self

    @property
    def way(self) -> TransportName:
        """The transport that is used."""
        if self.transport is not None:
            return self.transport
        if self.model.startswith("embedded/"):
            return "embedded"
        return "direct" if self.api_base else "litellm"

    @property
    def may_draft(self) -> bool:
        """Whether it may write text for customers."""
        return self.way != "embedded" if self.drafts is None else self.drafts


class Tiers(Model):
    """Names of models in the order in which they are tried; an empty tier has none and callers go on without."""

    small: tuple[ModelName, ...] = ()
    strong: tuple[ModelName, ...] = ()
    judge: tuple[ModelName, ...] = ()
    embed: tuple[ModelName, ...] = ()


class BudgetSettings(Model):
    """The most that may be spent, in US dollars, for one run, for one ticket, and for one day in UTC."""

    run_usd: Dollars = 0.25
    ticket_usd: Dollars = 1.0
    day_usd: Dollars = 20.0


class ModelsSettings(Model):
    """``[models]``: tiers, budget, and the models by name.

    Args:
        tiers: Which models agents may ask.
        budget: What may be spent.
        defs: The models by name.
        least_deadline_s: The least seconds a call is given, retries and fallbacks included. Agents allow 30 to 45,
            which a model on a CPU may need for its prompt alone.
    """

    tiers: Tiers = Tiers()
    budget: BudgetSettings = BudgetSettings()
    least_deadline_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    defs: dict[ModelName, ModelSettings] = {}

    @model_validator(mode="after")
    def _names_are_known(self) -> ModelsSettings:
        for tier in Tiers.model_fields:
            names: tuple[str, ...] = getattr(self.tiers, tier)
            for name, n in Counter(names).items():
                if name not in self.defs:
                    raise ValueError(f"models.tiers.{tier} names {name!r}; add [models.defs.{name}] or correct it")
                if n > 1:
                    raise ValueError(f"models.tiers.{tier} names {name!r} twice; remove one")
        return self
