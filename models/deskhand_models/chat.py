"""A LangChain chat model over ``Models``, for agents that LangChain runs. Imports langchain_core."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.messages import ChatMessage as RoleMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from deskhand.context import RunContext
from deskhand.errors import InputError
from deskhand.interfaces import ChatMessage, ChatModel, Completion, ToolCall

_ROLES = {"human": "user", "ai": "assistant", "system": "system", "tool": "tool", "developer": "system"}


class TierChat(BaseChatModel):
    """One tier as a LangChain chat model, for one run. Asynchronous only: use ``ainvoke``.

    Args:
        models: What answers, such as ``Models``.
        tier: ``small``, ``strong`` or ``judge``.
        ctx: The run.
        deadline_s: Seconds for each call.
    """

    models: Any
    tier: str
    ctx: Any
    deadline_s: float = 60.0

    @property
    def _llm_type(self) -> str:
        return "deskhand"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return this model with tools. Raises InputError for a forced choice: the model decides."""
        if tool_choice not in (None, "auto"):
            raise InputError(f"tool_choice={tool_choice!r} is not supported; leave it out, or give one tool only")
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise InputError("TierChat answers asynchronously only; call ainvoke")

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
        **kwargs: Any,
    ) -> ChatResult:
        models: ChatModel = self.models
        ctx: RunContext = self.ctx
        prompt = [read_message(message) for message in messages]
        completion = await models.complete(self.tier, prompt, tools=tools, deadline_s=self.deadline_s, ctx=ctx)
        return ChatResult(generations=[ChatGeneration(message=build_message(completion))])


def read_message(message: BaseMessage) -> ChatMessage:
    """Return a LangChain message in our form; parts of its content that are not text are left out."""
    role = message.role if isinstance(message, RoleMessage) else _ROLES.get(message.type, "user")
    calls = message.tool_calls if isinstance(message, AIMessage) else []
    return ChatMessage(
        role,
        str(message.text),
        tool_call_id=message.tool_call_id if isinstance(message, ToolMessage) else "",
        tool_calls=tuple(
            ToolCall(call["id"] or "", call["name"], json.loads(json.dumps(call["args"]))) for call in calls
        ),
    )


def build_message(completion: Completion) -> AIMessage:
    """Return a completion as LangChain's message, with its tool calls and its usage."""
    usage = completion.usage
    return AIMessage(
        content=completion.text,
        tool_calls=[
            {"id": call.id, "name": call.name, "args": dict(call.args), "type": "tool_call"}
            for call in completion.tool_calls
        ],
        response_metadata={
            "model_name": completion.model, "finish_reason": completion.finish_reason, "cost_usd": usage.cost_usd
        },
        usage_metadata=UsageMetadata(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
        ),
    )  # fmt: skip
