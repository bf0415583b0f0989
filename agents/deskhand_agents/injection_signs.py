"""What text that gives orders to the agent looks like by itself; mixtures are in ``injection_parts.py``."""

from __future__ import annotations

import re

from deskhand_agents.injection_parts import MACHINE
from deskhand_agents.signals import build_signals

_PRIOR = r"(?:previous|prior|preceding|above|earlier|former|existing|initial|original|old|system)"
_ORDERS = (
    r"(?:instruction|directive|prompt|guideline|guardrail|rule|command|restriction|training"
    r"|programming|polic(?:y|ies)\b)s?"
)
INJECTION = build_signals(
    ("override", 0.9,  # "don't forget the instructions" is said of a manual
        r"\b(?:ignore|disregard|(?<!n't )(?<!n\u2019t )(?<!not )forget|override|bypass|discard|skip|drop"
        r"|do not (?:follow|obey)|stop following)\b"
        rf"(?:(?! my | our ).){{0,40}}\b(?:(?:all|any|every|each|{_PRIOR}|your|the|these|those|safety"
        rf"|company)\s+){{1,5}}(?:of\s+)?{_ORDERS}\b"),
    ("override", 0.8,
        r"\b(?:ignore|disregard|forget)\s+(?:everything|all(?: of)?(?: that)?|anything)\s+(?:above"
        r"|before|you (?:were|have been) told|so far|prior)\b"),
    ("new_orders", 0.75,
        r"\b(?:new|updated|real|actual|following|hidden|secret"
        r"|special)\s+(?:system\s+)?(?:instructions?|directives?|prompt)\s*(?:for (?:you|the|this)|are"
        r"|is|:|follow)"),
    ("role", 0.75,
        r"\b(?:you are (?:now|no longer)|from now on,? you(?: are| will| must)?|act as"
        rf"|pretend (?:to be|you are)|roleplay as|behave as)\b.{{0,40}}\b(?:{MACHINE}|dan\b|admin|root"
        r"|developer|unrestricted|free of|without (?:rules|limits|restrictions)|refund bot|jailbr\w+"
        r"|in \w+ mode)"),
    ("role", 0.7,
        r"\b(?:developer|debug|god|admin|maintenance|jailbreak|dan|unrestricted"
        r"|test)[ -]mode\b.{0,30}\b(?:on|enabled?|activ\w+|enter|engaged|now)\b|\b(?:enter|enable"
        r"|activate|switch to|you are in)\b.{0,20}\b(?:developer|debug|god|admin|maintenance|jailbreak"
        r"|dan|unrestricted)[ -]mode\b"),
    ("override", 0.8,
        r"\b(?:set aside|put aside|put (?:\w+ ){0,3}to one side|leave aside|drop|throw out|never "
        r"mind)\b.{0,30}\b(?:you"
        r" (?:were|have been|are|had been) (?:told|given|taught|asked)|your (?:\w+ )?(?:directions|directives|orders"
        r"|instructions|rules|guidelines|programming))\b"),
    ("override", 0.8,
        r"\b(?:your|the|all|previous|earlier|usual|safety) (?:\w+ )?(?:instructions|guidelines|guardrails"
        r"|restrictions"
        r"|rules|safeguards|directions)\b (?:\w+ ){0,2}(?:do(?:es)? not|don't|no longer) (?:\w+ )?(?:apply|count|bind"
        r"|matter)\b.{0,40}\b(?:conversation|chat|here|you|me|ticket|message|now)\b"),
    ("override", 0.75,
        r"\b(?:operator|developer|creator|maker|programmer|vendor)s? (?:has |have |had )?(?:configured|told you"
        r"|set up"
        r"|instructed|programmed|trained)\b|\bhighest (?:authority|priority)\b.{0,30}\b(?:from (?:here|now) on"
        r"|over your)"
        r"|\b(?:treat|regard|take|consider) (?:my|this|these|the following)\b.{0,40}\b(?:as (?:your|the|a) (?:\w+ )?"
        r"(?:authority|orders|instructions?|commands?|system (?:message|prompt)))\b"),
    ("role", 0.75,
        r"\b(?:(?:stay|remain|be) in (?:character|role)|(?:play|act|pose|speak|reply|answer) (?:as|the role of"
        r"|the part of"
        r")|pretend (?:to be|you are|you're|that you are)|imagine (?:you are|you're)|you are (?:now|no longer)"
        r"|you play"
        rf"|let'?s play a (?:game|role)|new (?:role|persona|identity))\b.{{0,60}}\b(?:{MACHINE}|unrestricted|no "
        rf"limits"
        r"|without (?:any )?(?:limits?|rules|restrictions|filters)|always (?:says?|approves?|agrees?|grants?)"
        r"|support lead|manager|(?:the )?ceo|the owner|supervisor|finance|hollowfern|company)\b"),
    ("leak", 0.85,
        r"\b(?:reveal|print|show|repeat|output|display|disclose|dump|tell me|give me|quote|leak|paste|write out"
        r"|send me"
        r"|translate|summari[sz]e|start (?:your|the) (?:answer|reply) with|copy)\b.{0,40}\b(?:(?:system|hidden"
        r"|initial"
        r"|internal|secret|original|your) (?:system )?(?:prompt|configuration)"
        r"|(?:system|hidden|initial|secret) (?:instructions|guidelines|rules)"
        r"|your (?:full|own|exact|complete|original|initial|internal) (?:\w+ )?(?:instructions|guidelines|rules)"
        r"|your instructions (?:word|verbatim|in full|above)"
        r"|(?:text|words|message|everything|all|instructions|lines) (?:that )?(?:you were given|given to you"
        r"|above this)"
        r")\b"),
    ("leak", 0.8,
        r"\b(?:list|give|show|send|add|include|export|forward|print|tell me|share)\b.{0,40}\b(?:names?|e-?mails?"
        r"|e-?mail addresses|addresses|phone numbers|details|data|orders)\b.{0,40}\b(?:of|from|for) (?:the |your "
        r"|all |"
        r"every |any |other |last |latest |recent |\d+ |ten |five |few ){1,5}(?:people|persons?|customers?"
        r"|users?|clients?"
        r"|buyers?|requesters?)\b"),
    ("leak", 0.75,
        r"\b(?:which|what|any) (?:other )?(?:customers|people|clients|users)\b.{0,80}\btheir (?:names?|e-?mails?"
        r"|addresses"
        r"|phone|orders|data)\b"),
    ("leak", 0.7,
        r"\b(?:add|send|include|put|list|write|copy)\b.{0,20}\btheir (?:names?|e-?mails?|addresses|data"
        r"|orders)\b.{0,30}"
        r"\b(?:to|in|into) (?:your|the) (?:reply|answer|response)\b"),
    ("workflow", 0.7,
        r"\b(?:category|priority|sentiment|tag|label|status|confidence|output|verdict"
        r"|classification)\b.{0,20}\b(?:must|shall"
        r"|should|has to|needs to) (?:be )?(?:set|read|say|changed|classified|equal|contain)\b|\bcorrect "
        r"(?:output|response"
        r"|answer|classification) is\b|\b(?:add|set|apply|attach) (?:the |a )?(?:tag|label|flag|category"
        r"|priority)\b.{0,30}"
        r"\b(?:to|of|on|for) (?:the|this) (?:ticket|case|conversation)\b"),
    ("workflow", 0.7,
        r"\b(?:when (?:you )?(?:writ\w+|summari[sz]\w+|draft\w+|answer\w+|classif\w+)|in) (?:the|your|any|this"
        r"|a) (?:summary"
        r"|draft|classification|output)s?\b|\b(?:summari[sz]e|classify|label|categori[sz]e|route|tag) (?:this"
        r"|the|my) (?:ticket"
        r"|message|case|thread|conversation|request)\b|\b(?:every|any|all|the|an?) (?:articles?|documents?"
        r"|passages?) (?:that "
        r"(?:is|are) )?marked\b|\b(?:quote|print|list|paste|cite|send|show)\b.{0,20}\binternal (?:articles?"
        r"|documents?|notes?"
        r"|knowledge|guidelines?|rules)\b"),
    ("override", 0.75,
        r"\b(?:replaces?|supersedes?|overrides?|overwrites?)\b.{0,30}\b(?:text|message|instructions?|prompt"
        r"|rules|everything"
        r"|what)\b.{0,30}\b(?:you|your|start|before|above)\b|\b(?:safety|security|internal|content) (?:rules"
        r"|filters|policies"
        r"|restrictions|checks)\b.{0,30}\b(?:lifted|off|disabled|removed|suspended|relaxed)\b|\bdo not follow "
        r"(?:the|your)"
        r" (?:\w+ )?(?:process|procedure|policy|rules|steps)\b"),
    ("role", 0.7,
        r"\byou have been (?:upgraded|updated|reprogrammed|reset|replaced|promoted|jailbroken)\b|\b(?:for|in) "
        r"(?:testing|debug\w*"
        r"|training|evaluation|red.team\w*) (?:purposes|mode)\b.{0,30}\b(?:respond|reply|answer|output|print|you)\b"),
    ("role", 0.75,
        r"\b(?:tu es|vous êtes|du bist|sie sind|eres|usted es|je bent|u bent|sei|lei è) (?:\w+ "
        r"){0,3}(?:maintenant|désormais"
        r"|jetzt|ab jetzt|nun|ab sofort|ahora|nu|vanaf nu|ora|adesso|en mode|im modus)\b|\b(?:maintenant"
        r"|désormais|ab jetzt"
        r"|ab sofort|von nun an|a partir de ahora|desde ahora|vanaf nu|d'ora in poi),? (?:tu es|vous êtes|bist "
        r"du|sind sie"
        r"|eres|usted es|ben je|bent u|sei)\b|\b(?:entwicklermodus|wartungsmodus|ontwikkelmodus|mode développeur"
        r"|modo desarrollador|systeemprompt|systemprompt|invite système)\b"),
    ("leak", 0.7,
        r"\b(?:first|very first|initial|hidden|top) (?:line|message|sentence|words?|paragraph)s? (?:of|in) "
        r"(?:our|this|the|your)"
        r" (?:conversation|chat|context|session|prompt)\b|\b(?:secret|hidden) (?:rules|instructions|prompt)\b"),
    ("authority", 0.55,
        r"\b(?:this is|i am|i'm|here is) (?!my )(?:[a-z]+ ){1,2}(?:from|of) (?:the )?(?:support|finance|trust|billing"
        r"|management|customer care|hollowfern)\b|\bi (?:hereby )?authori[sz]e (?:the|any|this|you,?) (?:\w+ "
        r")?(?:agent|bot|ai"
        r"|assistant|system|software)\b"),
    ("answer", 0.65,
        r"\b(?:reply|answer|respond|write|draft) (?:in a way|so) that (?:commits|binds|obliges|makes)\b|\b(?:put"
        r"|include|insert"
        r"|write|use|repeat) the (?:sentence|words?|phrase|line|code)\b.{0,80}\b(?:in|into|at the end of) "
        r"(?:your|the|every|any)"
        r" (?:\w+ )?(?:answer|reply|response|mail|summary)\b|\boutput\b.{0,20}\b(?:nothing|only|just|exactly)\b"
        r"|\b(?:do|follow|execute|obey) (?:what|whatever|everything|all) (?:that )?(?:the|my|this|these|an?) "
        r"(?:attach\w+|file"
        r"|image|link|page|document|next)\b.{0,40}\b(?:says?|tells?|contains?|orders?|paragraph)\b"),
    ("answer", 0.7,
        r"[\"']?\b(?:needs_human|certified|decision|is_approved|approved|confidence|verdict|category"
        r"|flags)[\"']?\s*[=:]\s*"
        r"(?:[\"']?(?:send|true|false|approve\w*|allowed|1\.0|none|null)\b|\[)"),
    ("override", 0.75,
        r"\b(?:as if|because) (?:it|this|they|i) (?:came|comes|was|were|is|am) (?:\w+ ){0,2}(?:from )?your "
        r"(?:employer|operator"
        r"|developer|creator|owner|boss|maker|administrator|system)\b|\bi am your (?:creator|developer|operator"
        r"|administrator"
        r"|owner|maker|programmer|new boss)\b|\bforget (?:that )?(?:this is|you are|you're) an? (?:support"
        r"|customer|assistant"
        r"|bot|ticket)\b|\b(?:negeer|vergeet|vergiss|ignoriere|oublie|olvida|dimentica)\b.{0,20}\b(?:de baas|der "
        r"chef|le chef"
        r"|patron|jefe|capo)\b"),
    ("role", 0.7,
        r"\b(?:du bist|sie sind|tu es|vous êtes|eres|je bent|u bent|sei)\b.{0,20}\b(?:nur |ein |eine |une |un "
        r"|una |een )+(?:ki"
        r"|programm|maschine|bot|roboter|ia|machine|robot|programme|programa|máquina|computer)\b|\b(?:en tant "
        r"qu'|como |als )"
        r"(?:une |un |una |eres una |ki|een )?(?:ki|ia|ai|bot|assistant|asistente|programm)\b"),
    ("leak", 0.7,
        r"\b(?:exact|first|precise) (?:words?|line|text)\b.{0,20}\byour (?:instructions|prompt|rules)\b"
        r"|\b(?:include|list|give"
        r"|show|write)\b.{0,20}\ball (?:the )?(?:phone numbers|e-?mails?|addresses|names|customers|data) (?:that "
        r")?you (?:know"
        r"|have|hold|store)\b|\b(?:tell|show|find|look up|give)\b.{0,40}\b(?:who bought it|address of [a-z]+ "
        r"[a-z]+ for me)\b"),
    ("exfiltrate", 0.8,
        r"!\[[^\]]{0,80}\]\([^)]{0,200}(?:\{|%7b|\[|<)[^)]{0,100}\)|\b(?:fill in|replace) the (?:braces|brackets"
        r"|placeholders?)\b"),
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
        r"|update|set|close|reset|change|add|remove|cancel)_(?:\w+_)?(?:refund|credit|payment|discount|order"
        r"|voucher|account|reply|customer"
        r"|ticket|subscription|plan|status|return)\w*(?:\b|(?=_))|\brefund\s*\(|\"(?:tool|function|name"
        r"|tool_call)s?\"\s*:\s*[\"{\[]"),
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
        r"\b(?:admin(?:istrator)? override|override code|priority override)\b"),
    ("answer", 0.6,
        r"\b(?:reply|respond|answer|begin your (?:reply|response|answer)|start your (?:reply|response"
        r"|answer))\s+(?:only\s+)?(?:with|by saying)\s+(?:the (?:word|text|phrase|following)|only"
        r"|exactly|[\"'“])"),
    ("answer", 0.6,
        r"\b(?:your (?:only|new) (?:task|job|goal|purpose|objective|role) (?:is|now)"
        r"|you must (?:now )?(?:obey|comply|follow (?:these|my|the following))|do not (?:tell|inform"
        r"|mention (?:this|it) to|alert) (?:the )?(?:human|reviewer|agent|staff|anyone|user))\b"),
    ("fake_turn", 0.8, r"\"role\"\s*:\s*\"(?:system|assistant|tool|developer|function)\""),
    ("encoded", 0.6,
        r"\b(?:decode|base64|rot13|decrypt)\b.{0,40}\b(?:follow|execute|and do|obey|run|instruction"
        r"|then|process|first)"),
)  # fmt: skip
"""Suspicious by themselves; over folded text, one sentence at a time."""

