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


def _signals(*rows: tuple[str, float, str]) -> tuple[Signal, ...]:
    return tuple(Signal(name, weight, re.compile(pattern)) for name, weight, pattern in rows)


def combine(weights: Sequence[float]) -> float:
    """Return the joint confidence of independent signs, rounded to three digits."""
    rest = 1.0
    for weight in weights:
        rest *= 1.0 - weight
    return round(1.0 - rest, 3)


_PRIOR = r"(?:previous|prior|preceding|above|earlier|former|existing|initial|original|old|system)"
_ORDERS = r"(?:instruction|directive|prompt|guideline|guardrail|rule|command|restriction|training|programming|polic(?:y|ies)\b)s?"
_AGENT = r"(?:ai|a\.i\.|llm|language model|chat ?bot|assistant|gpt\w*|claude|copilot|model|support agent bot|automated (?:agent|system))"

INJECTION = _signals(
    (
        "override",
        0.9,
        r"\b(?:ignore|disregard|forget|override|bypass|discard|skip|drop|do not (?:follow|obey)|stop following)\b"
        rf"(?:(?! my | our ).){{0,40}}\b(?:(?:all|any|every|each|{_PRIOR}|your|the|these|those|safety|company)\s+){{1,5}}(?:of\s+)?{_ORDERS}\b",
    ),
    ("override", 0.8, r"\b(?:ignore|disregard|forget)\s+(?:everything|all(?: of)?(?: that)?|anything)\s+(?:above|before|you (?:were|have been) told|so far|prior)\b"),
    ("override", 0.9, r"\b(?:ignorier\w*|missachte\w*|vergiss|vergessen sie)\b.{0,40}\b(?:anweisung|instruktion|vorgabe|regel|befehl)\w*"),
    ("override", 0.9, r"\b(?:ignore[zr]?|oublie[zr]?|ne (?:tiens|tenez) pas compte)\b.{0,20}\b(?:les|toutes|ces|tes|vos|des|aux)\b.{0,20}\b(?:instructions|consignes|regles|règles|directives)\b"),
    ("override", 0.9, r"\b(?:ignor[ae]n?|olvid[ae]n?|omit[ae])\b.{0,40}\b(?:instrucciones|reglas|directrices|instruções|instrucoes|regras|indicaciones)\b"),
    ("override", 0.9, r"\b(?:ignora\w*|dimentica\w*)\b.{0,40}\b(?:istruzioni|regole|direttive)\b"),
    ("override", 0.9, r"\b(?:negeer|vergeet)\b.{0,40}\b(?:instructies|regels|opdrachten|aanwijzingen)\b"),
    ("override", 0.9, r"\b(?:zignoruj|pomin|pomiń|zapomnij)\b.{0,40}\b(?:instrukcj|polece|zasad)\w*"),
    ("override", 0.9, r"(?:игнорируй|забудь|проигнорируй)\w*.{0,40}(?:инструкц|указани|правил)\w*"),
    ("override", 0.9, r"(?:忽略|无视|忘记|無視).{0,12}(?:指令|指示|提示|规则|規則|说明)|(?:以前|これまで|上記)の(?:指示|命令|ルール).{0,6}(?:無視|忘れ)"),
    ("new_orders", 0.75, r"\b(?:new|updated|real|actual|following|hidden|secret|special)\s+(?:system\s+)?(?:instructions?|directives?|prompt)\s*(?:for (?:you|the|this)|are|is|:|follow)"),
    ("role", 0.75, rf"\b(?:you are (?:now|no longer)|from now on,? you(?: are| will| must)?|act as|pretend (?:to be|you are)|roleplay as|behave as)\b.{{0,40}}\b(?:{_AGENT}|dan\b|admin|root|developer|unrestricted|free of|without (?:rules|limits|restrictions)|refund bot|jailbr\w+|in \w+ mode)"),
    ("role", 0.7, r"\b(?:developer|debug|god|admin|maintenance|jailbreak|dan|unrestricted|test)[ -]mode\b.{0,30}\b(?:on|enabled?|activ\w+|enter|engaged|now)\b|\b(?:enter|enable|activate|switch to|you are in)\b.{0,20}\b(?:developer|debug|god|admin|maintenance|jailbreak|dan|unrestricted)[ -]mode\b"),
    ("addressed", 0.65, rf"(?:^|[\n.!?:;(\[<*-]\s*)(?:(?:note|message|attention|instructions?|memo|reminder|notice|info)\s+(?:to|for)\s+(?:the\s+|any\s+|all\s+)?(?:{_AGENT}|(?:automated|ai|virtual)\s+\w+)s?\b|(?:dear|hey|hello|hi|attention,?|listen,?)\s+(?:{_AGENT})\b)"),
    ("addressed", 0.6, rf"\b(?:if (?:you are|you're|this is (?:read|processed) by) (?:an? )?{_AGENT}|as an? {_AGENT},? you|{_AGENT}s? (?:reading|processing|handling|that reads?) this)\b"),
    ("leak", 0.85, r"\b(?:reveal|print|show|repeat|output|display|disclose|dump|tell me|give me|quote|leak|paste|write out|send me)\b.{0,40}\b(?:system|hidden|initial|internal|secret|original|your)\s+(?:system\s+)?(?:prompt|instructions|guidelines|configuration|rules)\b"),
    ("leak", 0.7, r"\b(?:what (?:is|are)|list)\s+your\s+(?:system prompt|(?:hidden|initial|internal|secret) (?:prompt|instructions|rules)|api key|tools and functions)\b"),
    ("leak", 0.8, r"\b(?:send|list|give|show|export|forward|include|e-?mail)\b.{0,40}\b(?:all|every|other|another)\s+(?:of your )?(?:customers?'?|users?'?|clients?'?)s?'?\s+(?:data|e-?mails?|addresses|names|orders|records|details|personal|accounts?)\b"),
    ("tool", 0.85, r"\b(?:call|invoke|use|run|execute|trigger)\b.{0,20}\b(?:the\s+)?[`'\"]?\w*(?:refund|discount|credit|cancel|voucher|delete|send|transfer|order)\w*[`'\"]?\s*(?:tool|function|action|api|command|endpoint)\b"),
    ("tool", 0.85, r"\b(?:issue|create|process|send|approve|apply|grant|make|do|get|post|delete|update)_(?:\w+_)?(?:refund|credit|payment|discount|order|voucher|account|reply|customer|ticket)\w*\b|\brefund\s*\(|\"(?:tool|function|name|tool_call)s?\"\s*:\s*[\"{\[]"),
    ("tool", 0.75, r"\b(?:approve|refund|issue|send|grant|process|pay|release|transfer|close)\b.{0,60}\b(?:without (?:any |further |human |manual |asking |a |waiting for )*(?:approval|review|confirmation|verification|a human|asking|checks?|person|check)|automatically and|no (?:human )?(?:approval|review) (?:is )?(?:needed|required))\b"),
    ("tool", 0.7, r"\b(?:mark|set|tag|flag)\s+(?:this|the)\s+(?:ticket|case|request|refund|action)\s+(?:as|to)\s+(?:approved|pre-?approved|verified|resolved|trusted|certified|authori[sz]ed)\b"),
    ("authority", 0.55, r"\b(?:i am|this is|as) (?:the |your |an? )?(?:administrator|developer of|creator|system operator|openai|anthropic|deskhand)\b.{0,40}\b(?:authori[sz]e|instruct|order|command|override|request|team|speaking|allow)\w*"),
    ("authority", 0.55, r"\b(?:(?:has|have|was|is) (?:already )?(?:been )?pre-?(?:approved|authori[sz]ed)|admin(?:istrator)? override|authori[sz]ation code|override code|priority override)\b"),
    ("answer", 0.6, r"\b(?:reply|respond|answer|begin your (?:reply|response|answer)|start your (?:reply|response|answer))\s+(?:only\s+)?(?:with|by saying)\s+(?:the (?:word|text|phrase|following)|only|exactly|[\"'“])"),
    ("answer", 0.6, r"\b(?:your (?:only|new) (?:task|job|goal|purpose|objective|role) (?:is|now)|you must (?:now )?(?:obey|comply|follow (?:these|my|the following))|do not (?:tell|inform|mention (?:this|it) to|alert) (?:the )?(?:human|reviewer|agent|staff|anyone|user))\b"),
    ("encoded", 0.6, r"\b(?:decode|base64|rot13|decrypt)\b.{0,40}\b(?:follow|execute|and do|obey|run|instruction|then)"),
)  # fmt: skip
"""Over folded text, one sentence or line at a time."""

