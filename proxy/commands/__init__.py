"""The commands of `wiremask`, one file each; `wiremask.proxy.cli` chooses."""
