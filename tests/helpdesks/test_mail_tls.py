"""Encrypted connections to mail servers, with a certificate that only ``ca_file`` knows."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from real_systems import free_port

from deskhand.actions import ReceiptStatus
from deskhand.errors import ConfigError


@pytest.fixture
def server_tls(tmp_path):
    """Return a server's context; its certificate is ``ca.pem`` in the workspace."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "ca.pem").write_bytes(public)
    (tmp_path / "server.pem").write_bytes(secret + public)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    return context


def check_password(server, session, envelope, mechanism, given):
    return AuthResult(success=given.password == b"mail-password", handled=False)


@pytest.fixture(params=["starttls", "tls"])
def secure_smtp(request, mail_pair, server_tls):
    """Return how the SMTP server is to be talked to; it takes no mail without TLS and a password."""
    is_upgraded = request.param == "starttls"
    controller = Controller(
        mail_pair,
        hostname="127.0.0.1",
        port=free_port(),
        server_hostname="mail.desk.test",
        authenticator=check_password,
        auth_required=is_upgraded,
        auth_require_tls=is_upgraded,
        **({"tls_context": server_tls} if is_upgraded else {"ssl_context": server_tls}),
    )
    controller.start()
    yield {"smtp_tls": request.param, "smtp_port": controller.port, "smtp_login": True, "ca_file": "ca.pem"}
    controller.stop()


async def test_mail_goes_out_encrypted_and_with_a_password(mail_pair, mail_desk, action, secure_smtp):
    await asyncio.to_thread(mail_pair.write, Message_ID="<first@c.test>")
    receipt = await mail_desk(**secure_smtp).apply(action(text="Hello"), "first@c.test")
    assert receipt.status is ReceiptStatus.done
    assert len(mail_pair.sink) == 1


async def test_a_wrong_smtp_password_sends_nothing_and_says_so(mail_pair, mail_desk, action, secure_smtp, monkeypatch):
    await asyncio.to_thread(mail_pair.write, Message_ID="<first@c.test>")
    monkeypatch.setattr("deskhand_helpdesks.mail_sending.read_secret", lambda name, variable: "revoked")
    with pytest.raises(ConfigError, match=r"SMTP.*login is refused \(535\).*MAIL_PASSWORD"):
        await mail_desk(**secure_smtp).apply(action(text="Hello"), "first@c.test")
    assert mail_pair.sink == []


async def proxy(port, context):
    """Return a server that takes TLS and passes all on to ``port``."""

    async def copy(reader, writer):
        try:
            while chunk := await reader.read(65_536):
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        writer.close()

    async def passed_on(reader, writer):
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))

    return await asyncio.start_server(passed_on, "127.0.0.1", 0, ssl=context)


async def test_mail_comes_in_encrypted_and_an_unknown_certificate_is_refused(mail_pair, mail_desk, server_tls):
    await asyncio.to_thread(mail_pair.write, Message_ID="<first@c.test>")
    server = await proxy(mail_pair.imap_port, server_tls)
    port = server.sockets[0].getsockname()[1]
    page = await mail_desk(imap_tls=True, imap_port=port, ca_file="ca.pem").poll("")
    assert [event.ticket_id for event in page.events] == ["first@c.test"]
    with pytest.raises(ConfigError, match=r"certificate is not trusted.*set ca_file"):
        await mail_desk(imap_tls=True, imap_port=port).poll("")
    with pytest.raises(ConfigError, match="no certificates in it"):
        await mail_desk(imap_tls=True, imap_port=port, ca_file="none.pem").poll("")
    server.close()
