import base64
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deskhand.errors import ConfigError
from deskhand.interfaces import Request
from deskhand.testing import NOON
from deskhand_helpdesks import RECIPES, Fault, NotGenuine, sign_webhook, verify_request

VECTORS = json.loads((Path(__file__).parent / "signature_vectors.json").read_text())["vectors"]
STANDARD, GITHUB = VECTORS[0], next(one for one in VECTORS if one["recipe"] == "github")
SECOND = timedelta(seconds=1)
# "Verifying webhooks" of Zendesk's old event connector pages signs body + time; today's page says time + body
ZENDESK_TRAP = {
    "recipe": "zendesk",
    "secret": "HRkRd4BeOAoUkfZr-mhauJT64rvBASlJRoIyPsd3zeA=",
    "method": "POST",
    "uri": "https://desk.example.com/webhooks/x",
    "headers": {"X-Zendesk-Webhook-Signature-Timestamp": "2021-07-25T10:00:00Z"},
    "body": '{"say": "hello"}',
    "expected": "Rry/4TtIdFyawtXXp8QdI6tlAUUQ/5kL1OTp5qo/ZIk=",
}
PUBLISHED_FOR_THE_OLD_ORDER = "tRDSF7URY8BLCDlaBcQ7FHu051Zk+aAB0NKMP53teMw="


def signed_at(vector):
    recipe = RECIPES[vector["recipe"]]
    if not recipe.timestamp:
        return NOON
    stamp = next(value for name, value in vector["headers"].items() if name.lower() == recipe.timestamp.lower())
    if recipe.unit == "iso":
        return datetime.fromisoformat(stamp)
    return datetime.fromtimestamp(int(stamp) / (1000 if recipe.unit == "ms" else 1), UTC)


def request_of(vector, signature=None, **headers):
    given = {RECIPES[vector["recipe"]].header: vector["expected"] if signature is None else signature}
    return Request(vector["method"], vector["uri"], {**vector["headers"], **given, **headers}, vector["body"].encode())


def check(vector, request=None, secrets=None, now=None):
    return verify_request(
        vector["recipe"], request or request_of(vector), secrets or [vector["secret"]], now or signed_at(vector)
    )


def fault_of(vector, request=None, **kwargs):
    with pytest.raises(NotGenuine) as caught:
        check(vector, request, **kwargs)
    return caught.value.fault


@pytest.mark.parametrize("vector", VECTORS, ids=[f"{one['recipe']}-{n}" for n, one in enumerate(VECTORS)])
def test_every_vector_is_genuine(vector):
    assert check(vector).secret_index == 0


@pytest.mark.parametrize("vector", VECTORS, ids=[f"{one['recipe']}-{n}" for n, one in enumerate(VECTORS)])
def test_one_byte_more_in_the_body_does_not_fit(vector):
    assert fault_of({**vector, "body": vector["body"] + " "}) is Fault.mismatch


@pytest.mark.parametrize("vector", VECTORS, ids=[f"{one['recipe']}-{n}" for n, one in enumerate(VECTORS)])
def test_another_secret_does_not_fit(vector):
    other = "whsec_" + base64.b64encode(b"0" * 24).decode()
    assert fault_of(vector, secrets=[other]) is Fault.mismatch


@pytest.mark.parametrize("vector", VECTORS, ids=[f"{one['recipe']}-{n}" for n, one in enumerate(VECTORS)])
def test_a_missing_signature_is_named_missing(vector):
    request = request_of(vector)
    bare = {name: value for name, value in request.headers.items() if name != RECIPES[vector["recipe"]].header}
    assert fault_of(vector, Request(request.method, request.url, bare, request.body)) is Fault.missing


def test_there_are_vectors_for_every_recipe_that_signs():
    assert {one["recipe"] for one in VECTORS} == {n for n, row in RECIPES.items() if row.carrier == "signature"}
    assert len(VECTORS) == 19


@pytest.mark.parametrize(
    ("signature", "fault"),
    [
        ("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OA=", Fault.mismatch),
        ("v1,", Fault.malformed),
        ("v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", Fault.malformed),
        ("", Fault.malformed),
        (STANDARD["expected"] + ", " + STANDARD["expected"], Fault.duplicate),
    ],
)
def test_the_cases_that_standardwebhooks_rejects_are_rejected(signature, fault):
    assert fault_of(STANDARD, request_of(STANDARD, signature)) is fault


def test_one_good_signature_of_several_is_enough():
    given = f"v2,{STANDARD['expected'][3:]} v1,AAAA {STANDARD['expected']}"
    assert check(STANDARD, request_of(STANDARD, given)).secret_index == 0


def test_the_other_spelling_of_the_headers_is_read():
    headers = {name.replace("webhook-", "svix-"): value for name, value in STANDARD["headers"].items()}
    request = request_of({**STANDARD, "headers": headers})
    moved = {name.replace("webhook-", "Svix-"): value for name, value in request.headers.items()}
    check(STANDARD, Request("POST", "", moved, request.body))


@pytest.mark.parametrize("vector", [*VECTORS, ZENDESK_TRAP], ids=lambda one: one["recipe"])
def test_a_signed_time_is_good_for_300_seconds_on_both_sides(vector):
    if not RECIPES[vector["recipe"]].timestamp:
        check(vector, now=NOON + timedelta(days=400))  # no signed time: only the memory of deliveries guards
        return
    at = signed_at(vector)
    check(vector, now=at + 300 * SECOND)
    check(vector, now=at - 300 * SECOND)
    assert fault_of(vector, now=at + 301 * SECOND) is Fault.too_old
    assert fault_of(vector, now=at - 301 * SECOND) is Fault.ahead
    assert fault_of(vector, now=at + timedelta(days=1)) is Fault.too_old


