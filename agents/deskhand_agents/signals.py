"""The patterns that screening looks for, in one place: each a name, a weight and an expression over folded text.

Weights are chances that the sign means what it is listed under; independent signs join as 1 - (1-a)(1-b). From 0.5 on
a flag is set. Every list is short on purpose: a sign that real customers use often does not belong here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple


class Signal(NamedTuple):
    """One sign and how much it weighs, 0 to 1."""

    name: str
    weight: float
    pattern: re.Pattern[str]


def build_signals(*rows: tuple[str, float, str]) -> tuple[Signal, ...]:
    """Return signals from rows of name, weight and expression."""
    return tuple(Signal(name, weight, re.compile(pattern)) for name, weight, pattern in rows)


def combine(weights: Sequence[float]) -> float:
    """Return the joint confidence of independent signs, rounded to three digits."""
    rest = 1.0
    for weight in weights:
        rest *= 1.0 - weight
    return round(1.0 - rest, 3)


AUTO_REPLY_SUBJECT = re.compile(
    r"^(?:re:\s*)?(?:automatic reply|auto(?:matic)?[- ]?(?:reply|response|antwort)"
    r"|out of (?:the )?office(?: reply)?|autoreply|automatische antwort"
    r"|abwesenheits\w*|réponse automatique|respuesta automática|risposta automatica"
    r"|automatisch antwoord|afwezigheid\w*|afwezig)\b\s*(?::|-|\u2013|$|\b(?:until|bis|tot)\b)"
)
AUTO_REPLY = build_signals(
    ("away", 0.6,
        r"\b(?:i am|i'm|i will be|am)\s+(?:currently\s+)?(?:out of (?:the )?office"
        r"|away from (?:the office|my desk|my e-?mail)|on (?:annual |parental |maternity |sick )?leave"
        r"|on (?:vacation|holiday) until)\b"),
    ("away", 0.6,
        r"\b(?:ich bin (?:derzeit |aktuell |momentan |zurzeit )?(?:nicht im büro|abwesend|im urlaub)"
        r"|je suis (?:actuellement )?(?:absente?|en congé|en vacances)"
        r"|ik ben (?:momenteel )?(?:afwezig|niet aanwezig|met vakantie)|estoy (?:fuera de la oficina"
        r"|de vacaciones))\b"),
    ("return", 0.4,
        r"\b(?:i will (?:return|be back)|back (?:in the office )?on|returning on|wieder (?:da"
        r"|erreichbar|im büro)|de retour le|terug op|limited access to (?:my )?e-?mail|will (?:reply"
        r"|respond|answer|get back to you) (?:when|upon|after|on my)|no access to (?:my )?e-?mail"
        r"|keinen zugriff auf)\b"),
    ("instead", 0.4,
        r"\b(?:in urgent cases|for urgent (?:matters|requests|issues)|in my absence"
        r"|please contact my colleague|in dringenden fällen|en cas d'urgence|bij dringende)\b"),
    ("machine", 0.6,
        r"\b(?:this is an auto(?:matic|mated)(?:ally generated)? (?:reply|response|message|e-?mail)"
        r"|do not reply to this (?:e-?mail|message)|automatically generated"
        r"|dies ist eine automatische)\b"),
)  # fmt: skip
BOUNCE = build_signals(
    ("sender", 0.6, r"\b(?:mailer-daemon|postmaster|mail delivery (?:subsystem|system))\b"),
    ("subject", 0.6,
        r"(?:^|\n)(?:undeliver(?:able|ed)|delivery status notification|mail delivery failed"
        r"|returned mail|delivery (?:has )?failed|undelivered mail returned|unzustellbar"
        r"|failure notice)\b"),
    ("code", 0.5,
        r"\b(?:5[05]\d[ -]5\.\d\.\d|550[ -]|smtp (?:error|550)|status: ?5\.\d\.\d|x-failed-recipients"
        r"|diagnostic-code|mailbox (?:full|unavailable|not found)|(?:user|recipient"
        r"|address) (?:unknown|rejected|not found))"),
    ("phrase", 0.5,
        r"\b(?:could not be delivered|was ?n[o']t delivered|delivery to the following recipients?"
        r"|permanent(?:ly)? (?:error|failed|failure)|the following address(?:es)?(?:\(es\))? (?:failed"
        r"|had)|message you sent)\b"),
)  # fmt: skip
SPAM = build_signals(
    ("marketing", 0.45,
        r"\b(?:seo|search engine optimi[sz]ation|backlinks?|guest posts?|link building"
        r"|domain authority|rank(?:ing)? (?:#?1|higher|on google|first page)|first page of google"
        r"|increase (?:your )?(?:traffic|sales|revenue|ranking))\b"),
    ("offer", 0.4,
        r"\b(?:special offer|limited time (?:offer|only)|act now|100% (?:free|guaranteed)"
        r"|click (?:here|below|the link)|free trial for your business|best price guaranteed"
        r"|risk[- ]free|buy now|exclusive deal|make money|work from home|earn \$?\d+)\b"),
    ("agency", 0.45,
        r"\b(?:our (?:agency|digital marketing|development team|seo|outsourc\w+)|we (?:offer|provide"
        r"|specialise|specialize) (?:in )?(?:web|seo|app|mobile|lead|digital|affordable|high.quality"
        r"|link|content)|i (?:came across|visited|was looking at|found) your (?:website|site|store"
        r"|web ?site))\b"),
    ("casino", 0.6,
        r"\b(?:casino|betting bonus|crypto(?:currency)? (?:investment|trading|profit|signal)"
        r"|bitcoin (?:investment|profit)|forex|viagra|cialis|loan offer|lottery|inheritance"
        r"|beneficiary|replica watches|escort|adult dating)\b"),
    ("list", 0.4,
        r"\b(?:unsubscribe (?:here|from this|link)|opt[- ]out|you are receiving this"
        r"|view (?:this email )?in (?:your )?browser|to stop receiving)\b"),
    ("pitch", 0.4,
        r"\b(?:schedule a (?:quick )?(?:call|demo)|15[- ]minute (?:call|chat)|quick call|free (?:audit"
        r"|quote|consultation|website analysis)|interested in (?:our|a partnership)|reply (?:yes"
        r"|with your (?:phone|number))|whatsapp|email lists?|verified leads|business proposal"
        r"|manufacturer (?:in|from) china|our factory|wholesale price)\b"),
    ("phishing", 0.6,
        r"\b(?:enable editing|open the (?:enclosed|attached) (?:document|invoice)|updated bank details|verify "
        r"your account (?:now"
        r"|by|within))\b"),
    ("links", 0.3, r"(?:https?://\S+.*){4}"),
)  # fmt: skip
ORDER_RELATED = re.compile(
    r"\b(?:my (?:order|parcel|package|delivery|refund|return|subscription|invoice|account|plan)"
    r"|i (?:ordered|bought|purchased|received|paid)|order (?:number|no|#))\b"
)
"""What a spammer does not write; it keeps a ticket from being called spam or an automatic reply."""

THREAT = build_signals(
    ("legal", 0.75,
        r"\b(?:my (?:lawyer|solicitor|attorney)|legal (?:action|steps|proceedings|advice)|(?:take"
        r"|taking|see) you (?:to|in) court|small claims|sue (?:you|your)|lawsuit|consumer protection"
        r"|trading standards|ombudsman|attorney general|class action|ftc\b|verbraucherzentrale|anwalt"
        r"|avocat|mise en demeure|abogado|advocaat|data protection authority|ico complaint)\b"),
    ("press", 0.7,
        r"\b(?:go(?:ing)? to the (?:press|media|papers?)|(?:contact|tell|inform|write to) (?:the "
        r"|a )?(?:press|media|newspaper|journalist|bbc|watchdog)\w*|going viral"
        r"|post (?:this|it|about this) (?:everywhere|all over)|social media about)\b"),
    ("violence", 0.8, r"\b(?:kill (?:you|myself|me)|hurt (?:you|myself)|bomb|i know where you)\b"),
)  # fmt: skip
SAFETY = build_signals(
    ("shock", 0.85,
        r"\b(?:electric(?:al)? shock|(?:got|gave|gives?|give me|getting|had) (?:me )?(?:an? )?(?:\w+ )?(?:shock"
        r"|tingle|zap)"
        r"|tingl\w+ (?:off|from|in my)|electrocuted|zapped|stromschlag|(?:choc|décharge) électrique|descarga "
        r"eléctrica"
        r"|calambre|elektrische schok)\b"),
    ("fire", 0.85,
        r"\b(?:smoke(?! (?:detector|alarm))|smok(?:ing|ed) (?:adapter|plug|lamp|socket)|caught fire|on fire|in "
        r"flames|fire brigade"
        r"|fire department|sparks? (?:came|flew|from)|sparking|explod(?:ed|ing)|smells? (?:\w+ )?(?:of |like "
        r")?(?:\w+ )?burn\w*"
        r"|burn(?:t|ing) (?:smell|plastic|hair|rubber)|(?:adapter|plug|socket|cable|lamp|power brick|case"
        r"|casing) (?:\w+ ){0,3}"
        r"(?:melted|burnt|scorched|is melting)|brandgeruch|rauch(?:t|te)?|verschmort|geschmolzen|verbrannt riech\w*"
        r"|a fondu|odeur de (?:plastique )?brûlé|de la fumée|humo|olor a quemado|derretid[oa]|brandlucht|rook"
        r"|gesmolten)\b"),
    ("heat", 0.7,
        r"\b(?:adapter|plug|socket|cable|lamp|power brick|transformer)\b.{0,60}\b(?:so|too|very|really|red) hot\b"
        r"|\bso hot\b.{0,30}\b(?:could ?n[o']t|can ?n[o']t|cannot|can't|couldn't) (?:hold|touch)\b"),
    ("bare", 0.75,
        r"\b(?:see|seeing|saw) (?:the )?(?:bare )?(?:copper|wires?)\b|\bbare wires?\b|\btripped the (?:fuse"
        r"|breaker|rcd)\b"
        r"|\bblew the fuse\b"),
    ("injury", 0.75,
        r"\b(?:cut|burn(?:t|ed)|scalded|hurt|injured) (?:my|her|his|our|their) (?:\w+ )?(?:hand|finger|thumb|arm"
        r"|face|foot|leg"
        r"|eye|daughter|son|child|wife|husband|mother|father|dog|cat)s?\b|\bstitches\b|\b(?:was|got|been|is"
        r"|were) injured\b"
        r"|\ba&e\b|\bemergency room\b|\bambulance\b"),
    ("water", 0.75,
        r"\b(?:water|drip\w*|leak\w*|puddle|wet)\b.{0,80}\b(?:onto|on|into|in|near|over|reach\w*|under) (?:the "
        r"|my |an? )?(?:\w+ )?"
        r"(?:adapter|socket|outlet|extension lead|power strip|extension cord|plug socket|mains|electrics)\b"),
)  # fmt: skip
"""A danger to people; it comes before everything else."""

CHURN = build_signals(
    ("leaving", 0.7,
        r"\b(?:cancel(?:l?ing)? (?:my|our|the|this) (?:subscription|plan|account|membership)"
        r"|switch(?:ing)? to (?:a |another|your )?(?:competitor|different|other)|(?:close"
        r"|delete) my account|last time i (?:buy|order)|never (?:buy|order|shop)\w* (?:from you "
        r"|here )?again|taking my business elsewhere|lost (?:me as )?a customer"
        r"|stop my (?:subscription|plan))\b"),
    ("doubt", 0.5,
        r"\b(?:thinking (?:of|about) (?:leaving|cancel\w+|switching)|considering (?:leaving|cancel\w+"
        r"|switching)|not worth (?:it|the money)|too expensive|want (?:all )?my money back)\b"),
)  # fmt: skip
FRAUD = build_signals(
    ("account", 0.7,
        r"\b(?:someone (?:else )?(?:has |is |had )?(?:hacked|accessed|logged in\w*|got into|(?:used|using|changed"
        r"|ordered (?:with|on|from)|placed) (?:my|an order|orders?))|someone (?:is|was|has been|got) in(?:to"
        r"|side)? my account"
        r"|alguien ha (?:cambiado|entrado|usado|pedido)|quelqu'un a (?:changé|utilisé|commandé|piraté)|jemand "
        r"hat (?:mein\w*|auf)"
        r"|iemand heeft mijn|account (?:was |has been |is |got )?(?:hacked|compromised"
        r"|taken over)|(?:did ?n[o']t|never) (?:place|make|authori[sz]e|ordered?"
        r"|recogni[sz]e)d? (?:this|that|these|any|the|such)|unauthori[sz]ed (?:charge|payment|order"
        r"|transaction|login|access)|identity theft|not me who)\b"),
    ("payment", 0.6,
        r"^.{0,40}i do ?n[o']t recogni[sz]e (?:this|it|that)\.|\b(?:(?:do ?n[o']t|not) recogni[sz]e (?:this|the"
        r"|a|that|an) (?:charge|payment|order"
        r"|transaction|amount|login)|stolen card|card was stolen|fraudulent)\b"),
    ("phishing", 0.7,
        r"\b(?:our bank (?:account|details) (?:has|have) changed|(?:updated|new) bank details|enable editing"
        r"|open the (?:enclosed|attached) (?:document|invoice)|verify your account (?:now|by|within)"
        r"|gift cards? (?:codes?|for the ceo)|overdue[^.]{0,40}final notice)\b"),
    ("account_of_another", 0.6,
        r"\b(?:tell me what is in it|how much (?:he|she|they) paid|(?:open|else) on (?:his|her|their) account|on "
        r"behalf of (?:my"
        r" )?(?:\w+ )?(?:who|because)|seller'?s (?:contact|e-?mail|phone|number|address))\b"),
    ("redirect", 0.55,
        r"\b(?:refund (?:it |me |this )?(?:to|on) (?:a |another |my other |my new "
        r"|a different )(?:card|account|bank)|different (?:bank )?account than|change the (?:e-?mail"
        r"|email address) (?:and|then) (?:reset|send))\b"),
)  # fmt: skip
ACKNOWLEDGEMENT = re.compile(
    r"\b(?:we(?: have|'ve)? (?:received|got) your (?:request|message|e-?mail|ticket|enquiry"
    r"|inquiry)|(?:your )?(?:ticket|request|case) (?:\S+ )?(?:has been|was) (?:created|received"
    r"|opened|logged)"
    r"|thank(?:s| you) for (?:contacting|reaching out|your (?:message|e-?mail|request|enquiry))"
    r"|we will (?:get back|reply|respond|be in touch)|a (?:member of our team|colleague) will)\b"
)
"""A bot that says only this has not answered."""
