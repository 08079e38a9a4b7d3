"""Configurations, models and tokenizers of both families, and what they share."""
