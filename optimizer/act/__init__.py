"""Act turns decisions into configurations, and follows each rollout through its phases."""
