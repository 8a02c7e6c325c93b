"""The mathematics: one method a file; has never heard of language models."""