def test_a_forged_signature_is_a_mismatch_even_when_it_is_old():
    assert fault_of(STANDARD, request_of(STANDARD, "v1,AAAA"), now=NOON) is Fault.mismatch


def test_zendesks_old_printed_value_is_rejected():
    check(ZENDESK_TRAP)
    assert fault_of(ZENDESK_TRAP, request_of(ZENDESK_TRAP, PUBLISHED_FOR_THE_OLD_ORDER)) is Fault.mismatch


def test_several_secrets_tell_which_one_fits():
    assert check(GITHUB, secrets=["old", "older", GITHUB["secret"]]).secret_index == 2


def test_a_secret_without_padding_is_read():
    padded = "whsec_" + base64.b64encode(b"k" * 25).decode()
    headers = sign_webhook(padded, "msg_1", NOON, b"{}")
    verify_request("standard-webhooks", Request("POST", "", headers, b"{}"), [padded.rstrip("=")], NOON)


@pytest.mark.parametrize("secret", ["whsec_AAAA", "not base64 at all", "whsec_" + "A" * 200])
def test_a_secret_that_cannot_be_one_is_a_config_error(secret):
    with pytest.raises(ConfigError, match="24 to 64 bytes"):
        check(STANDARD, secrets=[secret])


@pytest.mark.parametrize("secrets", [[], [""]])
def test_without_a_secret_nothing_is_genuine(secrets):
    with pytest.raises(ConfigError, match="no secret"):
        verify_request("github", request_of(GITHUB), secrets, NOON)


def test_a_header_in_two_spellings_is_a_duplicate():
    assert fault_of(GITHUB, request_of(GITHUB, **{"x-hub-signature-256": GITHUB["expected"]})) is Fault.duplicate


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_an_id_or_time_that_came_twice_is_a_duplicate(name):
    value = STANDARD["headers"][name]
    assert fault_of(STANDARD, request_of(STANDARD, **{name: f"{value}, {value}"})) is Fault.duplicate


@pytest.mark.parametrize("stamp", ["soon", "1e9", "-5", "9" * 15, "1614265330 ", "", "\uff11614265330"])
def test_a_time_that_is_none_is_malformed(stamp):
    request = request_of(STANDARD, **{"webhook-timestamp": stamp})
    assert fault_of(STANDARD, request, now=NOON) is Fault.malformed


@pytest.mark.parametrize("stamp", ["2021-07-25T10:00:00", "yesterday"])
def test_a_zendesk_time_without_a_zone_is_malformed(stamp):
    request = request_of(ZENDESK_TRAP, **{"X-Zendesk-Webhook-Signature-Timestamp": stamp})
    assert fault_of(ZENDESK_TRAP, request) is Fault.malformed


def test_a_joined_signature_header_is_a_duplicate():
    assert fault_of(GITHUB, request_of(GITHUB, f"{GITHUB['expected']},{GITHUB['expected']}")) is Fault.duplicate


def shared(provider, url="https://desk.example.com/webhooks/x", **headers):
    return verify_request(provider, Request("POST", url, headers, b"{}"), ["first", "s3cret/ü"], NOON)


def test_a_secret_in_the_path_is_compared_decoded():
    assert shared("django-helpdesk", "https://d.example/webhooks/x/s3cret%2F%C3%BC?a=b").secret_index == 1


@pytest.mark.parametrize(
    ("url", "fault"),
    [("https://d.example/webhooks/x/wrong", Fault.mismatch), ("https://d.example/webhooks/x/", Fault.missing)],
)
def test_a_wrong_secret_in_the_path_is_refused(url, fault):
    with pytest.raises(NotGenuine) as caught:
        shared("django-helpdesk", url)
    assert caught.value.fault is fault
    assert "wrong" not in str(caught.value).replace("the secret is wrong", "")


def test_a_shared_secret_in_a_header_is_compared():
    assert shared("freshdesk", **{"x-deskhand-secret": "first"}).secret_index == 0
    with pytest.raises(NotGenuine, match="missing"):
        shared("gorgias")


def test_the_password_of_basic_auth_is_compared():
    good = base64.b64encode("anyone:s3cret/ü".encode()).decode()
    assert shared("znuny", Authorization=f"Basic {good}").secret_index == 1
    for wrong in ("Bearer abc", "Basic !!!", f"Bearer {good}", "Basic " + base64.b64encode(b"nocolon").decode()):
        with pytest.raises(NotGenuine, match="malformed"):
            shared("znuny", Authorization=wrong)


def test_random_headers_only_ever_raise_not_genuine():
    rng = random.Random(7)
    pieces = ["v1,", "sha256=", "=", ",", " ", "\x00", "é", "AAAA", "1614265330", "%", "\ud800", "{", "Basic "]
    for _ in range(10_000):
        provider = rng.choice(list(RECIPES))
        recipe = RECIPES[provider]
        names = [name for name in (recipe.header, recipe.timestamp, recipe.id) if name]
        headers = {name: "".join(rng.choices(pieces, k=rng.randrange(6))) for name in names if rng.random() < 0.9}
        url = f"https://d.example/{''.join(rng.choices(pieces[:-4], k=3))}"
        with pytest.raises(NotGenuine):
            verify_request(provider, Request("POST", url, headers, rng.randbytes(5)), ["whsec_" + "A" * 32], NOON)
