import random

import pytest

from deskhand.errors import InputError
from deskhand_helpdesks.mail_parse import find_ids, parse_mail


def mail(*headers, body="Hello"):
    return "\r\n".join([*headers, "", body]).encode()


def test_a_mail_is_read_with_charsets_and_encodings():
    raw = (
        b"From: =?iso-8859-1?q?J=F6rg?= <JOERG@Kunde.test>\r\nSubject: =?utf-8?b?R3LDvMOfZQ==?="
        b" aus\r\n =?utf-8?q?K=C3=B6ln?=\r\n"
        b"Message-ID: <a@k.test>\r\nContent-Type: text/plain; charset=windows-1252\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n=80 5 f=FCr Porto\r\n"
    )
    read = parse_mail(raw)
    assert (read.from_name, read.from_address) == ("Jörg", "joerg@kunde.test")
    assert read.subject == "Grüße aus Köln"
    assert read.text == "€ 5 für Porto"


@pytest.mark.parametrize("charset", ["no-such-charset", "utf-8", "", "idna", "hex"])
def test_a_wrong_charset_still_gives_text(charset):
    raw = mail("From: a@b.test", f"Content-Type: text/plain; charset={charset}").replace(b"Hello", b"caf\xe9")
    assert parse_mail(raw).text.startswith("caf")


def test_html_is_read_only_when_there_is_no_plain_text():
    parts = "--x\r\nContent-Type: text/html\r\n\r\n<p>rich</p>\r\n"
    plain = "--x\r\nContent-Type: text/plain\r\n\r\nplain\r\n"
    kind = "Content-Type: multipart/alternative; boundary=x"
    assert parse_mail(mail("From: a@b.test", kind, body=f"{plain}{parts}--x--")).text == "plain"
    assert parse_mail(mail("From: a@b.test", kind, body=f"{parts}--x--")).text == "rich"


def test_attachments_are_listed_by_name_type_and_size():
    body = (
        "--x\r\n\r\nSee the file\r\n--x\r\nContent-Type: text/plain; name=notes.txt\r\n\r\nabc\r\n"
        "--x\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment; filename*=utf-8''b%C3%BC.pdf\r\n\r\nQUJDRA==\r\n--x--"
    )
    read = parse_mail(mail("From: a@b.test", "Content-Type: multipart/mixed; boundary=x", body=body))
    assert read.text == "See the file"
    listed = [(one.name, one.media_type, one.size_bytes) for one in read.attachments]
    assert listed == [("notes.txt", "text/plain", 3), ("bü.pdf", "application/pdf", 4)]


def test_references_keep_the_first_and_come_without_brackets():
    many = " ".join(f"<{number}@x>" for number in range(200))
    read = parse_mail(mail("From: a@b.test", f"References: {many}", "In-Reply-To: <199@x>"))
    assert read.references[0] == "0@x"
    assert read.references[-1] == "199@x"
    assert len(read.references) == 50


@pytest.mark.parametrize("odd", ['<a"b@x>', "<a b@x>", "<>", "no brackets", "<ä@x>", "<" + "a" * 500 + ">", r"<a\b@x>"])
def test_an_id_that_could_not_be_asked_for_is_none(odd):
    assert find_ids(odd) == []


def test_a_text_that_is_too_long_says_so():
    read = parse_mail(mail("From: a@b.test", body="word " * 60_000))
    assert len(read.text) <= 200_000
    assert "more characters were left out here" in read.text[-60:]


