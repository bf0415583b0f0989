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
_ORDERS = (
    r"(?:instruction|directive|prompt|guideline|guardrail|rule|command|restriction|training"
    r"|programming|polic(?:y|ies)\b)s?"
)
_AGENT = (
    r"(?:ai|a\.i\.|llm|language model|chat ?bot|assistant|gpt\w*|claude|copilot|model"
    r"|support agent bot|automated (?:agent|system))"
)

INJECTION = _signals(
    (
        "override",
        0.9,
        r"\b(?:ignore|disregard|forget|override|bypass|discard|skip|drop|do not (?:follow|obey)|stop following)\b"

            rf"(?:(?! my | our ).){{0,40}}\b(?:(?:all|any|every|each|{_PRIOR}|your|the|these|those|safety"
            rf"|company)\s+){{1,5}}(?:of\s+)?{_ORDERS}\b",
    ),
    ("override", 0.8,
        r"\b(?:ignore|disregard|forget)\s+(?:everything|all(?: of)?(?: that)?|anything)\s+(?:above"
        r"|before|you (?:were|have been) told|so far|prior)\b"),
    ("override", 0.9,
        r"\b(?:ignorier\w*|missachte\w*|vergiss|vergessen sie)\b.{0,40}\b(?:anweisung|instruktion"
        r"|vorgabe|regel|befehl)\w*"),
    ("override", 0.9,
        r"\b(?:ignore[zr]?|oublie[zr]?|ne (?:tiens|tenez) pas compte)\b.{0,20}\b(?:les|toutes|ces|tes"
        r"|vos|des|aux)\b.{0,20}\b(?:instructions|consignes|regles|règles|directives)\b"),
    ("override", 0.9,
        r"\b(?:ignor[ae]n?|olvid[ae]n?|omit[ae])\b.{0,40}\b(?:instrucciones|reglas|directrices"
        r"|instruções|instrucoes|regras|indicaciones)\b"),
    ("override", 0.9, r"\b(?:ignora\w*|dimentica\w*)\b.{0,40}\b(?:istruzioni|regole|direttive)\b"),
    ("override", 0.9, r"\b(?:negeer|vergeet)\b.{0,40}\b(?:instructies|regels|opdrachten|aanwijzingen)\b"),
    ("override", 0.9, r"\b(?:zignoruj|pomin|pomiń|zapomnij)\b.{0,40}\b(?:instrukcj|polece|zasad)\w*"),
    ("override", 0.9, r"(?:игнорируй|забудь|проигнорируй)\w*.{0,40}(?:инструкц|указани|правил)\w*"),
    ("override", 0.9, r"(?:忽略|无视|忘记|無視).{0,12}(?:指令|指示|提示|规则|規則|说明)"),
    ("override", 0.9, r"(?:以前|これまで|上記)の(?:指示|命令|ルール).{0,6}(?:無視|忘れ)"),
    ("new_orders", 0.75,
        r"\b(?:new|updated|real|actual|following|hidden|secret"
        r"|special)\s+(?:system\s+)?(?:instructions?|directives?|prompt)\s*(?:for (?:you|the|this)|are"
        r"|is|:|follow)"),
    ("role", 0.75,
        r"\b(?:you are (?:now|no longer)|from now on,? you(?: are| will| must)?|act as"
        rf"|pretend (?:to be|you are)|roleplay as|behave as)\b.{{0,40}}\b(?:{_AGENT}|dan\b|admin|root"
        r"|developer|unrestricted|free of|without (?:rules|limits|restrictions)|refund bot|jailbr\w+"
        r"|in \w+ mode)"),
    ("role", 0.7,
        r"\b(?:developer|debug|god|admin|maintenance|jailbreak|dan|unrestricted"
        r"|test)[ -]mode\b.{0,30}\b(?:on|enabled?|activ\w+|enter|engaged|now)\b|\b(?:enter|enable"
        r"|activate|switch to|you are in)\b.{0,20}\b(?:developer|debug|god|admin|maintenance|jailbreak"
        r"|dan|unrestricted)[ -]mode\b"),
    ("addressed", 0.65,
        r"(?:^|[\n.!?:;(\[<*-]\s*)(?:(?:note|message|attention|instructions?|memo|reminder|notice"
        rf"|info)\s+(?:to|for)\s+(?:the\s+|any\s+|all\s+)?(?:{_AGENT}|(?:automated|ai"
        rf"|virtual)\s+\w+)s?\b|(?:dear|hey|hello|hi|attention,?|listen,?)\s+(?:{_AGENT})\b)"),
    ("addressed", 0.6,
        rf"\b(?:if (?:you are|you're|this is (?:read|processed) by) (?:an? )?{_AGENT}"
        rf"|as (?:an?|the) {_AGENT}\b(?:,? you| in charge|,? (?:please|kindly))"
        rf"|{_AGENT}s? (?:reading|processing|handling|that reads?) this)\b"),
    ("leak", 0.85,
        r"\b(?:reveal|print|show|repeat|output|display|disclose|dump|tell me|give me|quote|leak|paste"
        r"|write out|send me)\b.{0,40}\b(?:system|hidden|initial|internal|secret|original"
        r"|your)\s+(?:system\s+)?(?:prompt|instructions|guidelines|configuration|rules)\b"),
    ("leak", 0.7,
        r"\b(?:what (?:is|are)|list)\s+your\s+(?:system prompt|(?:hidden|initial|internal"
        r"|secret) (?:prompt|instructions|rules)|api key|tools and functions)\b"),
    ("leak", 0.8,
        r"\b(?:send|list|give|show|export|forward|include|e-?mail)\b.{0,40}\b(?:all|every|other"
        r"|another)\s+(?:of your )?(?:customers?'?|users?'?|clients?'?)s?'?\s+(?:data|e-?mails?"
        r"|addresses|names|orders|records|details|personal|accounts?)\b"),
    ("tool", 0.85,
        r"\b(?:call|invoke|use|run|execute|trigger)\b.{0,20}\b(?:the\s+)?[`'\"]?\w*(?:refund|discount"
        r"|credit|cancel|voucher|delete|send|transfer|order)\w*[`'\"]?\s*(?:tool|function|action|api"
        r"|command|endpoint)\b"),
    ("tool", 0.85,
        r"\b(?:issue|create|process|send|approve|apply|grant|make|do|get|post|delete"
        r"|update)_(?:\w+_)?(?:refund|credit|payment|discount|order|voucher|account|reply|customer"
        r"|ticket)\w*\b|\brefund\s*\(|\"(?:tool|function|name|tool_call)s?\"\s*:\s*[\"{\[]"),
    ("tool", 0.75,
        r"\b(?:approve|refund|issue|send|grant|process|pay|release|transfer"
        r"|close)\b.{0,60}\b(?:without (?:any |further |human |manual |asking |a "
        r"|waiting for )*(?:approval|review|confirmation|verification|a human|asking|checks?|person"
        r"|check)|automatically and|no (?:human )?(?:approval|review) (?:is )?(?:needed|required))\b"),
    ("tool", 0.7,
        r"\b(?:mark|set|tag|flag)\s+(?:this|the)\s+(?:ticket|case|request|refund|action)\s+(?:as"
        r"|to)\s+(?:approved|pre-?approved|verified|resolved|trusted|certified|authori[sz]ed)\b"),
    ("authority", 0.55,
        r"\b(?:i am|this is|as) (?:the |your |an? )?(?:administrator|developer of|creator"
        r"|system operator|openai|anthropic|deskhand)\b.{0,40}\b(?:authori[sz]e|instruct|order|command"
        r"|override|request|team|speaking|allow)\w*"),
    ("authority", 0.55,
        r"\b(?:(?:has|have|was|is) (?:already )?(?:been )?pre-?(?:approved|authori[sz]ed)"
        r"|admin(?:istrator)? override|authori[sz]ation code|override code|priority override)\b"),
    ("answer", 0.6,
        r"\b(?:reply|respond|answer|begin your (?:reply|response|answer)|start your (?:reply|response"
        r"|answer))\s+(?:only\s+)?(?:with|by saying)\s+(?:the (?:word|text|phrase|following)|only"
        r"|exactly|[\"'“])"),
    ("answer", 0.6,
        r"\b(?:your (?:only|new) (?:task|job|goal|purpose|objective|role) (?:is|now)"
        r"|you must (?:now )?(?:obey|comply|follow (?:these|my|the following))|do not (?:tell|inform"
        r"|mention (?:this|it) to|alert) (?:the )?(?:human|reviewer|agent|staff|anyone|user))\b"),
    ("encoded", 0.6,
        r"\b(?:decode|base64|rot13|decrypt)\b.{0,40}\b(?:follow|execute|and do|obey|run|instruction"
        r"|then|process|first)"),
)  # fmt: skip
"""Over folded text, one sentence or line at a time."""

