import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from deskhand_tools import Policy, Toolbox, order_tools

README = Path(__file__).parents[2] / "tools" / "README.md"


def block(language):
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)[0]


async def test_money_tool_of_the_readme_is_proposed_and_carried_out(tmp_path, orders_db, ctx, scope, monkeypatch):
    paid = {}

    class Provider(ModuleType):
        async def refund(self, order_id, cents, currency, *, idempotency_key):
            return paid.setdefault(idempotency_key, f"ref-{len(paid)}")

    monkeypatch.setitem(sys.modules, "my_provider", Provider("my_provider"))
    names = {}
    exec(block("python"), names)
    (tmp_path / "policy.toml").write_text(block("toml"))
    toolbox = Toolbox([*order_tools(orders_db), names["PAY_BACK"]], Policy.load(tmp_path / "policy.toml"))
    await toolbox.call("get_order", {"order_id": "HF-1"}, ctx, scope)
    action = await toolbox.call("pay_back", {"order_id": "HF-1", "cents": 12900, "currency": "EUR"}, ctx, scope)
    assert action.verdict == "needs_approval"
    carried_out = [await toolbox.carry_out(action, replace(scope, action_key=action.key)) for _ in range(2)]
    assert carried_out == ["ref-0", "ref-0"]
    refused = await toolbox.call("pay_back", {"order_id": "HF-1", "cents": 99, "currency": "EUR"}, ctx, scope)
    assert refused.verdict == "refused"
