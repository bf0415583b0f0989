import subprocess
import sys

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool

from deskhand.errors import InputError
from deskhand.provider import Call, FakeProvider
from deskhand_models.chat import TierChat, read_message


@tool
def find_order(order_id: str) -> str:
    """Return the state of an order."""
    return f"{order_id}: shipped"


async def test_agent_of_langchain_calls_a_tool_and_answers(open_models, ctx):
    script = [[Call("find_order", {"order_id": "HF-1"}), Call("find_order", {"order_id": "HF-2"})], "Both are shipped."]
    async with FakeProvider(script=script) as provider, open_models(["m"], provider.base_url) as models:
        chat = TierChat(models=models, tier="strong", ctx=ctx, deadline_s=60)
        agent = create_agent(chat, tools=[find_order], system_prompt="You help.")
        state = await agent.ainvoke({"messages": [HumanMessage("Where are HF-1 and HF-2?")]})
        last = state["messages"][-1]
        assert last.text == "Both are shipped." and last.usage_metadata["output_tokens"] == 5
        assert last.response_metadata["model_name"] == "openai/m" and last.response_metadata["cost_usd"] > 0
        assert [m["role"] for m in provider.requests[1].messages] == ["system", "user", "assistant", "tool", "tool"]
        assert provider.requests[1].messages[-1]["content"] == "HF-2: shipped"
        assert models.ledger.costs("agent")[0].n_answers == 2


async def test_forced_choice_and_synchronous_calls_are_refused(open_models, ctx):
    async with open_models(["m"], "http://127.0.0.1:1/v1") as models:
        chat = TierChat(models=models, tier="strong", ctx=ctx)
        assert chat._llm_type == "deskhand"
        with pytest.raises(InputError, match="tool_choice='any'"):
            chat.bind_tools([find_order], tool_choice="any")
        with pytest.raises(InputError, match="ainvoke"):
            chat.invoke("hello")


@pytest.mark.parametrize(
    ("message", "role"),
    [
        (SystemMessage("x"), "system"),
        (HumanMessage([{"type": "text", "text": "x"}]), "user"),
        (AIMessage("x"), "assistant"),
        (ToolMessage("x", tool_call_id="c"), "tool"),
    ],
)
def test_messages_keep_their_role_and_their_text(message, role):
    read = read_message(message)
    assert (read.role, read.content, read.tool_call_id) == (role, "x", "c" if role == "tool" else "")


def test_package_is_imported_without_anything_heavy():
    script = (
        "import sys, deskhand_models;"
        "heavy = {'litellm', 'langchain_core', 'aiohttp', 'tiktoken', 'openai', 'numpy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
