"""A checkpoint applied to documents: read text, tag it, show what was found."""
