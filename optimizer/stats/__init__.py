"""Statistics: one method a file, without any knowledge of language models."""
