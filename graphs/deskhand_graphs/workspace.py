"""The workspace opened: the one place where all parts are put together."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from deskhand.attributes import load_attribute
from deskhand.config import WorkspaceFolder
from deskhand.errors import ConfigError, DeskhandError
from deskhand.interfaces import Encoder, Helpdesk

if TYPE_CHECKING:
    from types import TracebackType

    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph import StateGraph
    from langgraph.graph.state import CompiledStateGraph

    from deskhand.answers import Draft, Summary, Triage
    from deskhand.records import RunReader
    from deskhand_agents import (
        Cascade,
        DraftTask,
        ExamplesTriage,
        LabelledTicket,
        Resolution,
        ResolveTask,
        SummaryTask,
        TriageTask,
    )
    from deskhand_memory import Knowledge
    from deskhand_models import Models
    from deskhand_tools import Policy, Scope, Tool, Toolbox

BUILT_IN = {
    "support": "deskhand_graphs.support:build_graph",
    "answer": "deskhand_graphs.answer:build_graph",
}


class Workspace:
    """A workspace's knowledge, tools, agents and graphs, each made when it is first asked for.

    ``runs`` reads earlier runs; whoever opens the run store sets it, and without it tickets have no past.
    """

    def __init__(self, folder: WorkspaceFolder) -> None:
        self.folder = folder
        self.runs: RunReader | None = None
        self._helpdesks: dict[str, Helpdesk] = {}
        self._graphs: dict[str, StateGraph[Any, Any]] = {}
        self._compiled: dict[str, CompiledStateGraph[Any, Any, Any, Any]] = {}

    @classmethod
    def open(cls, folder: WorkspaceFolder) -> Workspace:
        """Return the workspace in ``folder``. Raises ConfigError when its configuration is wrong."""
        folder.config, folder.taxonomy  # noqa: B018 - read and checked now, not in the middle of a run
        return cls(folder)

    def close(self) -> None:
        """Give back what is open; another process may then own the index."""
        if "knowledge" in vars(self):
            self.knowledge.close()

    async def aclose(self) -> None:
        """Close the connections to models and helpdesks too; call it where the event loop runs that used them."""
        from deskhand_helpdesks import close_helpdesk

        for helpdesk in self._helpdesks.values():
            await close_helpdesk(helpdesk)
        if "models" in vars(self):
            await self.models.close()
        self.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def encoder(self) -> Encoder:
        """Return the encoder, loaded once in a process."""
        from deskhand_memory import load_encoder

        return load_encoder()

    @cached_property
    def knowledge(self) -> Knowledge:
        """The articles, searchable."""
        from deskhand_memory import Knowledge

        return Knowledge.open(self.folder, encoder=self.encoder)

    @cached_property
    def policy(self) -> Policy:
        """What tools may do."""
        from deskhand_tools import Policy

        return Policy.load(self.folder.root / "policy.toml")

    @cached_property
    def toolbox(self) -> Toolbox:
        """The tools that agents may call: of the helpdesk, over the order database, and the workspace's own."""
        from deskhand_tools import Toolbox, helpdesk_tools, order_tools

        orders = self.folder.orders
        own = [tool for name in self.folder.config.tools.own for tool in self._own_tools(name)]
        return Toolbox([*helpdesk_tools(), *(order_tools(orders) if orders else ()), *own], self.policy)

    def _own_tools(self, name: str) -> list[Tool]:
        from deskhand_tools import Tool

        found = load_attribute(name, self.folder.root, key="tools.own")
        tools = list(found) if isinstance(found, (list, tuple)) else [found]
        if not all(isinstance(tool, Tool) for tool in tools):
            raise ConfigError(f"tools.own: {name!r} is not a deskhand_tools.Tool or a list of them; correct the name")
        return tools

    @cached_property
    def labelled(self) -> tuple[LabelledTicket, ...]:
        """The labelled tickets; none when the file is missing. Raises InputError for a wrong row."""
        from deskhand_agents import load_labelled

        return load_labelled(self.folder.labelled, self.folder.taxonomy) if self.folder.labelled.exists() else ()

    @cached_property
    def examples(self) -> ExamplesTriage:
        """The classifier that works from labelled tickets."""
        from deskhand_agents import ArtifactStore, ExamplesTriage
        from deskhand_graphs.library import triage_library

        return ExamplesTriage(
            self.labelled,
            self.folder.taxonomy,
            self.encoder(),
            ArtifactStore(self.folder.state / "artifacts" / "triage"),
            library=triage_library(self.folder, self.encoder().languages),
            neighbours=self.folder.config.triage.neighbours,
            target=self.folder.config.triage.target,
        )

    @cached_property
    def models(self) -> Models:
        """The models of the workspace; nothing is opened before the first call."""
        from deskhand_models import Models

        return Models.open(self.folder)

    @cached_property
    def triage(self) -> Cascade[TriageTask, Triage]:
        """The classifier."""
        from deskhand_graphs.cascades import build_triage

        return build_triage(self)

    def learn(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Fit the classifier when the labelled tickets, the taxonomy or the encoder changed; else do nothing.

        Raises:
            StoreError: The fitted arrays cannot be written.
        """
        if self.labelled:
            self.examples.prepare(*([progress] if progress else []))

    @cached_property
    def resolver(self) -> Cascade[ResolveTask[Scope], Resolution]:
        """The agent that reads systems of record."""
        from deskhand_graphs.cascades import build_resolver

        return build_resolver(self)

    @cached_property
    def summarizer(self) -> Cascade[SummaryTask, Summary]:
        """The agent that summarises."""
        from deskhand_graphs.cascades import build_summarizer

        return build_summarizer(self)

    @cached_property
    def drafter(self) -> Cascade[DraftTask, Draft]:
        """The agent that drafts."""
        from deskhand_graphs.cascades import build_drafter

        return build_drafter(self)

    def helpdesk(self, source: str) -> Helpdesk:
        """Return the helpdesk that tickets of ``source`` come from, the same one whenever it is asked for.

        ``file`` is the workspace's own folder, unless a helpdesk of this name is configured.

        Raises:
            ConfigError: No helpdesk of this name is configured.
        """
        from deskhand_helpdesks import FolderHelpdesk, build_helpdesk

        settings = self.folder.config.helpdesks.get(source)
        if source not in self._helpdesks:
            if settings is not None:
                self._helpdesks[source] = build_helpdesk(source, settings, self.folder.root)
            elif source == "file":
                outgoing = self.folder.root / "tickets" / "outgoing"
                self._helpdesks[source] = FolderHelpdesk(self.folder.incoming, outgoing)
            else:
                known = ", ".join(sorted({"file", *self.folder.config.helpdesks}))
                raise ConfigError(
                    f"no helpdesk is configured for tickets of source {source!r}; there are: {known};"
                    f" add [helpdesks.{source}] to deskhand.toml"
                )
        return self._helpdesks[source]

    def graph(self, name: str) -> StateGraph[Any, Any]:
        """Return a graph, uncompiled and built once: the built-in one, or one of the workspace's own.

        Raises:
            ConfigError: The name is unknown, or what it names is not a function that returns a StateGraph.
        """
        if name not in self._graphs:
            self._graphs[name] = self._build(name)
        return self._graphs[name]

    def compiled(
        self, name: str, saver: BaseCheckpointSaver[str] | None = None
    ) -> CompiledStateGraph[Any, Any, Any, Any]:
        """Return a graph compiled over ``saver``. Compiling is done once: what belongs to a run is not in it.

        Raises:
            ConfigError: As for ``graph``.
        """
        if name not in self._compiled:
            self._compiled[name] = self.graph(name).compile()
        return self._compiled[name].copy({"checkpointer": saver})

    def _build(self, name: str) -> StateGraph[Any, Any]:
        own = self.folder.config.graphs.own
        if name not in own and name not in BUILT_IN:
            known = ", ".join(sorted({*own, *BUILT_IN}))
            raise ConfigError(f"no graph {name!r}; there are: {known}; add your own to graphs.own in deskhand.toml")
        build = load_attribute(own.get(name) or BUILT_IN[name], self.folder.root, key=f"graphs.own.{name}")
        return self._built(name, build)

    def _built(self, name: str, build: Any) -> StateGraph[Any, Any]:
        from langgraph.graph import StateGraph

        try:
            graph = build(self) if callable(build) else build
        except DeskhandError:
            raise
        except Exception as exc:  # the edge to the user's own code
            raise ConfigError(
                f"graphs.own.{name}: building it fails ({type(exc).__name__}: {exc}); correct it"
            ) from exc
        if not isinstance(graph, StateGraph):
            raise ConfigError(
                f"graphs.own.{name}: gave a {type(graph).__name__}; it must be a function of the workspace"
                " that returns a langgraph StateGraph, not compiled"
            )
        return graph
