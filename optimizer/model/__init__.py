"""The nouns: what travels on the topics, valid by construction."""
