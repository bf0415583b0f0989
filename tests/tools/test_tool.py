import json

from deskhand.actions import Effect
from deskhand.errors import ToolFailed, ToolRetry
from deskhand.schema import Model
from deskhand_tools import Policy, Tool, Toolbox, as_langchain, helpdesk_tools, order_tools


class Args(Model):
    n: int
    note: str = "none"


async def add(args, scope):
    return {"sum": args.n + 1}


ADD = Tool("add", "Add one.", Effect.read, Args, add)


async def say(langchain, **args):
    return await langchain.ainvoke({"type": "tool_call", "id": "1", "name": langchain.name, "args": args})


async def test_langchain_tool_has_the_schema_and_passes_arguments_as_they_came():
    seen = {}

    async def call(args):
        seen.update(args)
        return {"ok": True}

    tool = as_langchain(ADD, call)
    message = await say(tool, n="7")
    assert (tool.name, tool.description) == ("add", "Add one.")
    assert tool.tool_call_schema["properties"].keys() == {"n", "note"}
    assert (seen, json.loads(message.content), message.artifact) == ({"n": "7"}, {"ok": True}, None)


async def test_errors_for_the_model_are_messages_not_exceptions():
    for error in (ToolRetry("n: too small; raise it", tool_name="add"), ToolFailed("gone; go on", tool_name="add")):

        async def call(args, error=error):
            raise error

        assert (await say(as_langchain(ADD, call), n=1)).content == f"error: {error}"


async def test_toolbox_gives_langchain_tools_that_read_and_propose(orders_db, ctx, scope):
    toolbox = Toolbox([*order_tools(orders_db), *helpdesk_tools()], Policy())
    tools = {tool.name: tool for tool in toolbox.as_langchain(ctx, scope)}
    order = await say(tools["get_order"], order_id="HF-1")
    assert json.loads(order.content)["total"]["text"] == "EUR 129.00"
    tag = await say(tools["add_tag"], tag="late")
    assert tag.content.startswith(f"proposed {tag.artifact.id} (refused: ")
    assert tag.artifact.args == {"tag": "late"}


def test_parameters_are_a_json_schema():
    assert ADD.parameters()["required"] == ["n"]
