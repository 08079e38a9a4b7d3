"""Two plain ways to find passages, which the shipped model has to beat.

`find_by_pattern` knows dates, names, parties and governing law by regular expressions. `SentenceClassifier` gives every
sentence a probability per category, from TF-IDF features by logistic regression.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from longspan.tasks.passages import Passage
from longspan.tasks.sentences import split_sentences

_MONTH = r"(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_DATE = re.compile(
    rf"(?:\d{{1,2}}(?:st|nd|rd|th)?\s+(?:day\s+)?(?:of\s+)?{_MONTH},?\s+\d{{4}}"
    rf"|{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+\d{{4}}"
    r"|\d{1,2}/\d{1,2}/\d{2,4})",
    re.IGNORECASE,
)
_TITLE = re.compile(r"\b(?:[A-Z][A-Z&,/-]+\s+){0,6}(?:AGREEMENT|CONTRACT|AMENDMENT)\b")
_COMPANY = re.compile(
    r"\b(?:[A-Z0-9][\w.&'-]*,?\s+(?:of\s+|and\s+|&\s+)?){1,6}"
    r"(?:Incorporated|Corporation|Company|Limited|Inc\b\.?|Corp\b\.?|Ltd\b\.?|INC\b\.?|CORP\b\.?|CORPORATION|LTD\b\.?"
    r"|LIMITED|COMPANY|LLC\b|L\.L\.C\.|L\.P\.|LP\b|N\.A\.|S\.A\.)"
)
_ALIAS = re.compile('\\(?(?:the|hereinafter)?\\s*["\u201c]([A-Z][\\w &-]{1,30})["\u201d]')
_LAW = re.compile(
    r"(?:govern(?:ed|ing)|constru\w+|interpret\w+)\b.{0,120}\blaws?\b|\blaws?\b.{0,60}\bshall govern", re.DOTALL | re.I
)
_MADE = re.compile(r"\b(?:dated|as\s+of|entered|made|this)\b", re.IGNORECASE)
_EFFECTIVE = re.compile(r"\b(?:effective|commenc\w+)\b", re.IGNORECASE)


def find_by_pattern(text: str) -> list[Passage]:
    """Document name, agreement and effective date, parties and governing law, by regular expressions; score 1 each."""
    found: list[Passage] = []
    title = _TITLE.search(text[:5000])
    if title:
        found.append(Passage("Document Name", title.start(), title.end()))
    dates = list(_DATE.finditer(text[:8000]))
    for category, cue, reach in (("Agreement Date", _MADE, 80), ("Effective Date", _EFFECTIVE, 40)):
        likely = [d for d in dates if cue.search(text[max(0, d.start() - reach) : d.start()])]
        for date in (likely or dates)[:1]:
            found.append(Passage(category, date.start(), date.end()))
    # Parties stand in the preamble: around the first date, or at the start.
    begin = max(0, dates[0].start() - 400) if dates else 0
    preamble = text[begin : begin + 1600]
    spans = {m.span() for m in _COMPANY.finditer(preamble)} | {m.span(1) for m in _ALIAS.finditer(preamble)}
    for start, end in sorted(spans):
        if "agreement" not in preamble[start:end].lower() and "date" not in preamble[start:end].lower():
            found.append(Passage("Parties", begin + start, begin + end))
    for start, end in split_sentences(text):
        if _LAW.search(text[start:end]):
            found.append(Passage("Governing Law", start, end))
    return sorted(found, key=lambda p: (p.start, p.end))


def sentence_labels(
    sentences: Sequence[tuple[int, int]], passages: Sequence[Passage], categories: Sequence[str]
) -> np.ndarray:
    """(S, C) bool: a sentence has a category when a passage covers half of it, or half of the passage lies in it."""
    labels = np.zeros((len(sentences), len(categories)), dtype=bool)
    column = {c: i for i, c in enumerate(categories)}
    for p in passages:
        if p.category not in column:
            continue
        for s, (start, end) in enumerate(sentences):
            shared = min(end, p.end) - max(start, p.start)
            if 2 * shared >= min(end - start, p.end - p.start):
                labels[s, column[p.category]] = True
    return labels


class SentenceClassifier:
    """TF-IDF over words and pairs of words, one logistic regression per category. Needs scikit-learn."""

    def __init__(self, categories: Sequence[str], seed: int = 0) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.categories = tuple(categories)
        self.seed = seed
        self.thresholds = dict.fromkeys(self.categories, 0.5)
        self._features = TfidfVectorizer(ngram_range=(1, 2), min_df=3, sublinear_tf=True, dtype=np.float32)
        self._models: list[Any] = []

    def fit(self, documents: Sequence[tuple[str, Sequence[Passage]]]) -> SentenceClassifier:
        """Learn from (text, passages) pairs."""
        from sklearn.linear_model import LogisticRegression

        texts, labels = [], []
        for text, passages in documents:
            sentences = split_sentences(text)
            texts += [text[a:b] for a, b in sentences]
            labels.append(sentence_labels(sentences, passages, self.categories))
        x, y = self._features.fit_transform(texts), np.concatenate(labels)
        self._models = [
            LogisticRegression(C=30.0, solver="liblinear", random_state=self.seed).fit(x, y[:, c])
            for c in range(len(self.categories))
        ]
        return self

    def probabilities(self, text: str) -> tuple[list[tuple[int, int]], np.ndarray]:
        """The sentences of a text, and (S, C) their probabilities."""
        sentences = split_sentences(text)
        if not sentences:
            return [], np.zeros((0, len(self.categories)))
        x = self._features.transform([text[a:b] for a, b in sentences])
        return sentences, np.stack([model.predict_proba(x)[:, 1] for model in self._models], axis=1)

    def score(self, text: str) -> list[Passage]:
        """Every sentence as a passage of every category, with its probability."""
        sentences, p = self.probabilities(text)
        return [
            Passage(category, a, b, float(p[s, c]))
            for c, category in enumerate(self.categories)
            for s, (a, b) in enumerate(sentences)
        ]

    def tune(self, documents: Sequence[tuple[str, Sequence[Passage]]]) -> SentenceClassifier:
        """Choose each category's threshold by F1 on (text, passages) pairs that were not learnt from."""
        from longspan.tasks.passages import Score, score_text

        scored = [(self.score(text), passages) for text, passages in documents]
        for category in self.categories:
            best = (-1.0, 0.5)
            pairs = [([p for p in found if p.category == category], gold) for found, gold in scored]
            for threshold in np.arange(0.05, 0.96, 0.05):
                total = Score(0, 0, 0)
                for found, gold in pairs:
                    kept = [p for p in found if p.score >= threshold]
                    total = total + score_text(kept, gold, [category])[category]
                best = max(best, (total.f1, round(float(threshold), 2)))
            self.thresholds[category] = best[1]
        return self

    def find(self, text: str) -> list[Passage]:
        """The sentences above their category's threshold, sorted by start."""
        found = [p for p in self.score(text) if p.score >= self.thresholds[p.category]]
        return sorted(found, key=lambda p: (p.start, p.end))
