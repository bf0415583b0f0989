"""One contestant of ``benchmarks/agents.py``: model -> tool -> model, by deskhand, a peer, or by hand.

    python benchmarks/agent_contestants.py deskhand-direct --fast http://127.0.0.1:9100/v1 --slow http://127.0.0.1:9150/v1

Takes what to measure from stdin and prints a line of JSON for each: ``alone 20`` and ``together 50`` give CPU
milliseconds a run, one by one and 50 at once; ``wall 200`` the seconds of so many runs, 50 at once, at the slow server;
``rss`` the megabytes. Until it is asked it does nothing, so contestants can take turns on one machine. It runs in the
environment where the contestant is installed, so it imports nothing of ours before it is asked to. Every contestant
has the same tool, and every run is checked: the tool's answer must be in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import operator
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, TypedDict

Run = Callable[[int], Awaitable[str]]
"""Does one run, which has a number, and returns what came of it."""

Build = Callable[[str, Path], Run]
"""Returns a contestant that asks the server at a base URL; the folder is for what it keeps."""

ASK = "What is 2 plus 3? Use the tool."
MODEL = "gpt-4o-mini"
AT_ONCE = 50
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two whole numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}


class State(TypedDict):
    """The state of the graph by hand; LangGraph reads it by its module."""

    messages: Annotated[list[Any], operator.add]


def add(a: int, b: int) -> int:
    """Adds two whole numbers.

    Args:
        a: The first number.
        b: The second number.
    """
    return a + b


def deskhand_over(transport: str) -> Build:
    """Return the shipped resolver over real tools, with ledger, policy and recording on."""

    def build(base_url: str, folder: Path) -> Run:
        from datetime import date

        from deskhand.actions import ActionVerdict, Effect
        from deskhand.context import RunContext
        from deskhand.libraries import prepare
        from deskhand.model_settings import ModelsSettings
        from deskhand.recorder import FileRecorder
        from deskhand.schema import Json, Model
        from deskhand.testing import build_ticket
        from deskhand.vault import PatternVault
        from deskhand.view import view_ticket
        from deskhand_agents import ResolveTask
        from deskhand_agents.llm_resolve import LlmResolver
        from deskhand_agents.prompt_files import load_prompt
        from deskhand_models import Models
        from deskhand_tools import Policy, Rule, Scope, Tool, Toolbox

        prepare()

        class Numbers(Model):
            a: int
            b: int

        async def run_tool(args: Numbers, scope: Scope) -> Json:
            return {"sum": add(args.a, args.b)}

        price = {"input_per_million_usd": 0.15, "output_per_million_usd": 0.60}
        one = {"model": f"openai/{MODEL}", "api_base": base_url, "transport": transport, "price": price}
        settings = ModelsSettings.model_validate({
            "tiers": {"small": ["m"], "strong": ["m"]}, "defs": {"m": one},
            "budget": {"run_usd": 1, "ticket_usd": 10_000, "day_usd": 10_000},
        })  # fmt: skip
        tool = Tool("add", "Adds two whole numbers.", Effect.read, Numbers, run_tool)
        toolbox = Toolbox([tool], Policy((Rule(tool="add", verdict=ActionVerdict.allowed),)))
        models = Models(settings, folder / "ledger.db")
        resolver = LlmResolver(models, toolbox, load_prompt(None, "resolve"))
        ticket = build_ticket(ASK)
        view = view_ticket(ticket, PatternVault())

        async def run(number: int) -> str:
            recorder = FileRecorder(folder / f"run-{number}.jsonl")
            ctx = RunContext(f"run-{number}", recorder=recorder, path="gather#0", ticket_id=ticket.id, agent="resolve")
            scope = Scope(ticket.id, ticket.requester, date(2026, 11, 20))
            answer = await resolver(ResolveTask(view, scope), ctx)
            recorder.close()
            return str(answer.value and answer.value.findings[0].facts["sum"])

        return run

    return build


def build_aiohttp(base_url: str, folder: Path) -> Run:
    """Return the floor: two POSTs over one session, and nothing else."""
    import aiohttp

    sessions: list[aiohttp.ClientSession] = []

    async def post(messages: list[Any]) -> Any:
        if not sessions:
            sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        body = json.dumps({"model": MODEL, "messages": messages, "tools": [ADD]}).encode()
        headers = {"content-type": "application/json"}
        async with sessions[0].post(f"{base_url}/chat/completions", data=body, headers=headers) as response:
            return (await response.json())["choices"][0]["message"]

    async def run(number: int) -> str:
        messages: list[Any] = [{"role": "user", "content": ASK}]
        while calls := (message := await post(messages)).get("tool_calls"):
            messages += [message, *_tool_messages(calls)]
        return str(message["content"])

    return run


def _tool_messages(calls: list[Any]) -> list[Any]:
    return [
        {
            "role": "tool",
            "tool_call_id": call["id"],
            "content": str(add(**json.loads(call["function"]["arguments"]))),
        }
        for call in calls
    ]


def build_hand_graph(base_url: str, folder: Path) -> Run:
    """Return what one writes by hand: a StateGraph of two nodes over ``litellm.acompletion``."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm
    from langgraph.graph import END, START, StateGraph

    async def ask(state: State) -> dict[str, Any]:
        answer = await litellm.acompletion(
            model=f"openai/{MODEL}", messages=state["messages"], tools=[ADD], api_base=base_url, api_key="none",
            num_retries=0,
        )  # fmt: skip
        return {"messages": [answer.choices[0].message.model_dump()]}

    async def call(state: State) -> dict[str, Any]:
        return {"messages": _tool_messages(state["messages"][-1]["tool_calls"])}

    graph = StateGraph(State)
    graph.add_node("ask", ask)
    graph.add_node("call", call)
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", lambda state: "call" if state["messages"][-1].get("tool_calls") else END)
    graph.add_edge("call", "ask")
    compiled = graph.compile()

    async def run(number: int) -> str:
        done = await compiled.ainvoke({"messages": [{"role": "user", "content": ASK}]})
        return str(done["messages"][-1]["content"])

    return run


