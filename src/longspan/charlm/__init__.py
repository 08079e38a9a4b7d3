"""Character language models: the Longformer paper's training in stages, its evaluation, and generation."""
