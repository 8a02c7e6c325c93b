"""The choice of what a segment tries next: proposals are asked for, arbitrated and begun."""
