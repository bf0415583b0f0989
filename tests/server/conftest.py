"""Applications and servers for the tests of this room."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from server_house import API_KEY, CONFIG, PASSWORD, SECRET, House, MemoryEngine

from deskhand.clock import SystemClock
from deskhand.config import WorkspaceFolder, find_workspace
from deskhand.testing import FixedClock, build_workspace
from deskhand_graphs import Workspace
from deskhand_runs import RunStore
from deskhand_server import Serving, build_app, serve

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_SECRET", SECRET)
    monkeypatch.setenv("DESK_SECRET", "path-secret")
    monkeypatch.setenv("DESK_TOKEN", "token")
    monkeypatch.setenv("DESKHAND_PASSWORD", PASSWORD)
    monkeypatch.setenv("DESKHAND_API_KEY", API_KEY)


@pytest.fixture
def make_house(tmp_path: Path) -> Iterator[Callable[..., House]]:
    """Return a function that builds an application; ``config`` replaces the workspace's."""
    stores = []

    def make(config: str = CONFIG) -> House:
        folder = find_workspace(build_workspace(tmp_path / f"house-{len(stores)}", config=config))
        store = RunStore.open(folder)
        stores.append(store)
        engine, clock = MemoryEngine(store), FixedClock()
        app = build_app(engine, Workspace.open(folder), folder.config.server, clock)
        return House(app, engine, clock, folder)

    yield make
    for store in stores:
        store.close()


@pytest.fixture
def house(make_house: Callable[..., House]) -> House:
    return make_house()


@pytest.fixture
def log_lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, logger="deskhand_server")
    return lambda: [record.getMessage() for record in caplog.records if record.name.startswith("deskhand_server")]


@dataclass
class Live:
    """A real server in a thread, over a real engine."""

    url: str
    folder: WorkspaceFolder
    serving: Serving
    run: Callable[[Callable[[], Awaitable[Any]]], Any]
    engine: Any


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server as ``deskhand serve`` runs it, on a free port, with the engine at work."""
    from deskhand_runs import open_engine

    names = {"SHOP_SECRET": SECRET, "DESKHAND_PASSWORD": PASSWORD, "DESKHAND_API_KEY": API_KEY}
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    config = CONFIG.replace("https://desk.example", "http://127.0.0.1")
    folder = find_workspace(build_workspace(tmp_path_factory.mktemp("live"), config=config))
    started = threading.Event()
    found: dict[str, Any] = {}

    async def work() -> None:
        found["loop"] = asyncio.get_running_loop()
        with Workspace.open(folder) as workspace:
            workspace.knowledge.ingest()
            workspace.learn()
            async with open_engine(workspace) as engine:
                found["engine"] = engine
                app = build_app(engine, workspace, folder.config.server, SystemClock())

                def on_start(serving: Serving) -> None:
                    found["serving"] = serving
                    started.set()

                await serve(app, engine, host="127.0.0.1", port=0, on_start=on_start, work_s=10)
            await workspace.aclose()

    def main() -> None:
        try:
            asyncio.run(work())
        except BaseException as exc:
            found["error"] = exc
            raise
        finally:
            started.set()

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    assert started.wait(300)
    if "serving" not in found:
        raise RuntimeError("the server did not start") from found.get("error")
    serving: Serving = found["serving"]

    def run(make: Callable[[], Awaitable[Any]]) -> Any:
        async def wrapped() -> Any:
            return await make()

        return asyncio.run_coroutine_threadsafe(wrapped(), found["loop"]).result(60)

    yield Live(serving.url, folder, serving, run, found["engine"])
    found["loop"].call_soon_threadsafe(serving.stop)
    thread.join(120)
    assert not thread.is_alive(), "the server did not stop"
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    # `make test` needs only python3 and make on one's own machine; in CI nothing is skipped: without chromium it fails.
    if not os.path.exists(CHROMIUM) and not os.environ.get("CI"):
        pytest.skip("there is no chromium here; install Debian's, CI has it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def sit_down(browser: Any, live: Live) -> Iterator[Callable[..., Any]]:
    """Return a function that logs a person in; whatever a page complained about fails the test."""
    from reviewer import Reviewer

    people: list[Reviewer] = []

    def log_in(**options: Any) -> Reviewer:
        people.append(Reviewer(browser.new_context(**options), live, PASSWORD))
        return people[-1]

    yield log_in
    for person in people:
        person.page.context.close()
        assert person.trouble == []