INJECTION_SPANS = _signals(
    ("fake_turn", 0.85,
        r"(?is)<\|(?:im_start|system|assistant|user|endoftext"
        r"|start_header_id)[^|>]*\|>.*?(?:<\|(?:im_end|end|eot_id)\|>|\Z)"),
    ("fake_turn", 0.85, r"(?is)\[inst\].*?(?:\[/inst\]|\Z)|<<sys>>.*?(?:<</sys>>|\Z)"),
    ("fake_turn", 0.85,
        r"(?is)</?(?:system|assistant|instructions?|ticket|customer_message|tool_result|function_call"
        r"|tool_call|prompt|admin)\b[^>\n]{0,80}>(?:.*?</(?:system|assistant|instructions?|tool_result"
        r"|function_call|tool_call|prompt|admin)\s*>)?"),
    ("turn_label", 0.8,
        r"(?im)^[ \t]*(?:#{1,4}\s*|\*\*|\[)?(?:system(?: (?:message|prompt|note|override|update))?"
        r"|assistant|developer|admin(?:istrator)?|ai|tool|function)(?:\*\*|\])?\s*(?::"
        r"|>>)(?:\*\*)?[^\n]*(?:\n(?![ \t]*\n)[^\n]+)*"),
    ("fake_turn", 0.75,
        r"(?im)^[ \t]*(?:[-=*#]{2,}\s*)?(?:end of (?:ticket|customer message|user input|conversation"
        r"|context)|begin (?:system|new|admin|hidden) (?:instructions?|message"
        r"|prompt))\b[^\n]*(?:\n(?![ \t]*\n)[^\n]+)*"),
    ("fake_turn", 0.8, r"<<(?:end )?\w+ [0-9a-f]{6,}[^>]*>>"),
    ("hidden", 0.6, r"(?is)<!--.*?(?:-->|\Z)"),
    ("hidden", 0.75,
        r"(?is)<(\w{1,20})\b[^<>]{0,300}?(?:display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0"
        r"|color\s*:\s*(?:#fff(?:fff)?\b|white)|opacity\s*:\s*0(?![.\d])|\bhidden\b)[^<>]{0,300}>.*?(?:</\1>"
        r"|\Z)"),
)  # fmt: skip
"""Over plain text: whole stretches that no customer types by hand."""