INJECTION_SPANS = _signals(
    ("fake_turn", 0.85, r"(?is)<\|(?:im_start|system|assistant|user|endoftext|start_header_id)[^|>]*\|>.*?(?:<\|(?:im_end|end|eot_id)\|>|\Z)"),
    ("fake_turn", 0.85, r"(?is)\[inst\].*?(?:\[/inst\]|\Z)|<<sys>>.*?(?:<</sys>>|\Z)"),
    ("fake_turn", 0.85, r"(?is)</?(?:system|assistant|instructions?|ticket|customer_message|tool_result|function_call|tool_call|prompt|admin)\b[^>\n]{0,80}>(?:.*?</(?:system|assistant|instructions?|tool_result|function_call|tool_call|prompt|admin)\s*>)?"),
    ("turn_label", 0.8, r"(?im)^[ \t]*(?:#{1,4}\s*|\*\*|\[)?(?:system(?: (?:message|prompt|note|override|update))?|assistant|developer|admin(?:istrator)?|ai|tool|function)(?:\*\*|\])?\s*(?::|>>)(?:\*\*)?[^\n]*(?:\n(?![ \t]*\n)[^\n]+)*"),
    ("fake_turn", 0.75, r"(?im)^[ \t]*(?:[-=*#]{2,}\s*)?(?:end of (?:ticket|customer message|user input|conversation|context)|begin (?:system|new|admin|hidden) (?:instructions?|message|prompt))\b[^\n]*(?:\n(?![ \t]*\n)[^\n]+)*"),
    ("fake_turn", 0.8, r"<<(?:end )?\w+ [0-9a-f]{6,}[^>]*>>"),
    ("hidden", 0.6, r"(?is)<!--.*?(?:-->|\Z)"),
    ("hidden", 0.75, r"(?is)<(\w+)[^>]*(?:display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|color\s*:\s*(?:#fff(?:fff)?\b|white)|opacity\s*:\s*0(?![.\d])|\bhidden\b)[^>]*>.*?(?:</\1>|\Z)"),
)  # fmt: skip
"""Over plain text: whole stretches that no customer types by hand."""

