"""Rulesets judged, not run: compared, searched for what is not meant, held against standards, explained."""
