from deskhand.vault import PatternVault
from deskhand_models.privacy import mask_answer


def test_known_values_get_their_placeholders_and_unknown_ones_lose_theirs():
    vault = PatternVault()
    vault.mask("ann@example.com and +49 170 1234567")
    text = "Ann@Example.com, [PHONE_1], [EMAIL_7], eve@example.com, DE89 3704 0044 0532 0130 00"
    assert mask_answer(text, vault) == "[EMAIL_1], [PHONE_1], [EMAIL_7], [EMAIL], [IBAN]"
    assert set(vault.export()) == {"[EMAIL_1]", "[PHONE_1]"}


def test_vault_with_other_kinds_of_placeholders_is_served_too():
    class NameVault(PatternVault):
        def export(self):
            return super().export() | {"<name 1>": "Ann"}

    assert mask_answer("Ann, eve@example.com", NameVault()) == "Ann, [EMAIL]"