NEEDS_ORDERS = frozenset({"hidden", "turn_label"})
"""Spans that are harmless unless they hold an order: mail programs hide text, forms have a field "System:"."""

ORDERS_INSIDE = re.compile(
    r"\b(?:refund|approve|approved|ignore|disregard|instruction|assistant|prompt|override|verified|authori[sz]ed|grant|issue a|reply with"
    r"|respond|you (?:are|must|will|should|may)|do not|transfer|discount|voucher|credit|policy|reveal|execute|call the|confirm)\w*\b"
)
COMMAND = re.compile(
    r"^(?:(?:please|then|also|and|now|first|next|finally|instead|simply|just|you (?:must|should|will|can|may|are|need)|step \d+)[,:]?\s+)*"
    r"(?:refund|issue|send|approve|call|run|execute|reply|respond|say|answer|output|print|tell|give|mark|set|close|do not|don't|never|always|"
    r"confirm|grant|apply|transfer|credit|pay|escalate|delete|forward|include|write|add|skip|act|treat|use|obey|follow|change|update|process|"
    r"cancel|create|consider|assume|comply|promise|offer|start|begin|end|state|return|reveal|ignore|forget|this (?:is|was|has)|no (?:human|approval|review)|"
    r"you (?:must|should|will|are|have|may|can)|the customer|your (?:task|job|goal|answer|reply))\b"
)
"""How a sentence begins that carries on what an injected one ordered (folded)."""

