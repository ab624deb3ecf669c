"""Definitions of messages that kafka-python lacks, in Kafka's own form; protocol/schema.py reads them."""
