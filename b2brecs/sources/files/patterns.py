"""Glob patterns on a file's path: ``*`` and ``?`` within a folder, ``**`` across folders."""

from __future__ import annotations

import re

_WILD = re.compile(r"[*?\[]")


class Pattern:
    """A pattern, ready to be matched.

    Raises
    ------
    ValueError
        The pattern leaves the source's folder, or is not a pattern at all.

    Examples
    --------
    >>> Pattern("sales/**/*.csv").matches("sales/2024/01/a.csv")
    True
    >>> Pattern("sales/*.csv").matches("sales/2024/a.csv")
    False
    """

    def __init__(self, text: str) -> None:
        segments = text.split("/")
        if ".." in segments or text.startswith("/"):
            raise ValueError("it leads out of the folder; patterns stay below it.")
        if "\0" in text:
            raise ValueError("it holds a NUL character.")
        # "a/" and "./a" mean what they say in a shell; a lone "**" at the end means every file below.
        segments = [segment for segment in segments if segment not in ("", ".")]
        if not segments:
            raise ValueError("it matches nothing.")
        if segments[-1] == "**":
            segments.append("*")
        self.text = text
        self.last = segments[-1]
        try:
            self._regex = re.compile(_translate(segments), re.DOTALL)
        except re.error:
            raise ValueError("its brackets are not closed or hold a wrong range.") from None
        fixed = 0
        while fixed < len(segments) - 1 and not _WILD.search(segments[fixed]):
            fixed += 1
        # The folder that holds all that can match, "" or "a/b/"; one listing of it may be enough.
        self.folder = "".join(f"{segment}/" for segment in segments[:fixed])
        self.deep = len(segments) - fixed > 1

    def matches(self, name: str) -> bool:
        """Whether a file's path, relative to the source's folder, is meant."""
        return self._regex.fullmatch(name) is not None


def _translate(segments: list[str]) -> str:
    parts: list[str] = []
    for index, segment in enumerate(segments):
        if segment == "**":
            if index == 0 or segments[index - 1] != "**":
                parts.append("(?:[^/]+/)*")
            continue
        parts.append(_segment(segment))
        if index < len(segments) - 1:
            parts.append("/")
    return "".join(parts)


def _segment(segment: str) -> str:
    out: list[str] = []
    position = 0
    while position < len(segment):
        char = segment[position]
        position += 1
        if char == "*":
            if out[-1:] != ["[^/]*"]:
                out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[" and (end := segment.find("]", position + (segment[position : position + 1] in "!]"))) > 0:
            inside = segment[position:end].replace("\\", "\\\\").replace("[", "\\[").replace("^", "\\^")
            out.append(f"[{'^' + inside[1:] if inside.startswith('!') else inside}]")
            position = end + 1
        else:
            out.append(re.escape(char))
    return "".join(out)
