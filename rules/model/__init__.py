"""What a ruleset says, as values: rules, topics, paths, masks with their arguments, conditions on the client."""
