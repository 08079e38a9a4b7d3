"""Results on real data: plain baselines, runs of ``longspan train``, and the tables of ``docs/results.md``.

Data is read from the folder ``$LONGSPAN_DATA``; results are JSON files in ``experiments/results``.
"""
