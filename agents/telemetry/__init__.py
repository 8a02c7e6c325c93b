"""What a process of ours says of itself: logs and metrics."""