AUTO_REPLY_SUBJECT = re.compile(
    r"^(?:re:\s*)?(?:automatic reply|auto(?:matic)?[- ]?(?:reply|response|antwort)|out of (?:the )?office(?: reply)?|autoreply|automatische antwort"
    r"|abwesenheits\w*|réponse automatique|respuesta automática|risposta automatica|automatisch antwoord|afwezigheid\w*|afwezig)\b\s*(?::|-|–|$|\b(?:until|bis|tot)\b)"
)
AUTO_REPLY = _signals(
    ("away", 0.6, r"\b(?:i am|i'm|i will be|am)\s+(?:currently\s+)?(?:out of (?:the )?office|away from (?:the office|my desk|my e-?mail)|on (?:annual |parental |maternity |sick )?leave|on (?:vacation|holiday) until)\b"),
    ("away", 0.6, r"\b(?:ich bin (?:derzeit |aktuell |momentan |zurzeit )?(?:nicht im büro|abwesend|im urlaub)|je suis (?:actuellement )?(?:absente?|en congé|en vacances)|ik ben (?:momenteel )?(?:afwezig|niet aanwezig|met vakantie)|estoy (?:fuera de la oficina|de vacaciones))\b"),
    ("return", 0.5, r"\b(?:i will (?:return|be back)|back (?:in the office )?on|returning on|wieder (?:da|erreichbar|im büro)|de retour le|terug op|limited access to (?:my )?e-?mail|will (?:reply|respond|answer|get back to you) (?:when|upon|after|on my)|no access to (?:my )?e-?mail|keinen zugriff auf)\b"),
    ("instead", 0.4, r"\b(?:in urgent cases|for urgent (?:matters|requests|issues)|in my absence|please contact my colleague|in dringenden fällen|en cas d'urgence|bij dringende)\b"),
    ("machine", 0.6, r"\b(?:this is an auto(?:matic|mated)(?:ally generated)? (?:reply|response|message|e-?mail)|do not reply to this (?:e-?mail|message)|automatically generated|dies ist eine automatische)\b"),
)  # fmt: skip
BOUNCE = _signals(
    ("sender", 0.6, r"\b(?:mailer-daemon|postmaster|mail delivery (?:subsystem|system))\b"),
    ("subject", 0.6, r"(?:^|\n)(?:undeliver(?:able|ed)|delivery status notification|mail delivery failed|returned mail|delivery (?:has )?failed|undelivered mail returned|unzustellbar|failure notice)\b"),
    ("code", 0.5, r"\b(?:5[05]\d[ -]5\.\d\.\d|550[ -]|smtp (?:error|550)|status: ?5\.\d\.\d|x-failed-recipients|diagnostic-code|mailbox (?:full|unavailable|not found)|(?:user|recipient|address) (?:unknown|rejected|not found))"),
    ("phrase", 0.5, r"\b(?:could not be delivered|was ?n[o']t delivered|delivery to the following recipients?|permanent(?:ly)? (?:error|failed|failure)|the following address(?:es)?(?:\(es\))? (?:failed|had)|message you sent)\b"),
)  # fmt: skip
SPAM = _signals(
    ("marketing", 0.45, r"\b(?:seo|search engine optimi[sz]ation|backlinks?|guest posts?|link building|domain authority|rank(?:ing)? (?:#?1|higher|on google|first page)|first page of google|increase (?:your )?(?:traffic|sales|revenue|ranking))\b"),
    ("offer", 0.4, r"\b(?:special offer|limited time (?:offer|only)|act now|100% (?:free|guaranteed)|click (?:here|below|the link)|free trial for your business|best price guaranteed|risk[- ]free|buy now|exclusive deal|make money|work from home|earn \$?\d+)\b"),
    ("agency", 0.45, r"\b(?:our (?:agency|digital marketing|development team|seo|outsourc\w+)|we (?:offer|provide|specialise|specialize) (?:in )?(?:web|seo|app|mobile|lead|digital|affordable|high.quality|link|content)|i (?:came across|visited|was looking at|found) your (?:website|site|store|web ?site))\b"),
    ("casino", 0.6, r"\b(?:casino|betting bonus|crypto(?:currency)? (?:investment|trading|profit|signal)|bitcoin (?:investment|profit)|forex|viagra|cialis|loan offer|lottery|inheritance|beneficiary|replica watches|escort|adult dating)\b"),
    ("list", 0.4, r"\b(?:unsubscribe (?:here|from this|link)|opt[- ]out|you are receiving this|view (?:this email )?in (?:your )?browser|to stop receiving)\b"),
    ("pitch", 0.4, r"\b(?:schedule a (?:quick )?(?:call|demo)|15[- ]minute (?:call|chat)|quick call|free (?:audit|quote|consultation|website analysis)|interested in (?:our|a partnership)|reply (?:yes|with your (?:phone|number))|whatsapp|email lists?|verified leads|business proposal|manufacturer (?:in|from) china|our factory|wholesale price)\b"),
    ("links", 0.3, r"(?:https?://\S+.*){4}"),
)  # fmt: skip
ORDER_RELATED = re.compile(r"\b(?:my (?:order|parcel|package|delivery|refund|return|subscription|invoice|account|plan)|i (?:ordered|bought|purchased|received|paid)|order (?:number|no|#))\b")
"""What a spammer does not write; it keeps a ticket from being called spam or an automatic reply."""  # noqa: E501

