"""What users declare, and what follows from it: levers, policies, validity, how long a trial will take."""
