import re
import sys
import threading

import pytest
from growth import grows_linearly
from hypothesis import given, settings
from hypothesis import strategies as st

from deskhand.vault import PLACEHOLDER, PatternVault, find_personal_data, map_strings, passes_iban, passes_luhn

# Published check values: the example IBANs of the registry, and the test card numbers of the card schemes.
IBANS = (
    "DE89 3704 0044 0532 0130 00", "GB29 NWBK 6016 1331 9268 19", "FR14 2004 1010 0505 0001 3M02 606",
    "NO93 8601 1117 947", "MT84 MALT 0110 0001 2345 MTLC AST0 01S", "NL91 ABNA 0417 1643 00", "BE68 5390 0754 7034",
    "CH93 0076 2011 6238 5295 7", "AT61 1904 3002 3457 3201", "ES91 2100 0418 4502 0005 1332",
)  # fmt: skip
CARDS = ("4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "3782 822463 10005", "6011000990139424",
         "3056 930902 5904", "4222222222222")  # fmt: skip
PHONES = (
    "+49 30 1234567", "+49 (0)30 123456", "0049 30 123456", "(030) 123-4567", "030/1234567", "+1 (415) 555-2671",
    "+1-415-555-2671", "(415) 555-2671", "415-555-2671", "415.555.2671", "+44 20 7946 0958", "01 23 45 67 89",
    "01.23.45.67.89", "+33 1 23 45 67 89", "+81-3-1234-5678", "+49\u00a030\u00a01234567", "+49 30\u20111234567",
)  # fmt: skip
EMAILS = ("ann@example.com", "ann.lee+shop@mail.example.co.uk", "o'brien@example.com", "jörg@exämple.de",
          "a_b-c@sub-domain.example.org", "ivan@example.xn--p1ai")  # fmt: skip
PLAIN = (
    "HF-204817", "RMA-12345", "HF-4111111111111111", "order #00123456", "2026-01-02", "01.02.2026", "01/02/2026",
    "5.12.2026", "01.02.2026 10:30", "01.02. - 05.02.2026", "08.00-17.00", "08.00 \u2013 17.00", "1.000.000.000",
    "EUR 0.99",
    "1,299.00", "100.000 2026", "00340434161094042557", "Part 12345678", "Room 0815", "v1.2.3", "4111 1111 1111 1112",
    "DE89370400440532013001", "1Z999AA10123456784", "@ann", "ann@home", "ann @ example.com", "0000000000000000",
)  # fmt: skip


@pytest.mark.parametrize("value", IBANS + CARDS + PHONES + EMAILS)
def test_known_form_is_masked_whole_and_comes_back(value):
    vault = PatternVault()
    masked = vault.mask(f"Hi, {value}, thanks")
    assert re.fullmatch(r"Hi, \[(EMAIL|IBAN|CARD|PHONE)_1\], thanks", masked)
    assert vault.unmask(masked) == f"Hi, {value}, thanks"


@pytest.mark.parametrize("text", PLAIN)
def test_order_numbers_dates_and_prices_stay_readable(text):
    assert PatternVault().mask(f"It is {text} for me") == f"It is {text} for me"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("DE89 3704 0044 0532 0130 00 is mine and yours", "[IBAN_1] is mine and yours"),
        ("de89370400440532013000 DE89 3704 0044 0532 0130 00", "[IBAN_1] [IBAN_1]"),
        ("GB82 WEST 123456 98765432", "[IBAN_1]"),
        ("4111 1111 1111 1111 12/27 123", "[CARD_1] 12/27 123"),
        ("4111 1111 1111 1111 123 ok", "[CARD_1] 123 ok"),
        ("No. 12 4111 1111 1111 1111", "No. 12 [CARD_1]"),
        ("030 1234567 12.11.2026", "[PHONE_1] 12.11.2026"),
        ("12.11.2026 030 1234567", "12.11.2026 [PHONE_1]"),
        ("0301234567 and 030 1234567", "[PHONE_1] and [PHONE_1]"),
        ("+49301234567, 0049301234567", "[PHONE_1], [PHONE_1]"),
        ("Ann@Example.com ann@example.com", "[EMAIL_1] [EMAIL_1]"),
        ("jörg@x.de järg@x.de jrg@x.de", "[EMAIL_1] [EMAIL_2] [EMAIL_3]"),
        ("<ann@example.com>;'bo@example.com'.", "<[EMAIL_1]>;'[EMAIL_2]'."),
    ],
)
def test_value_among_other_text_is_masked_exactly(text, masked):
    assert PatternVault().mask(text) == masked


VALUES = st.lists(st.sampled_from(EMAILS + IBANS + CARDS + PHONES), max_size=6, unique_by=lambda v: v.casefold())
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="[]"), max_size=12)


@given(st.text(max_size=200).filter(lambda text: not PLACEHOLDER.search(text)))
def test_any_text_comes_back_from_its_mask_when_each_value_has_one_form(text):
    vault = PatternVault()
    masked = vault.mask(text)
    if len(set(find_personal_data(text))) == len(vault.export()):
        assert vault.unmask(masked) == text


@given(VALUES, st.lists(WORDS, min_size=7, max_size=7))
def test_text_around_values_comes_back_and_no_value_is_left(values, words):
    text = " | ".join(part for pair in zip(words, [*values, ""], strict=False) for part in pair)
    vault = PatternVault()
    masked = vault.mask(text)
    assert not any(value in masked for value in values)
    assert vault.mask(masked) == masked
    if len(set(find_personal_data(text))) == len(vault.export()):
        assert vault.unmask(masked) == text


