import pytest

from deskhand.config import Taxonomy, WorkspaceConfig, WorkspaceFolder, find_workspace, load_toml
from deskhand.errors import ConfigError
from deskhand.settings import Settings, read_key
from deskhand.testing import DEFAULT_CONFIG, build_workspace


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("DESKHAND_WORKSPACE", raising=False)
    monkeypatch.delenv("DESKHAND_DEBUG", raising=False)


def folder_with(tmp_path, **files):
    return WorkspaceFolder(build_workspace(tmp_path / "shop", **files))


def test_minimal_configuration_has_the_documented_defaults(tmp_path):
    config = folder_with(tmp_path, config='schema = 1\n[brand]\nname = "Shop"\n').config
    assert (config.mode, config.memory.top_k, config.memory.audience, config.graphs.default) == (
        "review", 8, "public", "support",
    )  # fmt: skip
    assert config.brand.greetings["en"].format(name="Ann") == "Hello Ann,"


def test_own_greetings_are_taken(tmp_path):
    more = "greetings = {de = 'Hallo {name},'}\nnameless_greetings = {de = 'Hallo,'}"
    brand = folder_with(tmp_path, config=DEFAULT_CONFIG + more).config.brand
    assert (brand.greetings, brand.nameless_greetings) == ({"de": "Hallo {name},"}, {"de": "Hallo,"})


def test_parts_of_a_workspace_are_where_the_design_says(tmp_path):
    folder = WorkspaceFolder(tmp_path)
    parts = (folder.knowledge, folder.incoming, folder.labelled, folder.state, folder.recordings)
    assert [part.relative_to(tmp_path).as_posix() for part in parts] == [
        "knowledge", "tickets/incoming", "tickets/labelled.jsonl", ".deskhand", ".deskhand/recordings",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ("", "schema: field required (and 1 more)"),
        ("schema = 1", "brand: field required"),
        (DEFAULT_CONFIG + "[memory]\ntop_k = 0", "memory.top_k: input should be greater than or equal to 1, got 0"),
        (DEFAULT_CONFIG + "[memory]\ntopk = 3", "memory.topk: extra inputs are not permitted, got 3"),
        (DEFAULT_CONFIG + "[memory]\nmin_similarity = nan", "memory.min_similarity"),
        (DEFAULT_CONFIG + "[triage]\nneighbours = 'x'", "triage.neighbours"),
        (DEFAULT_CONFIG + "[graphs]\ndefault = 'Bad Name'", "graphs.default"),
        (DEFAULT_CONFIG + "[graphs.own]\nmine = 'module'", "graphs.own.mine"),
        ("mode = 'live'\n" + DEFAULT_CONFIG, "mode: input should be 'review' or 'shadow', got 'live'"),
        (DEFAULT_CONFIG.replace("1", "0", 1), "schema: input should be 1, got 0"),
        (DEFAULT_CONFIG + "greetings = {de = 'Hallo {first},'}", "brand.greetings: only {name}"),
        (DEFAULT_CONFIG + "greetings = {de = 'Hallo {name.__class__},'}", "brand.greetings: only {name}"),
        (DEFAULT_CONFIG + "greetings = {de = 'Hallo {name:>999999999},'}", "brand.greetings: only {name}"),
        (DEFAULT_CONFIG + "greetings = {de = 'Hallo {},'}", "brand.greetings: only {name}"),
        (DEFAULT_CONFIG + "greetings = {de = 'Hallo {name,'}", "brand.greetings: only {name}"),
        (DEFAULT_CONFIG + "greetings = {deutsch = 'Hallo'}", "brand.greetings.deutsch"),
        (DEFAULT_CONFIG + "nameless_greetings = {de = 'Hallo {name},'}", "brand.nameless_greetings: nothing in braces"),
    ],
)
def test_wrong_configuration_names_file_key_and_next_step(tmp_path, config, key):
    folder = folder_with(tmp_path, config=config)
    with pytest.raises(ConfigError) as caught:
        _ = folder.config
    message = str(caught.value)
    assert message.startswith(f"{folder.root / 'deskhand.toml'}: {key}")
    assert message.endswith("; correct it and run 'deskhand config check'")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("schema = 2", "schema = 2 is newer than this deskhand knows (1); upgrade deskhand"),
        ("schema = ", "not valid TOML: Invalid value (at end of document); correct it"),
        ("a = " + "[" * 20_000, "not valid TOML: "),
    ],
)
def test_unreadable_configuration_names_file_and_next_step(tmp_path, config, said):
    folder = folder_with(tmp_path, config=config)
    with pytest.raises(ConfigError) as caught:
        _ = folder.config
    assert str(caught.value).startswith(f"{folder.root / 'deskhand.toml'}: {said}")
    assert "; " in str(caught.value)


