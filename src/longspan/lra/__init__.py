"""Long Range Arena (Tay and others, arXiv 2011.04006): its data, its protocols, runs and their report."""