THREAT = _signals(
    ("legal", 0.75, r"\b(?:my (?:lawyer|solicitor|attorney)|legal (?:action|steps|proceedings|advice)|(?:take|taking|see) you (?:to|in) court|small claims|sue (?:you|your)|lawsuit|consumer protection|trading standards|ombudsman|attorney general|class action|ftc\b|verbraucherzentrale|anwalt|avocat|mise en demeure|abogado|advocaat|data protection authority|ico complaint)\b"),
    ("press", 0.7, r"\b(?:go(?:ing)? to the (?:press|media|papers?)|(?:contact|tell|inform|write to) (?:the |a )?(?:press|media|newspaper|journalist|bbc|watchdog)\w*|journalist|going viral|post (?:this|it|about this) (?:everywhere|all over)|social media about)\b"),
    ("safety", 0.8, r"\b(?:electric(?:al)? shock|got a shock|caught fire|on fire|burn(?:t|ed) (?:my|her|his|our|the)|smok(?:e|ing) (?:came|coming|from|out)|smells? (?:of |like )?burn\w*|electrocut\w+|injur(?:ed|y)|hospital|fire brigade|fire department|explod(?:ed|ing)|melted)\b"),
    ("violence", 0.8, r"\b(?:kill (?:you|myself|me)|hurt (?:you|myself)|bomb|i know where you)\b"),
)  # fmt: skip
CHURN = _signals(
    ("leaving", 0.7, r"\b(?:cancel(?:l?ing)? (?:my|our|the|this) (?:subscription|plan|account|membership)|switch(?:ing)? to (?:a |another|your )?(?:competitor|different|other)|(?:close|delete) my account|last time i (?:buy|order)|never (?:buy|order|shop)\w* (?:from you |here )?again|taking my business elsewhere|lost (?:me as )?a customer|stop my (?:subscription|plan))\b"),
    ("doubt", 0.5, r"\b(?:thinking (?:of|about) (?:leaving|cancel\w+|switching)|considering (?:leaving|cancel\w+|switching)|not worth (?:it|the money)|too expensive|want (?:all )?my money back)\b"),
)  # fmt: skip
FRAUD = _signals(
    ("account", 0.7, r"\b(?:someone (?:else )?(?:has |is |had )?(?:hacked|used|using|accessed|logged in\w*|got into|changed|ordered|placed)|account (?:was |has been |is |got )?(?:hacked|compromised|taken over)|(?:did ?n[o']t|never) (?:place|make|authori[sz]e|ordered?|recogni[sz]e)d? (?:this|that|these|any|the|such)|unauthori[sz]ed (?:charge|payment|order|transaction|login|access)|identity theft|not me who)\b"),
    ("payment", 0.6, r"\b(?:(?:do ?n[o']t|not) recogni[sz]e (?:this|the|a|that|an) (?:charge|payment|order|transaction|amount|login)|stolen card|card was stolen|fraudulent|chargeback)\b"),
    ("redirect", 0.55, r"\b(?:refund (?:it |me |this )?(?:to|on) (?:a |another |my other |my new |a different )(?:card|account|bank)|different (?:bank )?account than|change the (?:e-?mail|email address) (?:and|then) (?:reset|send))\b"),
)  # fmt: skip
ACKNOWLEDGEMENT = re.compile(
    r"\b(?:we(?: have|'ve)? (?:received|got) your (?:request|message|e-?mail|ticket|enquiry|inquiry)|(?:your )?(?:ticket|request|case) (?:\S+ )?(?:has been|was) (?:created|received|opened|logged)"
    r"|thank(?:s| you) for (?:contacting|reaching out|your (?:message|e-?mail|request|enquiry))|we will (?:get back|reply|respond|be in touch)|a (?:member of our team|colleague) will)\b"
)
"""A bot that says only this has not answered."""
