import asyncio

import pytest

from deskhand.config import WorkspaceFolder
from deskhand.errors import ConfigError
from deskhand.jsonio import canonical_json
from deskhand.testing import NOON, build_ticket
from deskhand_graphs import Workspace
from deskhand_helpdesks import Checked, DjangoHelpdesk, EmailHelpdesk, FolderHelpdesk, StandardWebhooksHelpdesk, Watched

TABLES = """
[helpdesks.drop]
kind = "folder"
incoming = "drop/in"
outgoing = "drop/out"
poll_every_s = 1

[helpdesks.shop]
kind = "standard-webhooks"
secret_envs = ["SHOP_SECRET"]

[helpdesks.desk]
kind = "django-helpdesk"
base_url = "https://desk.example.com/helpdesk"
token_env = "DESK_TOKEN"
secret_envs = ["DESK_SECRET"]

[helpdesks.mail]
kind = "email"
address = "support@example.com"
imap_host = "imap.example.com"
smtp_host = "smtp.example.com"
user = "support"
password_env = "MAIL_PASSWORD"
"""


def open_with(workspace, tables):
    config = workspace / "deskhand.toml"
    config.write_text(f"{config.read_text()}\n{tables}")
    return Workspace.open(WorkspaceFolder(workspace))


async def test_every_kind_of_helpdesk_is_made_from_its_table(workspace):
    opened = open_with(workspace, TABLES)
    kinds = [type(opened.helpdesk(name)) for name in ("file", "drop", "shop", "desk", "mail")]
    assert kinds == [FolderHelpdesk, FolderHelpdesk, StandardWebhooksHelpdesk, DjangoHelpdesk, EmailHelpdesk]
    assert opened.helpdesk("desk") is opened.helpdesk("desk")
    assert [isinstance(opened.helpdesk(name), Watched) for name in ("drop", "mail", "shop", "desk")] == [
        True,
        True,
        False,
        False,
    ]
    with pytest.raises(ConfigError, match="there are: desk, drop, file, mail, shop"):
        opened.helpdesk("other")
    await opened.aclose()


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (TABLES.replace('imap_host = "imap', 'imap_tls = false\nimap_host = "imap'), "in the clear"),
        (TABLES.replace('smtp_host = "smtp', 'smtp_tls = "none"\nsmtp_host = "smtp'), "in the clear"),
        (TABLES.replace('["SHOP_SECRET"]', '["SHOP_SECRET"]\nreply_url = "https://s.example"'), "reply_secret_env"),
        (TABLES.replace('["SHOP_SECRET"]', '["SHOP_SECRET"]\nticket_url = "https://s.example"'), r"must hold \{id\}"),
        (TABLES.replace("https://desk", "https://user:pw@desk"), "base_url"),
        (TABLES.replace("support@example.com", "Support <s@example.com>"), "address"),
    ],
)
def test_a_table_that_would_do_harm_is_refused(workspace, table, says):
    with pytest.raises(ConfigError, match=says):
        open_with(workspace, table)


def test_plain_text_is_for_this_machine_and_for_those_who_ask(workspace):
    plain = 'imap_tls = false\nsmtp_tls = "none"\nallow_plain_text = true\nimap_host = "imap'
    assert open_with(workspace, TABLES.replace('imap_host = "imap', plain)).helpdesk("mail")


async def test_a_watched_folder_tells_of_new_files_and_names_its_tickets(workspace):
    opened = open_with(workspace, TABLES)
    desk = opened.helpdesk("drop")
    assert isinstance(desk, FolderHelpdesk)
    desk.incoming.mkdir(parents=True)
    watch = desk.watch()
    await asyncio.wait_for(anext(watch), 60)
    told = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0.1)
    assert not told.done()
    (desk.incoming / "T-1.json").write_text(canonical_json(build_ticket().model_dump(mode="json")))
    await asyncio.wait_for(told, 60)
    await watch.aclose()
    (event,) = (await desk.poll("")).events
    assert (event.source, event.ticket_id, event.at) == ("drop", "T-1", NOON)
    assert (await desk.fetch("T-1")).source == "drop"


async def test_every_helpdesk_can_be_checked_and_names_a_secret_that_is_missing(workspace, monkeypatch):
    opened = open_with(workspace, TABLES)
    for name, variable in (("shop", "SHOP_SECRET"), ("desk", "DESK_SECRET"), ("mail", "MAIL_PASSWORD")):
        monkeypatch.delenv(variable, raising=False)
        desk = opened.helpdesk(name)
        assert isinstance(desk, Checked)
        with pytest.raises(ConfigError, match=variable):
            await desk.check()
    await opened.aclose()


async def test_a_webhooks_secret_that_cannot_sign_is_named(workspace, monkeypatch):
    shop = open_with(workspace, TABLES).helpdesk("shop")
    monkeypatch.setenv("SHOP_SECRET", "whsec_not base64")
    with pytest.raises(ConfigError, match="secret"):
        await shop.check()
    monkeypatch.setenv("SHOP_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert await shop.check() == "1 secrets for webhooks; no reply_url: nothing is written back"


async def test_a_folder_is_checked_for_both_ways(workspace):
    drop = open_with(workspace, TABLES).helpdesk("drop")
    with pytest.raises(ConfigError, match="make it, or correct incoming"):
        await drop.check()
    drop.incoming.mkdir(parents=True)
    assert "can be read" in await drop.check()
    drop.outgoing.parent.mkdir(exist_ok=True)
    drop.outgoing.write_text("in the way")
    with pytest.raises(ConfigError, match="correct outgoing"):
        await drop.check()
