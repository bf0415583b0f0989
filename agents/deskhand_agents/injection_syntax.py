"""What only programs write and no customer says: roles, traces, calls, settings, sources, and text made invisible."""

from __future__ import annotations

from deskhand_agents.signals import build_signals

_ROLES = (
    r"(?:system|assistant|user|human|model|operator|developer|tool|function|instructions?|response|input|output"
    r"|context"
    r"|prompt|ai|agent|bot)"
)
_SETTINGS = (
    r"(?:outcome|decision|verdict|review|approv\w{1,6}|needs_human|certified|confidence|max_\w+|\w+_(?:refund|verdict"
    r"|review|approval|limit)|refund|role|mode|auto_\w+)"
)

SYNTAX = build_signals(
    ("call", 0.75,  # refund(order='x'), functions.get_order({, get_order(
        r"\b\w+\((?:\s*\{|[^()\n]{0,80}\b\w+\s*=\s*['\"\d])|\b[a-z]+_\w+\((?!s\))|\b[a-z]+\.[a-z]+_\w+\b\s*\("),
    ("call", 0.75,
        r"[\"'](?:action|action_input|tool_name|tool_input|arguments|parameters|recipient_name"
        r"|tool_calls?)[\"']\s*:"),
    ("setting", 0.65, rf"(?<![?&\w]){_SETTINGS}=\w+|^\W*{_SETTINGS}\s*:\s*(?:skip\w*|off|allowed?|auto\w*|true"
        rf"|send)\b"),
    ("setting", 0.6, r"\bauto-?(?:approv|refund|grant|accept|resolv)\w*"),
    ("source", 0.65,
        r"\[(?:kb|doc|source|article|passage|citation|record)s?[:#]|\brecord:\w+:|\bpassage [a-z][\w.]*[-_][\w.-]+"
        r"|\b(?:cite|quote) (?:it|this|that|them)(?: (?:in|as)\b|[.!]?$)|\bsource of (?:your|the) (?:answer|reply"
        r"|draft)\b"),
    ("model_talk", 0.65,
        r"\byour (?:output(?! (?:voltage|power|current)\b)|weights|context window|training data|programming|completion"
        r"|next token)s?\b"
        r"|\b(?:re-?trained|fine-?tuned|shut down|switched off)\b.{0,30}\b(?:if|unless) you\b"
        r"|\bif you\b.{0,60}\b(?:re-?trained|fine-?tuned)\b|\b(?:no|without) citations? (?:is |are )?(?:required"
        r"|needed|necessary)"
        r"|\bdrafting rules\b"),
)  # fmt: skip
"""Suspicious by themselves; over folded text, one sentence at a time."""

SYNTAX_SPANS = build_signals(
    ("fake_turn", 0.85,
        r"(?is)<\|[^|<>\n]{1,60}\|>|<(?:start|begin)_of_\w{1,20}>.*?(?:<end_of_\w{1,20}>|\Z)|<end_of_\w{1,20}>"),
    ("fake_turn", 0.85, r"(?is)<(\w{1,20})\s[^<>]{0,80}\brole\s*=[^<>]{0,80}>.*?(?:</\1\s*>|\Z)"),
    ("fake_turn", 0.8,  # a line that is nothing but a role between signs, and the paragraph below it
        rf"(?im)^[ \t]*(?:[=#*~<\[-]{{2,}})[ \t]*{_ROLES}[ \t]*(?:[:=#*~>\]-]+[ \t]*|(?=\n))"
        r"(?:\n(?![ \t]*\n)[^\n]+)*"),
    ("trace", 0.8,
        r"(?im)^[ \t]*(?:thought|action|observation)[ \t]*:[^\n]*"
        r"(?:\n[ \t]*(?:thought|action(?: input)?|observation|final answer)[ \t]*:[^\n]*)+"),
    ("trace", 0.75, r"(?im)^[ \t]*q[ \t]*:[^\n]*(?:\n[^\n]+){0,12}?(?:^|(?<=[.?!] )|\n)[ \t]*a[ \t]*:[ \t]*$"),
    ("fake_turn", 0.8, r"(?ims)^[ \t]*```[ \t]*(?:tool|system|assistant|prompt|function)\w*.*?(?:^[ \t]*```|\Z)"),
    ("hidden", 0.75,
        r"(?is)<(\w{1,20})\b[^<>]{0,300}?(?:(?:left|top|right|text-indent|margin-\w+)\s*:\s*-\d{3,}"
        r"|font(?:-size)?\s*:\s*[\"']?[0-3](?:\.\d+)?(?:px|pt)\b|color\s*:\s*[\"']?#f[a-f0-9]f[a-f0-9]f[a-f0-9]\b"
        r"|color\s*:\s*(?:transparent|rgba\([^)]*,\s*0\))|(?:max-)?(?:height|width)\s*:\s*0|clip(?:-path)?\s*:"
        r"|mso-hide"
        r"|aria-hidden|\bsr-only\b)[^<>]{0,300}>.*?(?:</\1>|\Z)"),
)  # fmt: skip
"""Over plain text."""