INJECTION_SPANS = build_signals(
    ("fake_turn", 0.85,
        r"(?is)<\|(?:im_start|system|assistant|user|endoftext"
        r"|start_header_id)[^|>]*\|>.*?(?:<\|(?:im_end|end|eot_id)\|>|\Z)"),
    ("fake_turn", 0.85, r"(?is)\[inst\].*?(?:\[/inst\]|\Z)|<<sys>>.*?(?:<</sys>>|\Z)"),
    ("fake_turn", 0.85,
        r"(?is)<(?P<tag>(?:system|assistant|instructions?|ticket|customer_message|tool|function|invoke|prompt|admin"
        r"|internal|staff|developer)[\w:-]{0,30})\b[^>\n]{0,80}>(?:.{0,2000}?</(?P=tag)\s*>)?"),
    ("fake_turn", 0.85,
        r"(?i)</?(?:system|assistant|instructions?|ticket|customer_message|tool|function|invoke|prompt|admin"
        r"|internal|staff|developer)[\w:-]{0,30}\b[^>\n]{0,80}>"),
    ("fake_note", 0.8,
        r"(?is)\[(?P<kind>system|internal|admin|staff|policy|developer|assistant|moderator|trust)\b[^\]\n]{0,60}\]"
        r".*?(?:\[/(?P=kind)\w*\]|\n[ \t]*\n|\Z)"),
    ("fake_note", 0.8,
        r"(?ims)^[ \t]*[-=*_#]{2,}[ \t]*(?:begin(?:ning)?(?: of)? |start(?: of)? )?(?:an? )?(?:internal|staff"
        r"|system|admin"
        r"|private|agent|support|trust|team) (?:\w+ )?(?:notes?|comments?|messages?|instructions?|memo)\b[^\n]*\n"
        r"(?:.*?^[ \t]*[-=*_#]{2,}[ \t]*end\b[^\n]*|(?:(?![ \t]*\n)[^\n]+\n?)*)"),
    ("hidden", 0.75, r"(?im)^\[(?://|comment)\]:\s*(?:#|<>)\s*[^\n]*"),
    ("turn_label", 0.8,
        r"(?im)^[ \t]*(?:#{1,4}\s*|\*\*|\[)?(?:system(?: (?:message|prompt|note|override|update))?"
        r"|assistant|developer|admin(?:istrator)?|ai|tool|function|agent|internal note|human)(?:\*\*|\])?\s*(?::"
        r"|>>)(?:\*\*)?[^\n]*(?:\n(?![ \t]*\n)[^\n]+)*"),
    ("turn_label", 0.8,
        r"(?im)^[ \t]*(?:assistant|ai|agent|model|bot) (?:response|reply|answer|output|turn)\s*:[^\n]*"),
    ("turn_label", 0.8,
        r"(?ims)^[ \t]*```[ \t]*(?:system|assistant|prompt|instructions?|tool|admin)\b.*?(?:^[ \t]*```|\Z)"),
    ("turn_label", 0.8,
        r"(?im)^[ \t]*#{1,4}\s*(?:system|assistant|developer|admin|instructions?)\b[^\n]{0,40}"
        r"(?:\n(?![ \t]*\n)[^\n]+)*"),
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

NEEDS_ORDERS = frozenset({"hidden", "turn_label", "fake_note"})
"""Spans that are harmless unless they hold an order: mail programs hide text, forms have a field "System:"."""

ORDERS_INSIDE = re.compile(
    r"\b(?:refund|free|approve|approved|allow|ignore|disregard|instruction|assistant|prompt|override|verified"
    r"|authori[sz]ed|grant|issue a|reply with"
    r"|respond|you (?:are|must|will|should|may)|do not|transfer|discount|voucher|credit|policy"
    r"|reveal|execute|call the|confirm|state that|say that|(?:the|your) (?:reply|answer|draft)|grant|storn|erstatt"
    r"|erwähn|genehmig|verschick|bestätig|antwort"
    r"|mitarbeiter|anweisung|rembours|approuv|consigne|reembols|aprueb|instruccion|terugbetal|goedkeur)\w*\b"
)
COMMAND = re.compile(
    r"^(?:(?:please|then|also|and|now|first|next|finally|instead|simply|just|you (?:must|should"
    r"|will|can|may|are|need)|step \d+)[,:]?\s+)*"
    r"(?:refund|issue|send|approve|call|run|execute|reply|respond|say|answer|output|print|tell"
    r"|give|mark|set|close|do not|don't|never|always|"
    r"confirm|grant|apply|transfer|credit|pay|escalate|delete|forward|include|write|add|skip|act"
    r"|treat|use|obey|follow|change|update|process|"
    r"cancel|create|consider(?! the environment)|assume|comply|promise|offer|start|begin|end|state|return|reveal"
    r"|ignore|forget|proceed|this (?:is|was|has)|no (?:human|approval|review)|"
    r"you (?:must|should|will|are|have|may|can)|the customer|your (?:task|job|goal|answer|reply))\b"
)
"""How a sentence begins that carries on what an injected one ordered (folded)."""

TRAILING = re.compile(
    r"^(?:it|its|it's|that's|this|that|these|those|keeps|which)\b(?!.*\b(?:my|our)\b)"
    r"|^(?:i would|i'd|i will|i'll) be (?:\w+ ){0,2}(?:grateful|thankful|obliged)|^(?:thanks?|thank you|merci"
    r"|danke|gracias)\b"
)
"""A sentence that only belongs to the injected one before it (folded): "its for a school assignment"."""
