"""The client libraries that end-to-end tests drive in their own process; `support.programs` has all others.

As programs of their own they could not do what these tests ask of them in the middle of a step: join and leave a group while a broker
restarts, send on while rules are reloaded, tell what they have got so far.
"""

from __future__ import annotations

from support.client import Client, Login, Member, Message, Producer, ProduceRefused
from support.with_aiokafka import AioKafka
from support.with_confluent import Confluent

CLIENTS: tuple[Client, ...] = (AioKafka(), Confluent())

__all__ = ["CLIENTS", "AioKafka", "Client", "Confluent", "Login", "Member", "Message", "ProduceRefused", "Producer"]
