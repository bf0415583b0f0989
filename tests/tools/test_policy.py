import pytest

from deskhand.actions import ActionVerdict, Effect
from deskhand.errors import ConfigError
from deskhand_tools import Policy

REFUND = 'schema = 1\n[[rule]]\ntool = "refund_order"\nverdict = "needs_approval"\n'


def load(tmp_path, text):
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return Policy.load(path)


@pytest.mark.parametrize(
    ("name", "effect", "verdict"),
    [
        ("get_order", Effect.read, "allowed"),
        ("reply", Effect.write, "needs_approval"),
        ("reply", Effect.money, "refused"),
        ("add_tag", Effect.write, "refused"),
        ("refund_order", Effect.money, "refused"),
    ],
)
def test_without_a_file_everything_but_reading_and_replying_is_refused(tmp_path, name, effect, verdict):
    judged = Policy.load(tmp_path / "none.toml").judge(name, effect, {}, {})
    assert judged.verdict == verdict
    assert judged.reason


def test_rule_decides_and_gives_its_reason(tmp_path):
    policy = load(
        tmp_path, 'schema = 1\n[[rule]]\ntool = "get_order"\nverdict = "refused"\nreason = "no orders here"\n'
    )
    assert policy.judge("get_order", Effect.read, {}, {}) == policy.judge("get_order", Effect.write, {}, {})
    assert policy.judge("get_order", Effect.read, {}, {}).reason == "no orders here"


@pytest.mark.parametrize("verdict", list(ActionVerdict))
def test_rule_without_a_reason_gets_one(tmp_path, verdict):
    policy = load(tmp_path, f'schema = 1\n[[rule]]\ntool = "add_tag"\nverdict = "{verdict.value}"\n')
    judged = policy.judge("add_tag", Effect.write, {"tag": "x"}, {"tag": "model"})
    assert (judged.verdict, bool(judged.reason)) == (verdict, True)


@pytest.mark.parametrize("source", ["model", "", "recorded", "Record:x", "configuration", "ticket"])
def test_money_argument_of_unknown_source_is_refused_though_nothing_names_it_guarded(tmp_path, source):
    policy = load(tmp_path, REFUND)
    judged = policy.judge("refund_order", Effect.money, {"amount": 5}, {"amount": source})
    assert judged.verdict is ActionVerdict.refused
    assert "amount" in judged.reason


def test_guarded_argument_without_provenance_is_refused(tmp_path):
    assert load(tmp_path, REFUND).judge("refund_order", Effect.money, {"amount": 5}, {}).verdict == "refused"


@pytest.mark.parametrize("source", ["record:get_order:1#total/cents", "record:order", "config"])
def test_guarded_argument_of_a_trusted_source_passes(tmp_path, source):
    judged = load(tmp_path, REFUND).judge("refund_order", Effect.money, {"amount": 5}, {"amount": source})
    assert judged.verdict is ActionVerdict.needs_approval


def test_guarded_values_of_two_records_are_refused(tmp_path):
    judged = load(tmp_path, REFUND).judge(
        "refund_order", Effect.money, {"order": "A", "amount": 5},
        {"order": "record:list:1/orders/0#id", "amount": "record:list:1/orders/1#total"},
    )  # fmt: skip
    assert judged.verdict is ActionVerdict.refused
    assert "different records" in judged.reason


def test_guarded_list_of_the_rule_replaces_the_default(tmp_path):
    policy = load(tmp_path, f'{REFUND}guarded = ["amount"]\n')
    args = {"amount": 5, "note": "sorry"}
    assert policy.judge("refund_order", Effect.money, args, {"amount": "config", "note": "model"}).verdict != "refused"
    assert policy.judge("refund_order", Effect.money, args, {"amount": "model", "note": "config"}).verdict == "refused"


def test_guarded_name_that_no_argument_has_is_refused(tmp_path):
    judged = load(tmp_path, f'{REFUND}guarded = ["amuont"]\n').judge("refund_order", Effect.money, {"amount": 5}, {})
    assert judged.verdict is ActionVerdict.refused
    assert "amuont" in judged.reason


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "schema"),
        ("schema = 2\n", "upgrade"),
        ("schema = 1\n[[rule]]\n", "rule.0.tool"),
        ('schema = 1\n[[rule]]\ntool = "a"\nverdict = "maybe"\n', "verdict"),
        ('schema = 1\n[[rules]]\ntool = "a"\nverdict = "allowed"\n', "rules"),
        ('schema = 1\n[[rule]]\ntool = "a"\nverdict = "allowed"\n[[rule]]\ntool = "a"\nverdict = "refused"\n', "'a'"),
        ("schema = 1\n[[rule", "TOML"),
    ],
)
def test_wrong_file_is_a_config_error_that_says_where(tmp_path, text, shown):
    with pytest.raises(ConfigError, match=r"policy\.toml") as caught:
        load(tmp_path, text)
    assert shown in str(caught.value)
    assert "\n" not in str(caught.value)
