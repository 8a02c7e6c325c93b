"""What is tried next in a segment: proposals asked for, arbitrated and begun."""