def test_missing_or_foreign_file_is_a_config_error(tmp_path):
    (tmp_path / "latin.toml").write_bytes("name = 'é'".encode("latin-1"))
    for name, said in (("none.toml", "no such file; check the path"), ("latin.toml", "save it as UTF-8")):
        with pytest.raises(ConfigError, match=said):
            load_toml(tmp_path / name, WorkspaceConfig)


CATEGORY = '[[category]]\nid = "{}"\nname = "N"\ndescription = "D"\n'
TEAM = '[[team]]\nid = "{}"\nname = "T"\n'


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        (CATEGORY.format("a") * 2, "category 'a' stands there twice; remove one"),
        (TEAM.format("t") * 2, "team 't' stands there twice; remove one"),
        (
            CATEGORY.format("a") + 'team = "x"\n' + TEAM.format("t"),
            "category 'a' names the team 'x', which is not in [[team]]",
        ),
        (CATEGORY.format("A B"), "category.0.id: string should match"),
    ],
)
def test_wrong_taxonomy_names_file_entry_and_next_step(tmp_path, tables, said):
    folder = folder_with(tmp_path, taxonomy="schema = 1\n" + tables)
    with pytest.raises(ConfigError) as caught:
        _ = folder.taxonomy
    assert str(caught.value).startswith(f"{folder.root / 'taxonomy.toml'}: {said}")
    assert str(caught.value).endswith("; correct it and run 'deskhand config check'")


def test_taxonomy_knows_teams_and_may_be_missing(tmp_path):
    tables = "schema = 1\n" + CATEGORY.format("a") + 'team = "t"\n' + CATEGORY.format("b") + TEAM.format("t")
    folder = folder_with(tmp_path, taxonomy=tables)
    assert [folder.taxonomy.team_of(name) for name in ("a", "b", "c", None)] == ["t", None, None, None]
    assert WorkspaceFolder(tmp_path / "elsewhere").taxonomy == Taxonomy(schema=1)


def test_order_database_is_none_found_or_refused(tmp_path):
    assert folder_with(tmp_path).orders is None
    folder = folder_with(tmp_path, config=DEFAULT_CONFIG + '[orders]\ndatabase = "orders.db"\n')
    with pytest.raises(ConfigError, match=r"deskhand.toml: orders.database: no file .*correct the name or remove"):
        _ = folder.orders
    (folder.root / "orders.db").write_bytes(b"")
    assert folder.orders == folder.root / "orders.db"


def test_workspace_is_found_upward_by_environment_and_by_name(tmp_path, monkeypatch):
    upward = build_workspace(tmp_path / "upward")
    named = build_workspace(tmp_path / "named")
    other = build_workspace(tmp_path / "other")
    monkeypatch.chdir(upward / "tickets" / "incoming")
    assert find_workspace().root == upward
    monkeypatch.setenv("DESKHAND_WORKSPACE", "")
    assert find_workspace().root == upward
    monkeypatch.setenv("DESKHAND_WORKSPACE", str(named))
    assert find_workspace().root == named
    assert find_workspace(other).root == other
    monkeypatch.chdir(tmp_path)
    assert find_workspace(other.relative_to(tmp_path)).root == other


def test_no_workspace_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"no deskhand.toml in .* or above it; make a workspace with 'deskhand init'"):
        find_workspace()
    with pytest.raises(ConfigError, match=rf"{tmp_path}: no deskhand.toml there; .*'deskhand init {tmp_path}'"):
        find_workspace(tmp_path)


def test_environment_variable_with_a_wrong_value_is_a_config_error(monkeypatch):
    monkeypatch.setenv("DESKHAND_DEBUG", "perhaps")
    with pytest.raises(ConfigError, match=r"^DESKHAND_DEBUG: .*got 'perhaps'; correct the variable or unset it$"):
        Settings()
    monkeypatch.setenv("DESKHAND_DEBUG", "1")
    assert Settings().debug is True


@pytest.mark.parametrize(
    ("value", "key"), [("sk-1", "sk-1"), (" sk-1\n", "sk-1"), ("", None), ("  ", None), (None, None)]
)
def test_key_is_read_from_its_variable(monkeypatch, value, key):
    monkeypatch.delenv("A_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("A_KEY", value)
    assert read_key("A_KEY") == key