def build_create_agent(base_url: str, folder: Path) -> Run:
    """Return LangChain's agent over its own OpenAI client."""
    chat_openai = import_module("langchain_openai").ChatOpenAI
    model = chat_openai(model=MODEL, base_url=base_url, api_key="none", max_retries=0)
    agent = import_module("langchain.agents").create_agent(model, [add])

    async def run(number: int) -> str:
        done = await agent.ainvoke({"messages": [{"role": "user", "content": ASK}]})
        return str(done["messages"][-1].content)

    return run


def build_pydantic_ai(base_url: str, folder: Path) -> Run:
    """Return pydantic-ai's agent."""
    chat = import_module("pydantic_ai.models.openai").OpenAIChatModel
    provider = import_module("pydantic_ai.providers.openai").OpenAIProvider(base_url=base_url, api_key="none")
    agent = import_module("pydantic_ai").Agent(chat(MODEL, provider=provider), tools=[add])

    async def run(number: int) -> str:
        return str((await agent.run(ASK)).output)

    return run


def build_openai_agents(base_url: str, folder: Path) -> Run:
    """Return the agent of openai-agents, without tracing."""
    agents = import_module("agents")
    agents.set_tracing_disabled(True)
    client = import_module("openai").AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0)
    model = agents.OpenAIChatCompletionsModel(model=MODEL, openai_client=client)
    agent = agents.Agent(name="adder", model=model, tools=[agents.function_tool(add)])

    async def run(number: int) -> str:
        return str((await agents.Runner.run(agent, ASK)).final_output)

    return run


def build_haystack(base_url: str, folder: Path) -> Run:
    """Return Haystack's agent."""
    os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
    generator = import_module("haystack.components.generators.chat").OpenAIChatGenerator(
        model=MODEL, api_base_url=base_url, api_key=import_module("haystack.utils").Secret.from_token("none")
    )
    tool = import_module("haystack.tools").create_tool_from_function(add)
    agent = import_module("haystack.components.agents").Agent(chat_generator=generator, tools=[tool])
    message = import_module("haystack.dataclasses").ChatMessage
    agent.warm_up()

    async def run(number: int) -> str:
        return str((await agent.run_async(messages=[message.from_user(ASK)]))["messages"][-1].text)

    return run


def build_smolagents(base_url: str, folder: Path) -> Run:
    """Return the tool-calling agent of smolagents; it is synchronous, so it runs in threads."""
    smolagents = import_module("smolagents")
    model = smolagents.OpenAIServerModel(model_id=MODEL, api_base=base_url, api_key="none")
    tool = smolagents.tool(add)

    def once() -> str:
        return str(smolagents.ToolCallingAgent(tools=[tool], model=model, verbosity_level=0).run(ASK))

    return _threaded(once)


