"""`python -m agents.cli` is `llmopt`, for processes that start one another."""

from agents.cli import main

main()
