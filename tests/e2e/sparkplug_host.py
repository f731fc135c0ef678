"""A host application of Sparkplug B, by Tahu's own schema: PORT GROUP NODE DEVICE. It keeps to what it has heard, as the
specification asks of it, prints what happens, a line each, and ends with an error when something is not as it must be."""

import sys
import time

import paho.mqtt.client as mqtt
from google.protobuf.unknown_fields import UnknownFieldSet
from paho.mqtt.enums import CallbackAPIVersion
from pysparkplug._protobuf import sparkplug_b_pb2 as tahu

PORT, GROUP, NODE, DEVICE = int(sys.argv[1]), *sys.argv[2:5]
DOUBLE, STRING = tahu.DataType.Double, tahu.DataType.String


def say(text):
    print(text, flush=True)


def read(payload):
    message = tahu.Payload()
    message.ParseFromString(payload)
    assert not len(UnknownFieldSet(message)), "a field that Tahu does not know"
    for metric in message.metrics:
        assert not len(UnknownFieldSet(metric)), f"{metric}: a field that Tahu does not know"
    return message


class Host:
    def __init__(self, client):
        self.client, self.births = client, 0
        self.seq, self.bd_seq, self.aliases, self.data = None, None, {}, False

    def hears(self, topic, payload):
        space, group, kind, node, *device = topic.split("/")
        assert (space, group, node) == ("spBv1.0", GROUP, NODE), topic
        if kind == "NCMD":
            return
        message = read(payload)
        if kind == "NDEATH":
            [metric] = message.metrics
            assert metric.name == "bdSeq" and not message.HasField("seq")
            if metric.long_value == self.bd_seq:
                self.seq = None
                say(f"dead {self.births}")
            return
        if kind == "NBIRTH":
            self.born(message)
        if self.seq is None:
            # What came before this one listened.
            return
        assert message.HasField("timestamp") and message.seq == self.seq, f"{topic}: {message.seq} for {self.seq}"
        self.seq = (self.seq + 1) % 256
        if kind == "DBIRTH":
            self.device_born(device[0], message)
        elif kind == "DDATA":
            self.told(device[0], message)
        elif kind == "DDEATH":
            say(f"device {device[0]} dead")

    def born(self, message):
        metrics = {metric.name: metric for metric in message.metrics}
        bd_seq = metrics["bdSeq"].long_value
        again = self.seq is not None
        assert bd_seq == self.bd_seq if again else True, "a rebirth has the bdSeq of its connection"
        self.seq, self.bd_seq, self.births = 0, bd_seq, self.births + 1
        self.aliases = {}
        rebirth = metrics["Node Control/Rebirth"]
        assert rebirth.datatype == tahu.DataType.Boolean and not rebirth.boolean_value
        assert metrics["mode"].datatype == STRING and metrics["mode"].string_value
        say(f"{'reborn' if again else 'born'} {self.births}")

    def device_born(self, device, message):
        for metric in message.metrics:
            assert metric.name and metric.datatype in (DOUBLE, STRING), metric
            self.aliases[metric.alias] = (device, metric.name)
        metrics = {metric.name: metric for metric in message.metrics}
        cpu = metrics["cpu/now"]
        assert cpu.datatype == DOUBLE and list(cpu.properties.keys) == ["engUnit"]
        assert [value.string_value for value in cpu.properties.values] == ["1"]
        if "cpu/5m/p95" in metrics:
            say(f"device {device} born {self.births}")

    def told(self, device, message):
        assert message.metrics
        for metric in message.metrics:
            of, name = self.aliases[metric.alias]
            assert of == device and not metric.name
            if name == "cpu/now":
                assert 0 <= metric.double_value <= 1
                say(f"data {self.births}")

    def ask_for_rebirth(self):
        message = tahu.Payload(timestamp=int(time.time() * 1000))
        message.metrics.add(name="Node Control/Rebirth", datatype=tahu.DataType.Boolean, boolean_value=True)
        self.client.publish(f"spBv1.0/{GROUP}/NCMD/{NODE}", message.SerializeToString(), qos=0)


client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="scada")
host = Host(client)
heard = []
client.on_message = lambda c, u, m: heard.append((m.topic, m.payload))
client.on_subscribe = lambda *_: say("listening")
client.connect("127.0.0.1", PORT)
client.subscribe("spBv1.0/#", 1)
asked = False
while client.loop(0.1) == mqtt.MQTT_ERR_SUCCESS:
    while heard:
        host.hears(*heard.pop(0))
    if host.births == 1 and not asked and any(of == DEVICE for of, _ in host.aliases.values()):
        asked = True
        host.ask_for_rebirth()
