"""The past tried again: what another policy would have done with calls that were already made."""
