"""paho against a broker: PORT, then 4 (MQTT 3.1.1) or 5. Prints what fails and exits with 1."""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PORT, VERSION = int(sys.argv[1]), int(sys.argv[2])
PATIENCE = 30


class Client:
    def __init__(self, name, clean=True, will=None):
        self.events, self.messages = queue.Queue(), queue.Queue()
        kind = {"clean_session": clean} if VERSION == 4 else {}
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=VERSION, **kind)
        self.client.on_connect = lambda c, u, flags, code, p: self.events.put(("connected", flags.session_present, code))
        self.client.on_subscribe = lambda c, u, mid, codes, p: self.events.put(("subscribed", [c.value for c in codes]))
        self.client.on_disconnect = lambda c, u, flags, code, p: self.events.put(("ended", code))
        self.client.on_message = lambda c, u, m: self.messages.put(m)
        if will:
            self.client.will_set(will, "gone", qos=1)
        more = {}
        if VERSION == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 0 if clean else 600
            more = {"clean_start": clean, "properties": properties}
        self.client.connect("127.0.0.1", PORT, **more)
        self.client.loop_start()
        self.present = self.wait("connected")[1]

    def wait(self, what):
        while True:
            event = self.events.get(timeout=PATIENCE)
            if event[0] == what:
                return event

    def subscribe(self, topic, qos):
        self.client.subscribe(topic, qos)
        assert self.wait("subscribed")[1] == [qos], topic

    def publish(self, topic, payload, qos, **more):
        self.client.publish(topic, payload, qos, **more).wait_for_publish(PATIENCE)

    def message(self):
        m = self.messages.get(timeout=PATIENCE)
        return m.topic, m.payload, m.qos, m.retain

    def end(self):
        self.client.disconnect()
        self.wait("ended")
        self.client.loop_stop()

    def cut(self):
        """Goes without a word: no DISCONNECT is sent, and nothing connects again."""
        self.client.loop_stop()
        self.client._sock.close()


one, two = Client("one"), Client("two")
for qos in (0, 1, 2):
    one.subscribe(f"q/{qos}/+", qos)
    for sent in (0, 1, 2):
        two.publish(f"q/{qos}/{sent}", b"x", sent)
        assert one.message() == (f"q/{qos}/{sent}", b"x", min(qos, sent), False)

one.subscribe("o/#", 0)
one.subscribe("o/+", 2)
two.publish("o/a", b"once", 2)
# paho hands out a message of QoS 2 when it is released, and so behind a later one of QoS 1: the last is of QoS 2, too.
two.publish("o/end", b"", 2)
assert one.message() == ("o/a", b"once", 2, False), "overlapping filters: once, at the greatest QoS"
assert one.message()[0] == "o/end"

large = bytes(1024 * 1024)
one.subscribe("large", 2)
for qos in (0, 1, 2):
    two.publish("large", large, qos)
    assert one.message() == ("large", large, qos, False)

two.publish("r/a", b"kept", 1, retain=True)
one.subscribe("r/#", 1)
assert one.message() == ("r/a", b"kept", 1, True)
two.publish("r/a", b"", 1, retain=True)
assert one.message() == ("r/a", b"", 1, False)

one.subscribe("w", 1)
Client("rude", will="w").cut()
assert one.message()[1] == b"gone", "will"

lasting = Client("lasting", clean=False)
assert not lasting.present
lasting.subscribe("p", 2)
lasting.end()
for n in range(20):
    two.publish("p", b"%d" % n, 1 + n % 2)
lasting = Client("lasting", clean=False)
assert lasting.present
came = sorted((lasting.message() for _ in range(20)), key=lambda m: int(m[1]))
assert came == [("p", b"%d" % n, 1 + n % 2, False) for n in range(20)], came

other = Client("lasting", clean=False)
lasting.wait("ended")
lasting.client.loop_stop()
assert other.present, "takeover"
two.publish("p", b"mine", 2)
assert other.message()[1] == b"mine"

if VERSION == 5:
    one.subscribe("v5", 1)
    properties = Properties(PacketTypes.PUBLISH)
    properties.UserProperty = ("k", "v")
    properties.ContentType = "text"
    properties.ResponseTopic = "back"
    properties.CorrelationData = b"c"
    properties.MessageExpiryInterval = 100
    two.publish("v5", b"x", 1, properties=properties)
    came = one.messages.get(timeout=PATIENCE).properties
    assert came.UserProperty == [("k", "v")] and came.ContentType == "text"
    assert came.ResponseTopic == "back" and came.CorrelationData == b"c"
    assert 0 < came.MessageExpiryInterval <= 100

for client in (one, two, other):
    client.end()
print("ok")
