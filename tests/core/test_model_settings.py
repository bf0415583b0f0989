import pytest

from deskhand.config import WorkspaceFolder
from deskhand.errors import ConfigError
from deskhand.model_settings import ModelSettings
from deskhand.testing import DEFAULT_CONFIG, build_workspace

LOCAL = '[models.defs.local]\nmodel = "openai/m"\napi_base = "http://127.0.0.1:8000/v1/"\nprice = "free"\n'


def load(tmp_path, table):
    return WorkspaceFolder(build_workspace(tmp_path / "shop", config=DEFAULT_CONFIG + table)).config.models


def test_workspace_without_models_has_empty_tiers_and_a_budget(tmp_path):
    models = load(tmp_path, "")
    assert (models.tiers.small, models.defs) == ((), {})
    assert (models.budget.run_usd, models.budget.ticket_usd, models.budget.day_usd) == (0.25, 1.0, 20.0)


def test_model_with_an_address_is_asked_directly_and_others_through_litellm(tmp_path):
    hosted = '[models.defs.hosted]\nmodel = "anthropic/claude"\nkey_env = "A_KEY"\n'
    hosted += "price = {input_per_million_usd = 3, output_per_million_usd = 15}\n"
    models = load(tmp_path, f'[models.tiers]\nstrong = ["hosted", "local"]\n{LOCAL}{hosted}')
    local, remote = models.defs["local"], models.defs["hosted"]
    assert (local.way, local.api_base, local.unmasked) == ("direct", "http://127.0.0.1:8000/v1", False)
    assert (remote.way, remote.price.output_per_million_usd) == ("litellm", 15)


def test_transport_can_be_chosen(tmp_path):
    assert load(tmp_path, LOCAL + 'transport = "litellm"\n').defs["local"].way == "litellm"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("price = 'cheap'", 'models.defs.local.price: write "free", or {input_per_million_usd'),
        ("price = {input_per_million_usd = 1}", "output_per_million_usd: field required"),
        (
            "price = {input_per_million_usd = 0, output_per_million_usd = 0}",
            'costs nothing; write price = "free"',
        ),
        ("price = {input_per_million_usd = -1, output_per_million_usd = 0}", "greater than or equal to 0"),
        ("price = {input_per_million_usd = inf, output_per_million_usd = 0}", "finite number"),
        ("api_base = 'localhost:8000'", "must begin with http"),
        ("api_base = 'http://'", "name a host"),
        ("api_base = 'http://h/v1/chat/completions'", "ends before /chat/completions"),
        ("api_base = 'http://user:key@h/v1'", "must hold no key"),
        ("api_base = 'http://h/v1?key=1'", "must hold no key"),
        ("key_env = 'sk-abc.def'", "models.defs.local.key_env"),
        ("key_env = 'AbCdEf0123456789'", "models.defs.local.key_env"),
        ("api_base = 'http://a host/v1'", "without spaces"),
        ("timeout_s = 0", "models.defs.local.timeout_s"),
        ("max_output_tokens = 40000", "max_output_tokens must be less than context_tokens"),
        ("extra = {n = 5}", "n is set by deskhand; remove it"),
        ("transport = 'http'", "models.defs.local.transport"),
        ("wait = 1", "extra inputs are not permitted"),
        ("model = 'two words'", "models.defs.local.model"),
    ],
)
def test_wrong_model_names_the_key(tmp_path, change, message):
    key = change.partition(" ")[0]
    lines = [line for line in LOCAL.splitlines() if not line.startswith(f"{key} ")]
    with pytest.raises(ConfigError) as failed:
        load(tmp_path, "\n".join([*lines, change]))
    assert message in str(failed.value) and "config check" in str(failed.value)


@pytest.mark.parametrize(
    "change",
    [
        "api_key = 'sk-hush'",
        "key_env = 'sk-hush'",
        "key_env = 'AbSk-hush'",
        "extra = {api_key = 'sk-hush'}",
        "transport = 'embedded'\nextra = {headers = 'sk-hush'}",
        "api_base = 'http://user:sk-hush@h/v1'",
    ],
)
def test_key_written_into_the_file_is_not_told(tmp_path, change):
    key = change.partition(" ")[0]
    lines = [line for line in LOCAL.splitlines() if not line.startswith(f"{key} ")]
    with pytest.raises(ConfigError) as failed:
        load(tmp_path, "\n".join([*lines, change]))
    assert "hush" not in str(failed.value)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('[models.defs.m]\nmodel = "openai/m"\n', "models.defs.m.price: field required"),
        ('[models.defs.m]\nmodel = "m"\nprice = "free"\n', "names no provider; write provider/m, or give api_base"),
        ('[models.defs.m]\nmodel = "openai/m"\nprice = "free"\ntransport = "direct"\n', "needs api_base"),
        ('[models.tiers]\nsmall = ["gone"]\n', "models.tiers.small names 'gone'; add [models.defs.gone]"),
        ('[models.tiers]\nsmall = ["local", "local"]\n' + LOCAL, "names 'local' twice"),
        ('[models.tiers]\ntiny = ["local"]\n' + LOCAL, "models.tiers.tiny"),
        ("[models.budget]\nday_usd = -1\n", "models.budget.day_usd"),
        ("[models.budget]\nday_usd = nan\n", "models.budget.day_usd"),
    ],
)
def test_wrong_table_names_the_key(tmp_path, table, message):
    with pytest.raises(ConfigError) as failed:
        load(tmp_path, table)
    assert message in str(failed.value)


def test_settings_are_taken_as_objects_too():
    local = ModelSettings(model="openai/m", api_base=None, price="free")
    assert ModelSettings.model_validate(local.model_dump()) == local
