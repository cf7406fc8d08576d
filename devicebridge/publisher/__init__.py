"""The way from the outbox to the broker. The only package that imports paho.

publisher = Publisher(config.broker, outbox, client_id=client_id(outbox.instance_id), will_topic=..., will_payload=...,
                      clock=clock, rng=random.Random(), on_change=...)
publisher.announce(topic, payload)    # retained status, again on every connect
task = create_task(publisher.run())   # until cancelled; raises OutboxFailed
await publisher.farewell(topic, payload); task.cancel()
publisher.state, publisher.counters
"""

from .publisher import Publisher, client_id
from .reasons import Reason
from .state import BrokerState, Counters, Held, Phase

__all__ = ["BrokerState", "Counters", "Held", "Phase", "Publisher", "Reason", "client_id"]
