"""Orders to forget one's orders, language by language: what to do, with which of them, and what they are called.

The words are our own, written down from what such an order must say. All three are asked for, because customers forget
instructions too: those of a manual, or to enclose it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from deskhand_agents.signals import Signal


class _Words(NamedTuple):
    """Stems over folded text (case-folded, NFKC), for expressions."""

    language: str
    verb: str
    which: str
    noun: str


_WORDS = (
    ("de", r"ignorier|missacht|vergiss|vergessen sie", r"alle[ns]?\b|vorherig|bisherig|vorig|früher|obig|dein|ihre\b",
        r"anweisung|instruktion|vorgabe|befehl|regeln?\b"),
    ("fr", r"ignore[zr]?\b|(?<!n')(?<!ai )(?<!avez )(?<!ont )oublie[zr]?\b|ne (?:tiens|tenez) pas compte",
        r"toutes\b|tous\b|précédent|antérieur|ci-dessus|ces\b|tes\b|vos\b",
        r"instructions|consignes|règles\b|directives"),
    ("es", r"ignor[ae]n?\b|(?<!no )olvid[ae]n?\b|omit[ae]n?\b|haz caso omiso",
        r"tod[ao]s\b|anterior|previ[ao]s|tus\b|sus\b|de arriba", r"instrucci|reglas|directrices|indicaciones"),
    ("pt", r"ignor[ae]m?\b|(?<!se )esqueça\b|desconsidere", r"tod[ao]s\b|anterior|prévi|suas\b|tuas\b|acima",
        r"instruç|regras|diretrizes|orientaç"),
    ("it", r"ignora(?:te)?\b|dimentica(?:te)?\b|trascura(?:te)?\b", r"tutt[ei]\b|precedent|tue\b|vostre\b|sopra\b",
        r"istruzioni|regole|direttive"),
    ("nl", r"negeer|vergeet\b(?! niet)", r"alle\b|eerdere|vorige|voorgaande|bovenstaande|uw\b|jouw|je (?:instr|regels)",
        r"instructies|regels|opdrachten|aanwijzingen"),
    ("sv", r"ignorera\b|glöm\b(?! inte)|bortse från", r"alla\b|tidigare|föregående|dina\b|ovan",
        r"instruktion|regler|anvisning|direktiv"),
    ("da", r"ignorer\b|glem\b(?! ikke)|se bort fra", r"alle\b|tidligere|foregående|dine\b|ovenstående",
        r"instruktion|instruks|regler|anvisning|retningslinj"),
    ("fi", r"ohita\b|unohda\b|jätä huomiotta|sivuuta\b", r"kaikki|aiem|aikaisem|edellis|yllä",
        r"ohje|sääntö|määräy"),
    ("pl", r"zignoruj|ignoruj|pomiń|(?<!nie )zapomnij", r"wszystk|poprzedni|wcześniejsz|powyższ|swoj|twoj",
        r"instrukcj|polece|zasad|wytyczn"),
    ("cs", r"ignoruj|zapomeň|přehlížej", r"všechn|vešker|předchozí|dřívější|výše|své\b|tvé\b",
        r"pokyn|instrukc|pravidl|příkaz"),
    ("sk", r"ignoruj|zabudni", r"všetk|predchádzaj|doterajš|vyššie|svoj|tvoj", r"pokyn|inštrukci|pravidl|príkaz"),
    ("hu", r"hagyd figyelmen kívül|felejtsd el|ignoráld", r"minden|összes|korábbi|előző|fenti",
        r"utasítás|szabály|parancs"),
    ("ro", r"ignor[aă](?:ți)?\b|uit[aă](?:ți)?\b", r"toate|anterioar|precedent|mai sus|tale\b",
        r"instrucțiun|reguli|indicați"),
    ("tr", r"yok say|görmezden gel|unut\b|dikkate alma", r"tüm\b|bütün|önceki|yukar", r"talimat|kural|yönerge|komut"),
    ("id", r"abaikan|(?<!jangan )lupakan", r"semua|sebelum|di atas", r"instruksi|perintah|aturan|petunjuk"),
    ("vi", r"bỏ qua|phớt lờ|quên", r"tất cả|trước đó|trước đây|mọi\b|ở trên", r"hướng dẫn|chỉ dẫn|quy tắc|lệnh"),
    ("ru", r"игнориру|проигнорируй|(?<!не )забудь|не обращай внимания",
        r"все\b|всех\b|предыдущ|прежни|сво[ий]|тво[ий]|выше", r"инструкц|указани|правил|команд"),
    ("uk", r"ігнору|проігноруй|(?<!не )забудь", r"попередн|свої|твої|вище|всі\b",
        r"інструкц|вказівк|правил|команд"),
    ("el", r"αγνόησ|αγνοήσ|ξέχασε\b|ξεχάστε\b", r"όλε|όλου|προηγούμεν|παραπάνω", r"οδηγί|εντολ|κανόν"),
    ("ar", r"تجاهل|انس\b|تجاوز", r"جميع|كل\b|السابق|أعلاه", r"\w{0,3}(?:تعليمات|أوامر|قواعد|توجيهات)"),
    ("he", r"התעלם|התעלמ|שכח\b", r"כל\b|הקודמ|לעיל", r"\w?(?:הוראות|הנחיות|כללים)"),
    ("hi", r"अनदेखा|नज़रअंदाज|भूल जा", r"सभी|पिछल|पहले|ऊपर", r"निर्देश|नियम|आदेश"),
    ("zh", r"忽略|无视|無視|忽視|忘记|忘記",
        r"之前|以前|先前|上述|以上|上面|所有|全部|一切|你的",
        r"指令|指示|提示|规则|規則|说明|說明"),
    ("ja", r"無視|忘れ", r"以前|これまで|今まで|上記|すべて|全て|前の|あなた", r"指示|命令|ルール|プロンプト"),
    ("ko", r"무시|잊어|잊으", r"이전|앞의|위의|모든|지금까지|기존", r"지시|명령|규칙|지침"),
)  # fmt: skip

_UNSPACED = frozenset({"hi", "zh", "ja"})
"""Languages in whose words, as expressions see them, no word begins: no spaces, or vowels that are marks."""


def _pattern(words: _Words) -> str:
    begins = "" if words.language in _UNSPACED else r"\b"
    verb, which, noun = (rf"{begins}(?:{stems})" for stems in words[1:])
    return rf"^(?=.*{which}).*?(?:{verb}.{{0,60}}{noun}|{noun}.{{0,60}}{verb})"


OVERRIDES = tuple(Signal("override", 0.9, re.compile(_pattern(_Words(*row)))) for row in _WORDS)
"""Suspicious by themselves; over folded text, one sentence at a time."""
