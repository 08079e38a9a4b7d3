"""Results: plain baselines and runs of ``longspan train`` on real data, whose tables are in ``docs/results.md``; retrieval
over long documents that are made up.

Real data is read from the folder ``$LONGSPAN_DATA``; results are JSON files in ``experiments/results``.
"""
