"""Case conferences: opened by a side of a hand-over, for those structures alone that she agreed to."""
