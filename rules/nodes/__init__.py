"""YAML texts as nodes that know their place, and how nodes are read as what a grammar expects."""
