"""Declarations and what follows from them: levers, policies, validity, how long a trial will take."""
