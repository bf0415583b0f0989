"""What an agent may do to the world: tools, their effects, the policy over them, and where arguments come from."""

from deskhand_tools.helpdesk import REPLY, helpdesk_tools
from deskhand_tools.orders import ORDER_TOOL_NAMES, order_tools
from deskhand_tools.policy import Judgement, Policy, Rule
from deskhand_tools.provenance import Records
from deskhand_tools.tool import Scope, Tool, as_langchain
from deskhand_tools.toolbox import Toolbox

__all__ = [
    "ORDER_TOOL_NAMES",
    "REPLY",
    "Judgement",
    "Policy",
    "Records",
    "Rule",
    "Scope",
    "Tool",
    "Toolbox",
    "as_langchain",
    "helpdesk_tools",
    "order_tools",
]
