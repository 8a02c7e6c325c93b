"""How a finding is made and worded."""