@given(st.text(st.sampled_from("0123456789 +-()./@ab.[]_#\n"), max_size=120))
@settings(max_examples=300)
def test_digit_soup_is_masked_once_and_found_alike(text):
    vault = PatternVault()
    masked = vault.mask(text)
    assert bool(list(find_personal_data(text))) == bool(vault.export())
    assert (masked == text) == (not vault.export())


ATTACKS = (
    "a", "a.", "@", "a@", "a@a.", "a@a", "a@" + "a." * 7, "a" * 64 + "@", "a'", "'a", "+", ".-", "é",
    "aa00", "aa00 ", "DE89", "DE89 ",
    "de00" + "b" * 40 + " ",
    "de00 b b b ", "D E8", "0", "0 ", "1 2 ", "12 ", "123 ", "1234 ", "4111 1111 ",
    "123-", "1111111111111 ",
    "+0", "+00 ", "(0", "(0)", "0(", "0.", "0/", "00000 ", "+1 (", "01.02.2026 ", "0 01.02.2026",
    "(415) 555", "415-", "\u00a0", "[EMAIL_1]",
)  # fmt: skip


@pytest.mark.parametrize("unit", ATTACKS)
def test_adversarial_text_of_200_000_characters_takes_no_quadratic_time(unit):
    assert grows_linearly(PatternVault().mask, (unit * (200_000 // len(unit) + 1))[:200_000])


def test_many_different_values_take_linear_time():
    text = " ".join(f"a{number}@example.com" for number in range(10_000))
    vault = PatternVault()
    vault.mask(text)
    assert len(vault.export()) == 10_000
    assert grows_linearly(lambda part: PatternVault().mask(part), text)


def test_threads_that_mask_the_same_values_agree_on_placeholders():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    vault, seen = PatternVault(), []
    texts = [" ".join(f"u{n}@example.com" for n in range(start, start + 200)) for start in (0, 50, 100, 150)]

    def work(text):
        for _ in range(5):
            seen.append((text, vault.mask(text)))

    threads = [threading.Thread(target=work, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    assert len(seen) == 20
    assert all(vault.unmask(masked) == text for text, masked in seen)
    assert len(vault.export()) == len(set(vault.export().values())) == 350


def test_unknown_placeholder_stays():
    assert PatternVault().unmask("[EMAIL_7] [ADDRESS_1]") == "[EMAIL_7] [ADDRESS_1]"


def test_restored_vault_goes_on_counting_and_never_reuses_a_placeholder():
    vault = PatternVault({"[EMAIL_2]": "ann@example.com"})
    assert vault.mask("bo@example.com ann@example.com") == "[EMAIL_3] [EMAIL_2]"
    assert vault.export() == {"[EMAIL_2]": "ann@example.com", "[EMAIL_3]": "bo@example.com"}


def test_two_placeholders_of_one_value_both_unmask_and_the_first_masks():
    vault = PatternVault({"[EMAIL_1]": "ann@example.com", "[EMAIL_2]": "ann@example.com"})
    assert vault.unmask("[EMAIL_1][EMAIL_2]") == "ann@example.comann@example.com"
    assert vault.mask("ann@example.com") == "[EMAIL_1]"


@pytest.mark.parametrize("wrong", [{"[EMAIL_1]": "bo@example.com"}, {"EMAIL_1": "x"}, {"[NAME_1]": "x"}])
def test_contradicting_entries_are_refused_and_none_is_taken(wrong):
    vault = PatternVault({"[EMAIL_1]": "ann@example.com"})
    with pytest.raises(ValueError, match="restore"):
        vault.restore({"[EMAIL_9]": "new@example.com"} | wrong)
    assert vault.export() == {"[EMAIL_1]": "ann@example.com"}


def test_export_is_a_copy():
    vault = PatternVault()
    vault.export()["[EMAIL_1]"] = "x"
    assert vault.export() == {}


@pytest.mark.parametrize("number", CARDS)
def test_one_wrong_digit_fails_luhn(number):
    assert passes_luhn(number)
    assert not passes_luhn(number[:-1] + str((int(number[-1]) + 1) % 10))


@pytest.mark.parametrize("text", ["", "0" * 16, "4" * 12, "1" * 20, "no digits"])
def test_what_is_no_card_fails_luhn(text):
    assert not passes_luhn(text)


@pytest.mark.parametrize("number", IBANS)
def test_two_swapped_characters_fail_the_iban_check(number):
    assert passes_iban(number) and passes_iban(number.lower())
    plain = number.replace(" ", "")
    at = next(i for i in range(4, len(plain) - 1) if plain[i] != plain[i + 1])
    assert not passes_iban(plain[:at] + plain[at + 1] + plain[at] + plain[at + 2 :])


@pytest.mark.parametrize(
    "text", ["", "DE89", "é" * 20, "DE89!!!!!!!!!!!!!!!!", "8937040044053201300", "DE89" + "0" * 31]
)
def test_what_is_no_iban_fails_the_check_without_an_error(text):
    assert not passes_iban(text)


def test_find_personal_data_returns_values_as_they_stand():
    text = "a@b.co, 4111 1111 1111 1111, a@b.co, +49 30 1234567"
    assert list(find_personal_data(text)) == ["a@b.co", "a@b.co", "4111 1111 1111 1111", "+49 30 1234567"]


def test_map_strings_changes_values_and_leaves_keys_and_numbers():
    value = {"a": ["x", 1, None, {"b": "y"}], "c": True}
    assert map_strings(value, str.upper) == {"a": ["X", 1, None, {"b": "Y"}], "c": True}