NEEDS_ORDERS = frozenset({"hidden", "turn_label"})
"""Spans that are harmless unless they hold an order: mail programs hide text, forms have a field "System:"."""

ORDERS_INSIDE = re.compile(
    r"\b(?:refund|approve|approved|ignore|disregard|instruction|assistant|prompt|override|verified"
    r"|authori[sz]ed|grant|issue a|reply with"
    r"|respond|you (?:are|must|will|should|may)|do not|transfer|discount|voucher|credit|policy"
    r"|reveal|execute|call the|confirm|storn|erstatt|erwähn|genehmig|verschick|bestätig|antwort"
    r"|mitarbeiter|anweisung|rembours|approuv|consigne|reembols|aprueb|instruccion|terugbetal|goedkeur)\w*\b"
)
COMMAND = re.compile(
    r"^(?:(?:please|then|also|and|now|first|next|finally|instead|simply|just|you (?:must|should"
    r"|will|can|may|are|need)|step \d+)[,:]?\s+)*"
    r"(?:refund|issue|send|approve|call|run|execute|reply|respond|say|answer|output|print|tell"
    r"|give|mark|set|close|do not|don't|never|always|"
    r"confirm|grant|apply|transfer|credit|pay|escalate|delete|forward|include|write|add|skip|act"
    r"|treat|use|obey|follow|change|update|process|"
    r"cancel|create|consider|assume|comply|promise|offer|start|begin|end|state|return|reveal"
    r"|ignore|forget|this (?:is|was|has)|no (?:human|approval|review)|"
    r"you (?:must|should|will|are|have|may|can)|the customer|your (?:task|job|goal|answer|reply))\b"
)
"""How a sentence begins that carries on what an injected one ordered (folded)."""

