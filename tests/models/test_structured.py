import pytest
from pydantic import BaseModel, Field

from deskhand.interfaces import ChatMessage
from deskhand_models.structured import NotInSchema, build_schema, repair_turn


class Inner(BaseModel):
    name: str
    note: str | None = None


class Outer(BaseModel):
    inner: Inner
    many: list[Inner] = []
    pair: tuple[int, str] = (1, "a")
    either: Inner | int = 3
    share: float = Field(default=0.5, ge=0, le=1)


class Open(BaseModel):
    scores: dict[str, int]


GOOD = '{"inner": {"name": "x", "note": null}, "many": [], "pair": [1, "b"], "either": 4, "share": 0.2}'


def test_schema_is_closed_all_the_way_down():
    schema = build_schema(Outer)
    inner = schema.json_schema["$defs"]["Inner"]
    assert schema.is_strict and schema.json_schema["required"] == ["inner", "many", "pair", "either", "share"]
    assert inner["required"] == ["name", "note"] and inner["additionalProperties"] is False
    assert "default" not in str(schema.json_schema)


def test_schema_with_free_keys_is_not_strict():
    schema = build_schema(Open)
    assert not schema.is_strict and schema.response_format()["json_schema"]["strict"] is False


def test_closing_leaves_the_type_itself_alone():
    build_schema(Inner)
    assert Inner.model_json_schema()["required"] == ["name"] and Inner(name="x").note is None


@pytest.mark.parametrize("text", [GOOD, f"```json\n{GOOD}\n```", f"Here it is: {GOOD} Does it help?", f" \n{GOOD}"])
def test_object_is_found_in_what_stands_around_it(text):
    assert build_schema(Outer).read(text)["pair"] == [1, "b"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it holds no JSON object"),
        ("[1, 2]", "it holds no JSON object"),
        ('{"inner": ', "it is not JSON"),
        ('{"inner": {"name": NaN}}', "it is not JSON"),
        ('{"a":' * 100_000, "it is not JSON"),
        ('{"inner": {}}', "it does not follow the schema: inner.name: field required"),
        ('{"inner": {"name": "x"}, "share": 2}', "share: input should be less than or equal to 1, got 2"),
    ],
)
def test_what_is_wrong_is_said(text, problem):
    with pytest.raises(NotInSchema, match=problem):
        build_schema(Outer).read(text)


def test_repair_shows_the_answer_and_the_problem():
    answer, wish = repair_turn("nonsense", NotInSchema("it holds no JSON object"))
    assert (answer.role, answer.content, wish.role) == ("assistant", "nonsense", "user")
    assert "it holds no JSON object" in wish.content


def test_wish_in_words_joins_the_system_message_that_is_there():
    schema, user = build_schema(Inner), ChatMessage("user", "Hi")
    alone = schema.ask_in_words([user])
    joined = schema.ask_in_words([ChatMessage("system", "You help."), user])
    assert [m.role for m in alone] == [m.role for m in joined] == ["system", "user"]
    assert joined[0].content == f"You help.\n\n{alone[0].content}" and '"name"' in joined[0].content
