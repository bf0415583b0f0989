"""``deskhand serve`` on a real pair of mail servers: mail in, a person decides, the reply is threaded, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from real_systems import MailPair, Service

from deskhand.testing import DEFAULT_CONFIG, build_workspace

QUESTION = "Hello,\n\nhow long do I have to return a product?\n\n-- \nEve Adams\nMain Street 1"


@pytest.fixture
def mail_service(mail_pair: MailPair, serve_workspace: Callable[..., Service], tmp_path: Path) -> Service:
    """The service of a mailbox. It is told of new mail: its schedule alone would come too late for a test."""
    config = f"""{DEFAULT_CONFIG}
[helpdesks.mail]
kind = "email"
address = "{mail_pair.address}"
imap_host = "127.0.0.1"
imap_port = {mail_pair.imap_port}
imap_tls = false
smtp_host = "127.0.0.1"
smtp_port = {mail_pair.smtp_port}
smtp_tls = "none"
smtp_login = false
user = "support"
password_env = "MAIL_PASSWORD"
mailbox = "{mail_pair.inbox}"
sent_mailbox = "{mail_pair.sent_folder}"
poll_every_s = 600
timeout_s = 60
"""
    folder = build_workspace(tmp_path / "workspace", config=config)
    return serve_workspace(folder, MAIL_PASSWORD="mail-password")


def test_a_mail_is_answered_in_its_thread_once_and_automatic_mail_starts_nothing(
    mail_service: Service, mail_pair: MailPair
) -> None:
    mail_service.start()
    mail_pair.write(QUESTION, Message_ID="<first@customer.test>", Subject="Order")
    (run,) = mail_service.wait_for_drafts(1)
    assert run["ticket_id"] == "first@customer.test" and mail_pair.sink == []
    mail_service.kill()
    mail_service.start()
    assert [mail_service.approve(run), mail_service.approve(run)] == [200, 200]
    mail_service.wait_idle()
    (reply,) = mail_pair.received()
    assert reply["To"] == "eve@customer.test"
    assert reply["In-Reply-To"] == "<first@customer.test>" and "<first@customer.test>" in reply["References"]
    assert reply["Subject"].startswith("Re: Order [")
    assert "within 30 days" in reply.get_content()
    automatic = {"Subject": f"Out of office: {reply['Subject']}", "In_Reply_To": reply["Message-ID"]}
    mail_pair.write("I am away.", Auto_Submitted="auto-replied", **automatic)
    mail_pair.write("Delivery failed.", From="MAILER-DAEMON@customer.test", Auto_Submitted="auto-replied")
    answer = {"In_Reply_To": reply["Message-ID"], "References": reply["Message-ID"]}
    mail_pair.write("And how many working days does a parcel take to arrive?", Subject=reply["Subject"], **answer)
    (second,) = mail_service.wait_for_drafts(1)
    assert second["ticket_id"] == run["ticket_id"]
    assert mail_service.approve(second) == 200
    mail_service.wait_idle()
    assert len(mail_service.runs()) == 2, "one for each mail that a person wrote"
    assert [mail["In-Reply-To"] == "<first@customer.test>" for mail in mail_pair.received()] == [True, False]
    assert reply["Message-ID"] in mail_pair.received()[1]["References"]
    assert mail_service.stop() == 0


def test_mail_that_came_while_nobody_listened_is_answered_after_the_start(
    mail_service: Service, mail_pair: MailPair
) -> None:
    for n in range(3):
        mail_pair.write(QUESTION, Message_ID=f"<{n}@customer.test>")
    mail_service.start()
    mail_service.wait_for_drafts(3)
    assert mail_service.stop() == 0
    mail_service.start()
    mail_service.wait_idle()
    assert len(mail_service.runs()) == 3
