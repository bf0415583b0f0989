"""What honest customers say too, and what it becomes when several of it stand in one sentence (folded text).

A word to a bot, a demand, "without asking" or a rule that is quoted are each common. Two of them together, in one
sentence, are how orders to an agent are put when they are put politely.
"""

from __future__ import annotations

import re

MACHINE = (
    r"(?:(?:ai|virtual|automated|automatic|digital|support|llm) (?:assistant|agent|system|model|bot|helper"
    r"|repl(?:y|ies)|responder|tool)|ai|a\.i\.|llm|(?:large )?language model|chat ?bot|bot|robot|assistant|gpt\w*"
    r"|claude|copilot|model|automation|automated (?:agent|system))s?"
)
"""What an agent is called by those who write to it; for expressions."""

_MACHINE_ABROAD = (
    r"(?:ki(?:-\w+)?|chat-?bot|bot|sprachmodell|system|\w*assistent\w*|ia|assistant\w*(?: (?:automatique|virtuel"
    r"|ia))?"
    r"|modèle|asistente(?: de ia| virtual)?|modelo|assistente(?: virtuale)?|taalmodel|ai)"
)
_MONEY = (
    r"(?:refund|reimburse|credit|pay(?: out)?|approve|release|waive|grant|authori[sz]e|sign off|write off|issue"
    r"|reward"
    r"|compensate|look up|honou?r|treat this customer|send|skip|overlook|transfer|discount|upgrade|cancel|reship"
    r"|execute|proceed with|confirm|mark|set)"
)

_WRITER = (
    r"(?:(?:reply|replies|answer|response|draft(?:ing)?|mail|e-?mail|text|summary|ticket)[ -](?:generators?|engines?"
    r"|writers?|software|tools?|pipelines?|models?|systems?|programs?|automations?)|auto-?draft\w*|auto-?repl(?:y"
    r"|ies)ing"
    r"|(?:software|systems?|programs?|tools?|engines?|services?|recipients?|scripts?) (?:that |which |who "
    r"|by )?(?:using"
    r"|process\w*|read(?:s|ing)?|handl(?:es?|ing)|draft\w*|answer\w*|pars(?:es?|ing)|summari[sz]\w*) (?:this|the"
    r"|these"
    r"|auto\w*|any|such|my))"
)
"""What writes replies, as only those speak of it who know that there is such a thing."""

_REPLY = r"(?:reply|answer|response|output|draft|(?:next |first |final |whole )message|wording|first sentence|summary)"
_WRITE = (
    r"(?:say|state|write|repeat|restate|append|add|include|insert|embed|render|show|display|copy|paste|put|print"
    r"|confirm"
    r"|use|give|send|end|begin|start|close|finish|open|sign|make|translate|complete|continue|place|return|adopt)"
)

