"""The test kit's model provider: an OpenAI-compatible server over real HTTP, with scripts, faults and a bill.

    async with FakeProvider(script=["Hello.", Fault.rate_limited, {"category": "returns"}]) as provider:
        ...  # POST provider.base_url + "/chat/completions"
        provider.billed_usd("small")

Or as a process: ``python -m deskhand.provider --port 9100``. It listens on 127.0.0.1 only and needs no key.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import re
import sys
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from deskhand.errors import ConfigError, InputError
from deskhand.provider_answers import (
    FOREIGN,
    PROSE,
    ProviderRequest,
    call_message,
    message_text,
    sensible_message,
)
from deskhand.provider_http import Body, Connection, HttpRequest, HttpResponse
from deskhand.schema import Json

KEPT_REQUESTS = 10_000
"""How many of the newest requests are kept for a test to look at."""


class Fault(StrEnum):
    """What may go wrong. A model whose name holds ``fault-<value>`` always fails so, ``fault-<value>-x2`` twice."""

    rate_limited = "rate-limited"
    server_error = "server-error"
    overloaded = "overloaded"
    unauthorized = "unauthorized"
    too_long = "too-long"
    hang = "hang"
    reset = "reset"
    truncated = "truncated"
    html = "html"
    no_choices = "no-choices"
    empty = "empty"
    echo = "echo"
    prose = "prose"
    foreign = "foreign"
    drip = "drip"


@dataclass(frozen=True)
class Call:
    """A tool call to script."""

    name: str
    args: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Price:
    """USD per million tokens, as the provider bills them."""

    prompt: float
    completion: float


Step = str | Fault | Call | Sequence[Call] | Mapping[str, Json] | None
"""A text, a fault, tool calls, an object to be sent as JSON text, or None for the built-in behaviour."""

Script = Sequence[Step] | Callable[[ProviderRequest], Step]

_FAULT_NAME = re.compile(rf"fault-({'|'.join(Fault)})(?:-x(\d+))?$")
_STATUSES = {
    Fault.rate_limited: (429, "rate_limit_exceeded", "slow down"),
    Fault.server_error: (500, "server_error", "something broke"),
    Fault.overloaded: (503, "overloaded", "try again later"),
    Fault.unauthorized: (401, "invalid_api_key", "the key is wrong"),
    Fault.too_long: (400, "context_length_exceeded", "the prompt is longer than this model's context of 4096 tokens"),
}
_SAID = {Fault.prose: PROSE, Fault.foreign: FOREIGN, Fault.empty: ""}
_UNANSWERED = frozenset({Fault.hang, Fault.reset})


def count_characters(text: str) -> int:
    """Return the tokens of ``text`` by the rule of thumb of four characters each."""
    return (len(text) + 3) // 4


class FakeProvider:
    """An OpenAI-compatible provider on 127.0.0.1: chat completions, models and embeddings.

    Args:
        script: What to answer: a list for all models in the order of their requests, or a function of the request.
        scripts: The same by model name. After the end of a list the built-in behaviour follows the request. Of a script
            for a model that is asked for embeddings only the faults count.
        latency_s: Seconds before each answer.
        retry_after_s: What a 429 tells its caller to wait.
        drip_s: Seconds over which a slow answer drips.
        prices: By model name; ``default_price`` for all others.
        count_tokens: How this provider counts; the result is multiplied by ``count_factor``.
        reasoning_tokens: Added to every completion and billed, ``max_tokens`` or not.
        bills_unanswered: Bill the worst case of attempts that hung or were cut off.
        reports_usage: False leaves ``usage`` out of the answers.
    """

    def __init__(
        self,
        script: Script = (),
        *,
        scripts: Mapping[str, Script] | None = None,
        port: int = 0,
        latency_s: float = 0.0,
        retry_after_s: float = 1.0,
        drip_s: float = 60.0,
        prices: Mapping[str, Price] | None = None,
        default_price: Price = Price(0.15, 0.60),
        count_tokens: Callable[[str], int] = count_characters,
        count_factor: float = 1.0,
        reasoning_tokens: int = 0,
        bills_unanswered: bool = True,
        reports_usage: bool = True,
    ) -> None:
        self._script, self._scripts = script, dict(scripts or {})
        self._port, self.latency_s, self._retry_after_s, self._drip_s = port, latency_s, retry_after_s, drip_s
        self._prices, self._default_price = dict(prices or {}), default_price
        self._count, self._factor = count_tokens, count_factor
        self._reasoning, self._bills_unanswered = reasoning_tokens, bills_unanswered
        self._reports_usage = reports_usage
        self._server: asyncio.Server | None = None
        self._connections: set[Connection] = set()
        self.reset()

    def reset(self) -> None:
        """Forget all requests, bills and the places in the scripts."""
        self.requests: deque[ProviderRequest] = deque(maxlen=KEPT_REQUESTS)
        self._numbers: Counter[str] = Counter()
        self._places: Counter[str] = Counter()
        self._billed: dict[str, float] = {}
        self.most_at_once = 0

    async def __aenter__(self) -> FakeProvider:
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(self._connect, "127.0.0.1", self._port, backlog=1024)
        except OSError as exc:
            raise ConfigError(f"port {self._port}: cannot be listened on ({exc.strerror}); choose another") from exc
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in list(self._connections):
            connection.close()
        await self._server.wait_closed()

    def _connect(self) -> Connection:
        return Connection(self.respond, self._connections)

    @property
    def base_url(self) -> str:
        """What clients take as ``api_base``: ``http://127.0.0.1:<port>/v1``."""
        return f"http://127.0.0.1:{self._port}/v1"

    def n_requests(self, model: str | None = None) -> int:
        """Return how many chat and embedding requests came in, for one model or for all."""
        return self._numbers.total() if model is None else self._numbers[model]

    def billed_usd(self, model: str | None = None) -> float:
        """Return what the provider bills, by its own count, for one model or for all."""
        return sum(self._billed.values()) if model is None else self._billed.get(model, 0.0)

    def respond(self, http: HttpRequest) -> HttpResponse:
        """Return the response to one HTTP request; the way in for a test without a socket too."""
        path = http.path.partition("?")[0].rstrip("/").removeprefix("/v1")
        if path == "/models":
            return _ok({"object": "list", "data": [{"id": name, "object": "model"} for name in self._known()]})
        if path == "/stats":
            return _ok({"n_requests": dict(self._numbers), "billed_usd": dict(self._billed)})
        if path not in ("/chat/completions", "/embeddings"):
            return _error(404, "not_found", f"no path {http.path}; use /v1/chat/completions, /v1/embeddings")
        try:
            request = self._note(path, http)
            return self._embed(request) if path == "/embeddings" else self._chat(request)
        except (InputError, KeyError, TypeError, ValueError, AttributeError) as exc:
            return _error(400, "invalid_request_error", f"the request cannot be read ({exc!r}); correct it")

    def _known(self) -> list[str]:
        return list(dict.fromkeys([*self._scripts, *self._prices, *self._numbers])) or ["small", "strong"]

    def _note(self, path: str, http: HttpRequest) -> ProviderRequest:
        body = json.loads(http.body)
        model = str(body["model"])
        self._numbers[model] += 1
        request = ProviderRequest(path, model, body, http.headers.get("authorization", ""), self._numbers[model])
        self.requests.append(request)
        self.most_at_once = max(self.most_at_once, sum(connection.is_busy for connection in self._connections))
        return request

    def _chat(self, request: ProviderRequest) -> HttpResponse:
        if not request.messages:
            raise InputError("messages: missing; send at least one")
        if request.body.get("stream"):
            raise InputError("stream: not supported by the test provider; leave it out")
        step = self._step(request)
        if isinstance(step, Fault) and step in _STATUSES:
            response = self._refuse(step)
        else:
            response = self._complete(request, step)
        return replace(response, delay_s=self.latency_s)

    def _step(self, request: ProviderRequest) -> Step:
        named = _FAULT_NAME.search(request.model)
        if named and (named[2] is None or request.number <= int(named[2])):
            return Fault(named[1])
        script = self._scripts.get(request.model, self._script)
        if callable(script):
            return script(request)
        key = request.model if request.model in self._scripts else ""
        place = self._places[key]
        self._places[key] += 1
        return script[place] if place < len(script) else None

    def _refuse(self, fault: Fault) -> HttpResponse:
        status, code, text = _STATUSES[fault]
        response = _error(status, code, text)
        if fault is Fault.rate_limited:
            return replace(response, headers={"retry-after": f"{self._retry_after_s:g}"})
        return response

    def _complete(self, request: ProviderRequest, step: Step) -> HttpResponse:
        message = self._message(request, step)
        prompt_tokens = self._tokens(json.dumps(request.body["messages"]) + json.dumps(request.body.get("tools", "")))
        message, finish, completion_tokens = self._cut(request, message)
        is_answered = not (isinstance(step, Fault) and step in _UNANSWERED)
        if not is_answered:
            completion_tokens = max(completion_tokens, self._limit(request) or 0)
        completion_tokens += self._reasoning
        if is_answered or self._bills_unanswered:
            self._bill(request.model, prompt_tokens, completion_tokens)
        body: dict[str, Any] = {
            "id": f"chatcmpl-{request.model}-{request.number}",
            "object": "chat.completion",
            "created": 1_800_000_000,
            "model": request.model,
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        }
        if self._reports_usage:
            body["usage"] = {
                "prompt_tokens": prompt_tokens,
                "completion_tokens": completion_tokens,
                "total_tokens": prompt_tokens + completion_tokens,
                "completion_tokens_details": {"reasoning_tokens": self._reasoning},
            }
        return self._spoil(body, step)

    def _message(self, request: ProviderRequest, step: Step) -> dict[str, Any]:
        if isinstance(step, Fault):
            text = message_text(request.messages[-1]) if step is Fault.echo else _SAID.get(step)
            return sensible_message(request) if text is None else {"role": "assistant", "content": text}
        if isinstance(step, str):
            return {"role": "assistant", "content": step}
        if isinstance(step, Call):
            return call_message([(step.name, step.args)], request.number)
        if isinstance(step, Mapping):
            return {"role": "assistant", "content": json.dumps(step, ensure_ascii=False)}
        if step is None:
            return sensible_message(request)
        return call_message([(call.name, call.args) for call in step], request.number)

    def _limit(self, request: ProviderRequest) -> int | None:
        limit = request.body.get("max_completion_tokens") or request.body.get("max_tokens")
        return int(limit) if limit else None

    def _cut(self, request: ProviderRequest, message: dict[str, Any]) -> tuple[dict[str, Any], str, int]:
        """Return the message within ``max_tokens``, why it ended, and its tokens."""
        calls = message.get("tool_calls")
        if calls:
            return message, "tool_calls", self._tokens(json.dumps(calls))
        text, limit = message["content"], self._limit(request)
        n_tokens = self._tokens(text)
        if limit is None or n_tokens <= limit:
            return message, "stop", n_tokens
        return message | {"content": text[: len(text) * limit // n_tokens]}, "length", limit

    def _tokens(self, text: str) -> int:
        return -int(-self._count(text) * self._factor // 1)

    def _bill(self, model: str, prompt_tokens: int, completion_tokens: int) -> None:
        price = self._prices.get(model, self._default_price)
        usd = (prompt_tokens * price.prompt + completion_tokens * price.completion) / 1e6
        self._billed[model] = self._billed.get(model, 0.0) + usd

    def _spoil(self, body: dict[str, Any], step: Step) -> HttpResponse:
        if step is Fault.html:
            return HttpResponse(200, b"<html><body>Bad gateway</body></html>", headers={"content-type": "text/html"})
        if step is Fault.no_choices:
            return _ok(body | {"choices" if "choices" in body else "data": []})
        response = _ok(body)
        if step is Fault.truncated:
            return replace(response, body=response.body[: len(response.body) // 2])
        manners = {Fault.hang: Body.never, Fault.reset: Body.cut, Fault.drip: Body.dripped}
        manner = manners.get(step, Body.whole) if isinstance(step, Fault) else Body.whole
        return replace(response, manner=manner, drip_s=self._drip_s)

    def _embed(self, request: ProviderRequest) -> HttpResponse:
        is_scripted = request.model in self._scripts or _FAULT_NAME.search(request.model)
        step = self._step(request) if is_scripted else None
        if isinstance(step, Fault) and step in _STATUSES:
            return replace(self._refuse(step), delay_s=self.latency_s)
        texts = request.body["input"]
        texts = [texts] if isinstance(texts, str) else texts
        rows = [{"object": "embedding", "index": i, "embedding": _vector(text)} for i, text in enumerate(texts)]
        n_tokens = sum(self._tokens(text) for text in texts)
        if step not in _UNANSWERED or self._bills_unanswered:
            self._bill(request.model, n_tokens, 0)
        body: dict[str, Any] = {"object": "list", "model": request.model, "data": rows}
        if self._reports_usage:
            body["usage"] = {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
        return replace(self._spoil(body, step), delay_s=self.latency_s)


def _vector(text: str) -> list[float]:
    """A unit vector of 16 numbers that depends on the text alone; like texts are not near each other."""
    raw = [byte - 127.5 for byte in hashlib.sha256(text.encode()).digest()[:16]]
    length = sum(number * number for number in raw) ** 0.5
    return [round(number / length, 6) for number in raw]


def _ok(body: Mapping[str, Any]) -> HttpResponse:
    return HttpResponse(200, json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace"))


def _error(status: int, code: str, message: str) -> HttpResponse:
    error = {"message": message, "type": code, "code": code}
    return HttpResponse(status, json.dumps({"error": error}).encode())


async def serve(provider: FakeProvider) -> None:
    """Serve until cancelled; the first line on stdout is ``ready <base url>``."""
    async with provider:
        sys.stdout.write(f"ready {provider.base_url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main(argv: Sequence[str] | None = None) -> None:
    """Serve on a port until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m deskhand.provider", description=__doc__.split("\n")[0])
    parser.add_argument("--port", type=int, default=0, help="0 for a free one")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--count-factor", type=float, default=1.0)
    parser.add_argument("--reasoning-tokens", type=int, default=0)
    options = parser.parse_args(argv)
    provider = FakeProvider(
        port=options.port,
        latency_s=options.latency_ms / 1000,
        count_factor=options.count_factor,
        reasoning_tokens=options.reasoning_tokens,
    )
    try:
        asyncio.run(serve(provider))
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")


if __name__ == "__main__":
    main()
