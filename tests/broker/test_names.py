"""Topics by id: whatever taught the proxy the name of an id, or nobody did, no record passes unmasked."""

from __future__ import annotations

import asyncio
import struct
import uuid
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AclBinding, AclBindingFilter
from confluent_kafka.cimpl import TopicPartition
from confluent_kafka import AclOperation, AclPermissionType, ResourcePatternType, ResourceType
from support.batches import read_batches, write_batch
from support.capture import RawClient
from support.clients import Client
from support.customers import customer, is_masked, messages
from support.kafka import PASSWORD, USER, KafkaCluster
from support.leaders import leaders
from support.proxy import ProxyProcess
from support.requests import LAST_FETCH, LAST_PRODUCE, ask_fetch, ask_produce, fetch_frame, plain_frame, topic_id