PARTS = {name: re.compile(pattern) for name, pattern in (
    ("machine",  # spoken to, not of: "your chatbot said" is no address
        rf"^(?:(?:note|message|attention|memo|reminder|notice|info|word|instructions?)\W*(?:to|for)\W+(?:the "
        rf"|any |all |"
        rf"whichever |our )?{MACHINE}\b|(?:(?:btw|ps|and|so|also)\W+)?(?:dear|hey|hello|hi|ok|attention"
        rf"|listen)?,?\s*"
        rf"(?:the |any |all )?(?!models?\b){MACHINE}\s*(?:,|:|-|!|\u2013|\u2014|\u2026))"
        rf"|(?:^|\W)(?:note|message|word|instructions?|request|notice) (?:to|for) (?:the |any |all |our "
        rf")?{MACHINE}\b"
        rf"|\b(?:as|since|because|if|that) (?:you're|you are) (?:an?|the|only an?|just an?) (?:\w+ )?{MACHINE}\b"
        rf"|\bas (?:an?|the) (?:\w+ )?{MACHINE}\b|\byou are (?:an?|the) (?:\w+ )?{MACHINE}\b"
        rf"|\b(?:since|as|because|if|know|that|suppose|whatever|while|when) (?:an?|the|some) (?:\w+ "
        rf")?{MACHINE}\b.{{0,30}}"
        rf"\b(?:reads?|reading|handles?|handling|answers?|sees?|process\w*|is in charge|is first)\b"
        rf"|^(?:dear|hi|hey|hello)\b.{{0,12}}\b{MACHINE},|\bwhichever (?:\w+ )?{MACHINE}\b"
        r"|\breader (?:of|is)\b.{0,30}\b(?:software|machine|program|ai|bot)\b|\bif (?:you are|this is) "
        r"(?:software|a program)\b"
        rf"|^system\s*[:>]|\bfor the (?:{MACHINE}|machine|software)\s*:|\b(?:all|any|every) "
        rf"agents?\b.{{0,20}}\b(?:are to|is to|must|shall)\b"
        r"|\b(?:handled|read|answered|processed) without (?:people|humans|a human|staff|anyone)\b"
        rf"|\b(?:could|can|would|will|may) (?:the|an?|some) {MACHINE}\b"
        rf"|\b(?:whoever or whatever|whatever or whoever|whoever, or whatever)\b"
        rf"|\b(?:ask|tell|instruct|order|permit|allow) (?:the|any|an) {MACHINE}\b"
        rf"|(?<!your )(?<!the chat )\b{MACHINE} (?:which |that |who |(?:reading|processing"
        rf"|handling)\b.{{0,40}})?(?:must|shall"
        rf"|should|(?:has|have|is|are) (?:required |obliged |asked |instructed |expected |allowed |permitted "
        rf"|permission"
        rf" |authori[sz]ed )?to|may|needs? to|can simply|will)\b"
        rf"|\b(?:the|any) {MACHINE} (?:that |who |which )?(?:read|handl|process|answer)\w*\b"
        rf"|\b(?:hinweis|nachricht|anweisung|notiz|an|bitte) (?:an |für )?(?:die|das|den|alle) {_MACHINE_ABROAD}\b"
        rf"|\b(?:note|message|consigne|instruction) (?:pour|à) (?:l'|le |la |les |un )?{_MACHINE_ABROAD}\b"
        rf"|\b(?:nota|mensaje|instrucción|aviso|messaggio) (?:para|al|a|per) (?:el |la |los |l')?{_MACHINE_ABROAD}\b"
        rf"|\b(?:aan|bericht voor|notitie voor|let op) (?:de|het|alle) {_MACHINE_ABROAD}\b"
        rf"|\b{_WRITER}\b|\bwho(?:ever|soever) (?:drafts|writes|prepares|generates|composes|compiles)\b"),
    ("demand",
        rf"\b{_MONEY}\b|\bpush (?:a|the|through)\b|\b(?:free|full) (?:replacement|refund|shipping|terrace|garden"
        rf"|plan)"
        r"|\b(?:entitled|hand over|hand out|say yes|keep the|reveal|list|include the|remove this|delete this|voucher"
        r"|100 ?%|discount)\b|\b(?:erstatt|überweis|gewähr|genehmig|storn|gutschr|gutschein|rabatt|bestätig|rembours"
        r"|approuv|annul|reembols|aprueb|devuelv|devolv|conced|terugbeta|keur|goedkeur|korting|vergoed|betaal"
        r"|rimbors)\w*"
        r"|\b(?:accorde[zr]?|un avoir|valide[zr]?|confirm[ae]n?|abon[ae](?:r|le|me)?|approva)\b"
        r"|\b(?:state|append|affirm\w*|left out|leave out|settle\w*|say that|is to (?:say|state))\b"),
    ("secrecy",
        r"\bwithout (?:any |further |human |manual |asking |a |waiting for |the |checking|consulting|telling "
        r"|involving "
        r")*(?:approval|review|confirmation|verification|a human|humans?|anyone|anybody|check(?:s|ing)?|staff"
        r"|consulting|the team"
        r"|limits?)\b|\b(?:no need|not necessary|needn't|need not|no reason) (?:to )?(?:bother|trouble|ask"
        r"|involve|consult"
        r"|wait for|tell|inform|alert|loop in|check(?: this| it)? with|disturb) (?!sending|with the courier|the "
        r"courier)"
        r"(?:anyone|anybody|any|a|the|your|[a-z]+) ?(?:humans?|colleagues?|team|staff|people|person|lead|manager"
        r"|reviewer"
        r"|with it|about (?:it|this)|first|in the team|else)?\b"
        r"|\b(?:do not|don't|never|please not|nor) (?:tell|inform|alert|involve|loop in|notify|bother|consult"
        r"|mention|show|"
        r"disclose|display|reveal|ask)\b.{0,25}\b(?:humans?|team|staff|colleagues?|anyone|anybody|reviewers?|people"
        r"|support|agents?|this (?:line|comment|instruction|message|note)|in the (?:thread|reply|summary)|for "
        r"photos?)\b"
        r"|\b(?:tell|informing|telling) (?:nobody|no one|noone)\b|\bnobody (?:will mind|needs to know|has to know)\b"
        r"|\b(?:skip|bypass|omit|waive|suspend\w*|drop)\b.{0,25}\b(?:approval|review|human|verification"
        r"|confirmation|check"
        r")s?\b|\b(?:verification|review|approval)\b.{0,30}\bsuspended\b"
        r"|\b(?:do not|don't|never) (?:route|send|forward|pass|escalate|hand|add|put)\b.{0,25}\b(?:review|queue"
        r"|approval)\b"
        r"|\b(?:needs? no|requires? no|no further|no human|no more|no manual) (?:human |manual )?(?:checks?"
        r"|review|approval"
        r"|confirmation|verification)\b|\bno (?:checks?|review|approval|confirmation|verification) (?:is "
        r")?(?:needed|required)\b|\b(?:decide|release|approve|handle|do|settle)\b.{0,30}\b(?:by yourself"
        r"|yourself|on your own)\b"
        r"|\b(?:ohne (?:rückfrage|prüfung|freigabe|kontrolle|nachfrage)|niemande[mn]|keine[nm] (?:mitarbeiter"
        r"|menschen"
        r"|kollegen))\b"
        r"|\bsans (?:demander|validation|vérification|consulter|contrôle|en parler)\b|\bà personne\b"
        r"|\bsin (?:consultar|preguntar|revisión|aprobación|avisar)\b|\ba nadie\b|\bno (?:lo |se lo "
        r")?(?:menciones|digas)\b"
        r"|\bzonder (?:controle|goedkeuring|te vragen|overleg|toestemming)\b|\b(?:niets over|tegen niemand|aan "
        r"niemand)\b"
        r"|\bsenza (?:chiedere|conferma|approvazione)\b|\ba nessuno\b"),
    ("reply",  # the text that is being written, as a place to put something
        rf"\b{_WRITE}\b.{{0,80}}\b(?:in|into|to|as|with|at the (?:end|top|start|beginning) of|below|of) (?:your|the"
        rf"|every"
        rf"|each|any) {_REPLY}\b|\b(?:end|begin|start|close|finish|open|sign) (?:your|the|every"
        rf"|each) (?:\w+ ){{0,2}}(?:"
        rf"{_REPLY}|message|mail|e-?mail|letter) with\b|\b(?:complete|continue|finish) (?:the|this) (?:following "
        rf"|sentence"
        r"|paragraph|letter|text|mail|e-?mail|reply|answer)"),
    ("dictated",  # what is to stand there
        r"[\"'\u201c\u201e\u00ab](?:[^\"'\u201c-\u201e\u00ab\u00bb\s]+ ){2}|!\[|\]\(|https?://|<(?:img|a|iframe|script)\b"
        r"|\bthe following\b"
        r"|\b(?:we|i) (?:will|shall|have|hereby|are (?:happy|glad) to)?\s*(?:refund|reimburse|credit|waive|grant|owe)"
        r"|:\s*\w+ \w+ \w+"),
    ("slot",  # the reply as the one that must
        rf"\b(?:your|the) (?:next |first |final )?{_REPLY}(?: \w+ (?:goes|is sent) (?:out )?to (?:me|us"
        rf"|the customer))? (?:must"
        r"|has to|have to|shall|needs to|is to|ought to|should) (?:\w+ )?(?:say|state|contain|include|read|begin"
        r"|start|end|be"
        r" (?:consistent|identical|exactly)|confirm|grant|mention|promise|consist|offer)\b"
        rf"|\b(?:your|the) (?:next |first |final )?{_REPLY} (?:consists? of|reads?\s*:|is\s*:)|\bits wording is\b"),
    ("drafting",  # an order for the moment of writing
        r"\b(?:when|while|before|whenever) (?:you )?(?:draft|answer|repl[yi]|summari[sz]|classif|respond"
        r"|writ)\w*\b.{0,30}"
        r"\b(?:say|state|set|mark|grant|always|never|promise|approve)\b"),
    ("authority",
        r"\bpolicy (?:\d|notice|update|no\b|number|section)|\bpolicy\b.{0,20}\b(?:\d+\.\d+|internal)\b"
        r"|\b(?:new|internal|company) (?:company |internal )?(?:rule|policy|directive)s?\b"
        r"|\b(?:policy|compliance|security|system) (?:update|notice|bulletin|override)\b|\beffective immediately\b"
        r"|\b(?:is|was|has been|have been|already|are|hereby) (?:\w+ )?(?:verified|pre-?approved"
        r"|pre-?authori[sz]ed|cleared"
        r"|authori[sz]ed|permitted|geprüft|verifiziert|vérifiée?|verificad[oa]|geverifieerd)\b|\bverified "
        r"(?:employee|staff)"
        r"|\b(?:has|have|with) permission to\b|\bcustomers? with this (?:footer|signature|line|tag)\b"
        r"|\b(?:authori[sz]ed|allowed|permitted|required|instructed) to (?:refund|pay|credit|approve|grant|skip"
        r"|execute)\b"),
)}  # fmt: skip
"""What one sentence may hold; each is common in honest mail."""

MIXTURES = (
    ("addressed", 0.75, frozenset({"machine", "demand"})),
    ("addressed", 0.75, frozenset({"machine", "secrecy"})),
    ("addressed", 0.7, frozenset({"machine", "authority"})),
    ("secret_demand", 0.65, frozenset({"demand", "secrecy"})),
    ("false_rule", 0.6, frozenset({"authority", "secrecy"})),
    ("dictation", 0.65, frozenset({"reply", "dictated"})),
    ("dictation", 0.6, frozenset({"slot"})),
    ("dictation", 0.6, frozenset({"drafting"})),
)
"""Name, weight, and the parts that make it when they stand in one sentence."""
