"""Results: plain baselines and runs of ``longspan train`` on real data, and retrieval over long documents made for it.

Real data is read from the folder ``$LONGSPAN_DATA``; results are JSON files in ``experiments/results``.
"""