@pytest.mark.parametrize(
    ("results", "is_verified"),
    [
        (["mx.desk.test; dkim=pass header.d=k.test"], True),
        (["mx.desk.test 1; spf=fail smtp.mailfrom=k.test; dkim=pass (good) header.i=@k.test"], True),
        (["mx.desk.test; spf=pass smtp.mailfrom=bounce@k.test"], True),
        (["mx.desk.test; dmarc=pass header.from=k.test"], True),
        (["mx.desk.test; dkim=pass header.d=evil.test"], False),
        (["mx.desk.test; dkim=pass header.d=test"], False),
        (["mx.desk.test; dkim=fail header.d=k.test"], False),
        (["mx.desk.test; dkim=fail (dkim=pass header.d=k.test)"], False),
        (["mx.desk.test; none"], False),
        (["mx.evil.test; dkim=pass header.d=k.test"], False),
        # what stands below our server's own word was there before
        (["mx.desk.test; dkim=none", "mx.desk.test; dkim=pass header.d=k.test"], False),
        (["mx.other.test; dkim=none", "mx.desk.test; dkim=pass header.d=k.test"], True),
    ],
)
def test_only_the_topmost_word_of_our_own_server_verifies(results, is_verified):
    raw = mail(*(f"Authentication-Results: {one}" for one in results), "From: Eve <eve@k.test>")
    assert parse_mail(raw, trusted_authserv="mx.desk.test").is_verified is is_verified
    assert not parse_mail(raw).is_verified


def test_a_subdomain_is_covered_by_its_organisation():
    raw = mail("Authentication-Results: mx; dkim=pass header.d=k.test", "From: eve@mail.k.test")
    assert parse_mail(raw, trusted_authserv="mx").is_verified


def test_a_bounce_is_automatic():
    assert parse_mail(mail("From: m@x.test", "Content-Type: multipart/report; boundary=x")).is_automatic
    assert not parse_mail(mail("From: m@x.test", "Content-Type: text/plain")).is_automatic


def test_deeply_nested_parts_end_in_an_input_error_or_a_mail():
    nested = "".join(f'Content-Type: multipart/mixed; boundary="{n}"\r\n\r\n--{n}\r\n' for n in range(3000))
    try:
        assert parse_mail(f"From: a@b.test\r\n{nested}".encode()).text == ""
    except InputError as exc:
        assert "cannot be read" in str(exc)


def test_10_000_fuzzed_mails_raise_input_errors_only():
    rng = random.Random(3)
    good = (
        b"From: =?utf-8?b?SsO2cmc=?= <joerg@kunde.test>\r\nSubject: =?utf-8?q?K=C3=B6ln?=\r\nMessage-ID: <a@k.test>\r\n"
        b"References: <b@k.test>\r\nMIME-Version: 1.0\r\nAuthentication-Results: mx; dkim=pass header.d=kunde.test\r\n"
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\nSGFsbG8=\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>Hi</p>\r\n"
        b"--b\r\nContent-Disposition: attachment; filename*=utf-8''a%20b\r\n\r\nx\r\n--b--\r\n"
    )
    odd = [
        b"=?",
        b"?=",
        b"\r\n",
        b"\x00",
        b"\xff",
        b"<",
        b">",
        b";",
        b'"',
        b"*0*=",
        b"=",
        b"--b",
        b"utf-16",
        b"[",
        b"%",
    ]
    n_read = 0
    for number in range(10_000):
        raw = bytearray(good)
        for _ in range(number % 8):
            at = rng.randrange(len(raw))
            raw[at : at + rng.randrange(4)] = rng.choice(odd) if rng.random() < 0.7 else rng.randbytes(2)
        try:
            parse_mail(bytes(raw), size=len(raw) + 10, trusted_authserv="mx")
            n_read += 1
        except InputError:
            pass
    assert n_read > 9_000


def test_a_badly_encoded_subject_or_file_name_is_kept_as_it_is():
    broken = "=?utf-8?b?abcde?="
    raw = (
        f"From: e@c.test\r\nSubject: {broken}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n"
        f'--b\r\nContent-Disposition: attachment; filename="{broken}"\r\n\r\nx\r\n--b--\r\n'
    )
    mail = parse_mail(raw.encode())
    assert (mail.subject, mail.text, [one.name for one in mail.attachments]) == (broken, "Hello", [broken])
