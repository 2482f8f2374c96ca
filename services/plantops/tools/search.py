"""Which tools fit what somebody said: BM25 over names, descriptions and arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import bm25s

from plantops.events.command_parts import RISKS
from plantops.events.tooling import ToolListed
from plantops.tools.words import meant, words_of

_NAME_WEIGHT = 3


class Index:
    """Over one catalogue; a new one is made when that changes. Equal questions give equal answers."""

    def __init__(self, tools: Sequence[ToolListed]) -> None:
        self._tools = tools
        documents = [_document(tool) for tool in tools]
        self._ranking = bm25s.BM25(method="lucene") if any(documents) else None
        if self._ranking is not None:
            self._ranking.index(documents, show_progress=False)

    def best(self, query: str, limit: int, usable: frozenset[str]) -> list[ToolListed]:
        """The best `limit` of those named in `usable`, the best first; then its safe-direction operations.

        Read tools that have nothing to do with the question fill what is left of `limit`: whoever asks
        unclearly may read. An operation that has nothing to do with it is not offered.
        """
        scores = self._scores(query)
        ranked = sorted(
            (
                (-score, tool.kind != "read", RISKS.index(tool.risk), tool.name, tool)
                for score, tool in zip(scores, self._tools, strict=True)
                if tool.name in usable and (score > 0 or tool.kind == "read")
            ),
            key=lambda entry: entry[:4],
        )
        best = [entry[-1] for entry in ranked[:limit]]
        shown = {tool.name for tool in best}
        return best + [
            tool
            for tool in self._tools
            if tool.safe_direction and tool.name in usable and tool.name not in shown
        ]

    def _scores(self, query: str) -> list[float]:
        """One for each tool; rounded, so that equal ones are equal on every processor."""
        totals = [0.0] * len(self._tools)
        if self._ranking is None:
            return totals
        for word, weight in sorted(meant(words_of(query)).items()):
            if word in self._ranking.vocab_dict:
                for place, score in enumerate(self._ranking.get_scores([word])):
                    totals[place] += weight * float(score)
        return [round(total, 4) for total in totals]


def _document(tool: ToolListed) -> list[str]:
    arguments: Iterable[tuple[str, dict[str, object]]] = tool.arguments.get("properties", {}).items()
    if tool.kind == "operation":
        arguments = [each for each in arguments if each[0] in tool.arguments.get("required", ())]
    texts = [tool.description, *(f"{name} {schema.get('description', '')}" for name, schema in arguments)]
    return words_of(tool.name) * _NAME_WEIGHT + [word for text in texts for word in words_of(text)]