AUTO_REPLY_SUBJECT = re.compile(
    r"^(?:re:\s*)?(?:automatic reply|auto(?:matic)?[- ]?(?:reply|response|antwort)"
    r"|out of (?:the )?office(?: reply)?|autoreply|automatische antwort"
    r"|abwesenheits\w*|réponse automatique|respuesta automática|risposta automatica"
    r"|automatisch antwoord|afwezigheid\w*|afwezig)\b\s*(?::|-|\u2013|$|\b(?:until|bis|tot)\b)"
)
AUTO_REPLY = _signals(
    ("away", 0.6,
        r"\b(?:i am|i'm|i will be|am)\s+(?:currently\s+)?(?:out of (?:the )?office"
        r"|away from (?:the office|my desk|my e-?mail)|on (?:annual |parental |maternity |sick )?leave"
        r"|on (?:vacation|holiday) until)\b"),
    ("away", 0.6,
        r"\b(?:ich bin (?:derzeit |aktuell |momentan |zurzeit )?(?:nicht im büro|abwesend|im urlaub)"
        r"|je suis (?:actuellement )?(?:absente?|en congé|en vacances)"
        r"|ik ben (?:momenteel )?(?:afwezig|niet aanwezig|met vakantie)|estoy (?:fuera de la oficina"
        r"|de vacaciones))\b"),
    ("return", 0.5,
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
BOUNCE = _signals(
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
SPAM = _signals(
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
    ("links", 0.3, r"(?:https?://\S+.*){4}"),
)  # fmt: skip
ORDER_RELATED = re.compile(
    r"\b(?:my (?:order|parcel|package|delivery|refund|return|subscription|invoice|account|plan)"
    r"|i (?:ordered|bought|purchased|received|paid)|order (?:number|no|#))\b"
)
"""What a spammer does not write; it keeps a ticket from being called spam or an automatic reply."""

THREAT = _signals(
    ("legal", 0.75,
        r"\b(?:my (?:lawyer|solicitor|attorney)|legal (?:action|steps|proceedings|advice)|(?:take"
        r"|taking|see) you (?:to|in) court|small claims|sue (?:you|your)|lawsuit|consumer protection"
        r"|trading standards|ombudsman|attorney general|class action|ftc\b|verbraucherzentrale|anwalt"
        r"|avocat|mise en demeure|abogado|advocaat|data protection authority|ico complaint)\b"),
    ("press", 0.7,
        r"\b(?:go(?:ing)? to the (?:press|media|papers?)|(?:contact|tell|inform|write to) (?:the "
        r"|a )?(?:press|media|newspaper|journalist|bbc|watchdog)\w*|journalist|going viral"
        r"|post (?:this|it|about this) (?:everywhere|all over)|social media about)\b"),
    ("safety", 0.8,
        r"\b(?:electric(?:al)? shock|got a shock|caught fire|on fire|burn(?:t|ed) (?:my|her|his|our"
        r"|the)|smok(?:e|ing) (?:came|coming|from|out)|smells? (?:of |like )?burn\w*|electrocut\w+"
        r"|injur(?:ed|y)|hospital|fire brigade|fire department|explod(?:ed|ing)|melted)\b"),
    ("violence", 0.8, r"\b(?:kill (?:you|myself|me)|hurt (?:you|myself)|bomb|i know where you)\b"),
)  # fmt: skip
CHURN = _signals(
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
FRAUD = _signals(
    ("account", 0.7,
        r"\b(?:someone (?:else )?(?:has |is |had )?(?:hacked|used|using|accessed|logged in\w*|got into"
        r"|changed|ordered|placed)|account (?:was |has been |is |got )?(?:hacked|compromised"
        r"|taken over)|(?:did ?n[o']t|never) (?:place|make|authori[sz]e|ordered?"
        r"|recogni[sz]e)d? (?:this|that|these|any|the|such)|unauthori[sz]ed (?:charge|payment|order"
        r"|transaction|login|access)|identity theft|not me who)\b"),
    ("payment", 0.6,
        r"\b(?:(?:do ?n[o']t|not) recogni[sz]e (?:this|the|a|that|an) (?:charge|payment|order"
        r"|transaction|amount|login)|stolen card|card was stolen|fraudulent|chargeback)\b"),
    ("phishing", 0.7,
        r"\b(?:our bank (?:account|details) (?:has|have) changed|(?:updated|new) bank details|enable editing"
        r"|open the (?:enclosed|attached) (?:document|invoice)|verify your account (?:now|by|within)"
        r"|gift cards? (?:codes?|for the ceo)|overdue[^.]{0,40}final notice)\b"),
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