def build_crewai(base_url: str, folder: Path) -> Run:
    """Return a crew of one; it is synchronous, so it runs in threads."""
    os.environ.update(CREWAI_DISABLE_TELEMETRY="true", OTEL_SDK_DISABLED="true", CREWAI_TRACING_ENABLED="false")
    os.environ.update(OPENAI_API_KEY="none", CREWAI_STORAGE_DIR=str(folder))
    crewai = import_module("crewai")
    tool = import_module("crewai.tools").tool("add")(add)
    llm = crewai.LLM(model=f"openai/{MODEL}", base_url=base_url, api_key="none")

    def once() -> str:
        agent = crewai.Agent(role="adder", goal="add", backstory="adds", llm=llm, tools=[tool], verbose=False)
        task = crewai.Task(description=ASK, expected_output="a number", agent=agent)
        return str(crewai.Crew(agents=[agent], tasks=[task], verbose=False).kickoff())

    return _threaded(once)


def _threaded(once: Callable[[], str]) -> Run:
    pool = ThreadPoolExecutor(AT_ONCE)

    async def run(number: int) -> str:
        return await asyncio.get_running_loop().run_in_executor(pool, once)

    return run


CONTESTANTS: dict[str, tuple[str, Build]] = {
    "deskhand-direct": ("deskhand", deskhand_over("direct")),
    "deskhand-litellm": ("deskhand", deskhand_over("litellm")),
    "aiohttp-by-hand": ("aiohttp", build_aiohttp),
    "graph-litellm-by-hand": ("litellm", build_hand_graph),
    "create_agent-ChatOpenAI": ("langchain-openai", build_create_agent),
    "pydantic-ai": ("pydantic-ai-slim", build_pydantic_ai),
    "openai-agents": ("openai-agents", build_openai_agents),
    "haystack": ("haystack-ai", build_haystack),
    "smolagents": ("smolagents", build_smolagents),
    "crewai": ("crewai", build_crewai),
}
"""By name: the package that it needs, and how it is built."""


async def repeat(run: Run, numbers: range, at_once: int) -> None:
    """Do runs, ``at_once`` of them at a time, and check what came of each."""
    gate = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with gate:
            said = await run(number)
        if "5" not in said:
            raise SystemExit(f"run {number} ended with {said[:200]!r}, not with the tool's answer")

    await asyncio.gather(*(one(number) for number in numbers))


async def take_turns(name: str, fast: str, slow: str) -> None:
    """Warm up, say so, and measure what stdin asks for until it ends."""
    package, build = CONTESTANTS[name]
    with tempfile.TemporaryDirectory() as scratch:
        quick, waiting = (_built(build, url, Path(scratch, kind)) for kind, url in (("fast", fast), ("slow", slow)))
        await repeat(quick, range(20), 1)
        await repeat(quick, range(20, 20 + AT_ONCE), AT_ONCE)
        _say({"version": _version(package)})
        first = 1_000
        while line := await asyncio.to_thread(sys.stdin.readline):
            kind, _, n = line.strip().partition(" ")
            numbers = range(first, first + int(n or 0))
            first = numbers.stop
            _say(await _measure(kind, numbers, quick, waiting))


async def _measure(kind: str, numbers: range, quick: Run, waiting: Run) -> float:
    if kind == "rss":
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    if kind == "wall":
        started = time.perf_counter()
        await repeat(waiting, numbers, AT_ONCE)
        return time.perf_counter() - started
    return await _cpu_ms(quick, numbers, AT_ONCE if kind == "together" else 1)


def _say(value: object) -> None:
    print(json.dumps(value), flush=True)


def _built(build: Build, base_url: str, folder: Path) -> Run:
    folder.mkdir()
    return build(base_url, folder)


async def _cpu_ms(run: Run, numbers: range, at_once: int) -> float:
    started = time.process_time()
    await repeat(run, numbers, at_once)
    return 1000 * (time.process_time() - started) / len(numbers)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "?"


def main() -> None:
    """Measure one contestant, or list those whose packages are installed here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=[*CONTESTANTS, "installed"])
    parser.add_argument("--fast", default="")
    parser.add_argument("--slow", default="")
    options = parser.parse_args()
    if options.name == "installed":
        print(json.dumps([name for name, (package, _) in CONTESTANTS.items() if _version(package) != "?"]))
        return
    asyncio.run(take_turns(options.name, options.fast, options.slow))
    os._exit(0)  # threads and clients of peers, whose ends nobody measures


if __name__ == "__main__":
    main()
